//! Order, answers, credit, and ports that come and go.

use bytes::Bytes;
use flame_transport::{AskError, Body, Inbox, LinkConfig, MAIN_PORT, SendError};

use crate::support::{echo, linked, linked_with, next, soon};

fn text(n: usize) -> Bytes {
    Bytes::from(n.to_string())
}

/// A second port of the parent's, named to the runner once.
fn open_port(node: &crate::support::Node) -> Inbox {
    let inbox = node.link.open_port();
    assert!(node.link.export(inbox.port()));
    inbox
}

#[tokio::test]
async fn messages_arrive_in_order_whatever_their_length() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    // From a few bytes over whole frames to messages that are cut into hundreds of pieces.
    let lengths = [3, 9_000, 5, 70_000, 1, 3_000_000, 20, 66 * 1024, 8 * 1024, 16 * 1024 * 1024 - 8, 2];
    let sending = async {
        for (n, length) in lengths.into_iter().cycle().take(33).enumerate() {
            let body = Bytes::from(vec![n as u8; length]);
            soon(lane.ask(Body::Own(body)).unwrap()).await.unwrap();
            for _ in 0..3 {
                lane.tell(Body::Copy(&[n as u8])).unwrap();
            }
        }
    };
    let receiving = async {
        let mut answers = parent.link.answers();
        for (n, length) in lengths.into_iter().cycle().take(33).enumerate() {
            let (body, question) = next(&mut parent.inbox).await.unwrap();
            assert!(body.len() == length && body.iter().all(|&byte| byte == n as u8), "message {n}");
            answers.reply(question.unwrap(), Body::Copy(&[]));
            answers.flush();
            for _ in 0..3 {
                assert_eq!(next(&mut parent.inbox).await.unwrap().0, [n as u8][..]);
            }
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn small_messages_keep_their_place_behind_a_long_one() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    for n in 0..50 {
        let length = if n % 10 == 0 { 90_000 } else { 10 };
        lane.tell(Body::Own(Bytes::from(vec![n; length]))).unwrap();
    }
    for n in 0..50 {
        assert_eq!(next(&mut parent.inbox).await.unwrap().0[0], n);
    }
}

#[tokio::test]
async fn ten_thousand_asks_at_once_are_each_answered_with_their_own_answer() {
    let (parent, runner, _listener) = linked().await;
    tokio::spawn(echo(parent.link.clone(), parent.inbox));
    let lane = runner.link.lane(MAIN_PORT);
    let asks: Vec<_> = (0..10_000).map(|n| lane.ask(Body::Own(text(n))).unwrap()).collect();
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(soon(ask).await.unwrap(), text(n));
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_before_it_is_sent() {
    let (parent, runner, _listener) = linked_with(LinkConfig::default().with_max_message(100_000)).await;
    tokio::spawn(echo(parent.link.clone(), parent.inbox));
    let lane = runner.link.lane(MAIN_PORT);
    let error = lane.tell(Body::Own(Bytes::from(vec![0; 100_001]))).unwrap_err();
    assert_eq!(error, SendError::TooLong { len: 100_001, max: 100_000 });
    let largest = Bytes::from(vec![1; 100_000]);
    assert_eq!(soon(lane.ask(Body::Own(largest.clone())).unwrap()).await.unwrap(), largest);
}

#[tokio::test]
async fn a_port_never_gets_the_number_of_one_that_has_ended() {
    let (parent, runner, _listener) = linked().await;
    let mut numbers = std::collections::HashSet::new();
    for _ in 0..100 {
        let mut port = open_port(&parent);
        assert!(numbers.insert(port.port()), "{} again", port.port());
        // The only reference to it comes and goes.
        drop(runner.link.lane(port.port()));
        assert!(next(&mut port).await.is_none());
    }
}

#[tokio::test]
async fn a_port_that_handles_nothing_fills_its_lane_and_holds_up_no_other() {
    let (mut parent, runner, _listener) = linked().await;
    let mut slow = open_port(&parent);
    tokio::spawn(echo(parent.link.clone(), std::mem::replace(&mut parent.inbox, parent.link.open_port())));
    let (stuck, free) = (runner.link.lane(slow.port()), runner.link.lane(MAIN_PORT));
    let mut sent = 0;
    while stuck.try_tell(Body::Own(Bytes::from(vec![0; 1000]))).is_ok() {
        sent += 1;
    }
    // The window is 1 MiB, and each message counts 32 bytes more than its body.
    assert!((900..1100).contains(&sent), "{sent}");
    assert_eq!(stuck.try_tell(Body::Copy(b"x")), Err(SendError::Full));
    // What has to be delivered waits, up to a bound.
    let mut waiting = 0;
    while stuck.tell(Body::Own(Bytes::from(vec![1; 1000]))).is_ok() {
        waiting += 1;
    }
    assert!((900..1100).contains(&waiting), "{waiting}");
    assert_eq!(stuck.tell(Body::Copy(b"x")), Err(SendError::Overflow));
    let asked = stuck.ask(Body::Copy(b"last")).unwrap();
    assert_eq!(soon(free.ask(Body::Copy(b"over here")).unwrap()).await.unwrap(), "over here");
    // Handled at last, all of it arrives, in order.
    for n in 0..sent + waiting {
        assert_eq!(next(&mut slow).await.unwrap().0[0], u8::from(n >= sent), "message {n}");
    }
    let (body, question) = next(&mut slow).await.unwrap();
    assert_eq!(body, "last");
    parent.link.answers().reply(question.unwrap(), Body::Copy(b"done"));
    assert_eq!(soon(asked).await.unwrap(), "done");
    soon(async {
        while stuck.try_tell(Body::Copy(b"again")).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_signal_overtakes_a_full_lane() {
    let (parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    while lane.tell(Body::Own(Bytes::from(vec![0; 10_000]))).is_ok() {}
    assert!(runner.link.signal(b"stop"));
    parent.heard.until(|heard| *heard.signals.lock().unwrap() == [b"stop"]).await;
    assert!(!runner.link.signal(&[0; 16_001]), "a signal is short");
}

#[tokio::test]
async fn a_closed_port_answers_asks_with_its_reason_and_hands_back_the_rest() {
    let (parent, runner, _listener) = linked().await;
    let port = open_port(&parent);
    let lane = runner.link.lane(port.port());
    let waiting = lane.ask(Body::Copy(b"in the queue")).unwrap();
    lane.tell(Body::Copy(b"lost")).unwrap();
    // Both are there before the port is closed.
    parent.heard.count.send_modify(|_| {});
    soon(async {
        while parent.link.exported() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    port.close(&Bytes::from_static(b"gone fishing"));
    let error = soon(waiting).await.unwrap_err();
    assert!(matches!(error, AskError::Closed { .. }), "{error:?}");
    parent.heard.until(|heard| heard.dead.lock().unwrap().iter().any(|body| body == b"lost")).await;
    let refused = soon(async {
        loop {
            if let Err(error) = lane.try_tell(Body::Copy(b"late")) {
                return error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(refused, SendError::Closed { reason: Bytes::from_static(b"gone fishing") });
}

#[tokio::test]
async fn a_port_lives_as_long_as_the_peers_references_to_it() {
    let (parent, runner, _listener) = linked().await;
    assert_eq!(parent.link.exported(), 1);
    let mut port = open_port(&parent);
    assert!(parent.link.export(port.port()), "named twice");
    let (one, two) = (runner.link.lane(port.port()), runner.link.lane(port.port()));
    drop(one.clone());
    drop(one);
    two.tell(Body::Copy(b"still here")).unwrap();
    assert_eq!(next(&mut port).await.unwrap().0, "still here");
    two.tell(Body::Copy(b"last words")).unwrap();
    drop(two);
    // What was sent before comes first.
    assert_eq!(next(&mut port).await.unwrap().0, "last words");
    assert!(next(&mut port).await.is_none());
    assert_eq!(parent.link.exported(), 1);
    // Its number may be another's now.
    let mut again = open_port(&parent);
    let lane = runner.link.lane(again.port());
    lane.tell(Body::Copy(b"new")).unwrap();
    assert_eq!(next(&mut again).await.unwrap().0, "new");
}

#[tokio::test]
async fn an_ask_that_nobody_waits_for_is_cancelled_or_never_sent() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    let ask = lane.ask(Body::Copy(b"first")).unwrap();
    let (_, question) = next(&mut parent.inbox).await.unwrap();
    let owed = parent.link.answers().owe(question.unwrap());
    drop(ask);
    soon(owed.cancelled()).await;
    owed.reply(Body::Copy(b"late"));
    runner.heard.until(|heard| *heard.unclaimed.lock().unwrap() == [b"late"]).await;
    // Without credit it waits on this side, and is taken back.
    while lane.try_tell(Body::Own(Bytes::from(vec![0; 1000]))).is_ok() {}
    let kept = lane.ask(Body::Copy(b"kept")).unwrap();
    drop(lane.ask(Body::Copy(b"dropped")).unwrap());
    let after = lane.ask(Body::Copy(b"after")).unwrap();
    let mut asks = Vec::new();
    let mut answers = parent.link.answers();
    while asks.len() < 2 {
        let (body, question) = next(&mut parent.inbox).await.unwrap();
        if let Some(question) = question {
            answers.reply(question, Body::Copy(&body));
            answers.flush();
            asks.push(body);
        }
    }
    assert_eq!(asks, ["kept", "after"]);
    assert_eq!((soon(kept).await.unwrap(), soon(after).await.unwrap()), ("kept".into(), "after".into()));
}

#[tokio::test]
async fn an_answer_that_is_given_up_is_told() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    let (given_up, refused) = (lane.ask(Body::Copy(b"1")).unwrap(), lane.ask(Body::Copy(b"2")).unwrap());
    let mut answers = parent.link.answers();
    drop(answers.owe(next(&mut parent.inbox).await.unwrap().1.unwrap()));
    answers.refuse(next(&mut parent.inbox).await.unwrap().1.unwrap(), Body::Copy(b"no"));
    answers.flush();
    assert_eq!(soon(given_up).await, Err(AskError::Dropped));
    assert_eq!(soon(refused).await, Err(AskError::Refused { body: Bytes::from_static(b"no") }));
}
