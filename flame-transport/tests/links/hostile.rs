//! A peer that has joined and then sends what no correct node sends: its own link ends, and nothing else.

use bytes::{BufMut, BytesMut};
use flame_transport::{Body, LinkConfig, LinkLost, MAIN_PORT, varint};

use crate::support::{echo, joined, linked, next, node, soon};

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = BytesMut::new();
    varint::put(&mut out, body.len() as u64);
    out.put_slice(&body);
    out.to_vec()
}

const CUT: u8 = other(1);
const RELEASE: u8 = other(2);
const CANCEL: u8 = other(4);

/// The head of a tell to a small port.
const fn tell(port: u8) -> u8 {
    port * 4
}

/// The first number of an ask's; its question follows.
const fn ask(port: u8) -> u8 {
    port * 4 + 1
}

/// The head of the answer to a question of a small number.
const fn reply(question: u8) -> u8 {
    question * 4 + 2
}

const fn other(kind: u8) -> u8 {
    kind * 4 + 3
}

async fn ended_by(data: Vec<u8>, control: Vec<u8>) -> LinkLost {
    let (parent, runner, _listener) = joined(LinkConfig::default()).await;
    let parent = node(parent);
    let _lane = parent.link.lane(MAIN_PORT);
    let (connection, _endpoint, mut control_stream, mut data_stream) = runner.into_parts();
    // The link may end in the middle of this.
    let _ = data_stream.0.write_all(&data).await;
    let _ = control_stream.0.write_all(&control).await;
    let lost = soon(parent.link.ended()).await;
    drop(connection);
    lost
}

#[tokio::test]
async fn each_breach_of_the_protocol_ends_the_link_with_a_reason() {
    let flood: Vec<u8> = (0..200_000).flat_map(|_| frame(&[&[tell(0)], b"x"])).collect();
    let many_cuts: Vec<u8> = (0..17).flat_map(|slot| frame(&[&[CUT, slot, 0], b"piece"])).collect();
    let endless: Vec<u8> = (0..600).flat_map(|_| frame(&[&[CUT, 0, 0], &[7; 32 * 1024]])).collect();
    for (what, data) in [
        ("garbage", vec![0xff; 64]),
        ("a giant length", vec![0xff, 0xff, 0xff, 0x7f]),
        ("an unknown kind", frame(&[&[other(31), 0]])),
        ("a message to no port", frame(&[&[tell(31)], b"x"])),
        ("an answer that nobody waits for", frame(&[&[reply(5)], b"x"])),
        ("a release of what was never given", frame(&[&[RELEASE, 0, 9]])),
        ("a release of no port", frame(&[&[RELEASE, 77, 1]])),
        ("a cancel of no question", frame(&[&[CANCEL, 0xff, 0xff, 0xff, 0x7f]])),
        ("messages without credit", flood),
        ("too many cut messages", many_cuts),
        ("an endless cut message", endless),
        ("a cut within a cut", frame(&[&[CUT, 0, 1], &frame(&[&[CUT, 1, 1], b"x"])])),
        ("a cut message that lies about its length", frame(&[&[CUT, 0, 1], &[50, tell(0), 1]])),
    ] {
        let lost = ended_by(data, Vec::new()).await;
        assert!(matches!(lost, LinkLost::Protocol { .. }), "{what}: {lost:?}");
    }
    for (what, control) in [
        ("garbage", vec![0xff; 64]),
        ("an unknown kind", frame(&[&[99]])),
        ("credit for what was not sent", frame(&[&[2, 0, 5, 5]])),
        ("a window for what was not sent", frame(&[&[3, 5, 5]])),
    ] {
        let lost = ended_by(Vec::new(), control).await;
        assert!(matches!(lost, LinkLost::Protocol { .. }), "control: {what}: {lost:?}");
    }
}

#[tokio::test]
async fn a_breach_on_one_link_leaves_others_alone() {
    let (parent, runner, _listener) = linked().await;
    tokio::spawn(echo(parent.link.clone(), parent.inbox));
    let lost = ended_by(vec![0xff; 64], Vec::new()).await;
    assert!(matches!(lost, LinkLost::Protocol { .. }));
    let lane = runner.link.lane(MAIN_PORT);
    assert_eq!(soon(lane.ask(Body::Copy(b"well?")).unwrap()).await.unwrap(), "well?");
}

#[tokio::test]
async fn what_a_peer_answered_before_it_broke_the_protocol_is_answered() {
    let (parent, runner, _listener) = joined(LinkConfig::default()).await;
    let parent = node(parent);
    let asked = parent.link.lane(MAIN_PORT).ask(Body::Copy(b"?")).unwrap();
    let (_connection, _endpoint, _control, mut data) = runner.into_parts();
    let (answer, breach) = (frame(&[&[reply(0)], b"yes"]), frame(&[&[reply(5)], b"x"]));
    data.0.write_all(&[answer, breach].concat()).await.unwrap();
    assert_eq!(soon(asked).await.unwrap(), "yes");
    assert!(matches!(soon(parent.link.ended()).await, LinkLost::Protocol { .. }));
}

#[tokio::test]
async fn a_cancel_that_comes_after_its_answer_does_not_touch_the_next_question_of_its_number() {
    for together in [true, false] {
        let (parent, runner, _listener) = joined(LinkConfig::default()).await;
        let mut parent = node(parent);
        let (_connection, _endpoint, _control, mut data) = runner.into_parts();
        data.0.write_all(&frame(&[&[ask(0), 0], b"first"])).await.unwrap();
        let (_, question) = next(&mut parent.inbox).await.unwrap();
        parent.link.answers().reply(question.unwrap(), Body::Copy(b"done"));
        // The answer and the cancel cross.
        let (cancel, second) = (frame(&[&[CANCEL, 0]]), frame(&[&[ask(0), 0], b"second"]));
        if together {
            data.0.write_all(&[cancel, second].concat()).await.unwrap();
        } else {
            data.0.write_all(&[cancel, frame(&[&[tell(0)], b"between"])].concat()).await.unwrap();
            assert_eq!(next(&mut parent.inbox).await.unwrap().0, "between");
            data.0.write_all(&second).await.unwrap();
        }
        let (body, question) = next(&mut parent.inbox).await.unwrap();
        assert_eq!(body, "second");
        let owed = parent.link.answers().owe(question.unwrap());
        let cancelled = tokio::time::timeout(std::time::Duration::from_millis(200), owed.cancelled()).await;
        assert!(cancelled.is_err(), "the second question was never cancelled");
    }
}
