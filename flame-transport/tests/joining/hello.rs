//! Those whose certificate is good and whose words are not.

use std::time::Duration;

use flame_transport::{Build, JoinError, LinkConfig, Listener, NodeId, Refusal, join};
use quinn::Connection;

use crate::support::*;

const MALFORMED: u64 = 1;
const TOO_SLOW: u64 = 4;

#[tokio::test]
async fn another_build_is_refused_and_both_sides_learn_both_builds() {
    let other = |change: fn(&mut Build)| {
        let mut build = build();
        change(&mut build);
        build
    };
    for other in [
        other(|build| build.version = "9.9.9".into()),
        other(|build| build.id = "beef".into()),
        other(|build| build.types[31] = 0),
    ] {
        let listener = listen();
        let invitation = listener.invite("r", MINUTE).unwrap();
        let error = join(&invitation, &other, &LinkConfig::default()).await.unwrap_err();
        let expected = Refusal::Build { parent: Box::new(build()), runner: Box::new(other.clone()) };
        assert_eq!(listener.refusal(&invitation.node), Some(expected.clone()));
        let text = error.to_string();
        assert!(text.contains(&build().to_string()) && text.contains(&other.to_string()), "{text}");
        let JoinError::Refused(reason) = error else { panic!("{text}") };
        assert_eq!(reason, expected);
        assert_nobody_got_in(&listener).await;
    }
}

#[tokio::test]
async fn a_node_that_says_to_be_another_is_refused() {
    let listener = listen();
    let (victim, mut attacker) =
        (listener.invite("victim", MINUTE).unwrap(), listener.invite("r", MINUTE).unwrap());
    let certificate = std::mem::replace(&mut attacker.node, victim.node.clone());
    let error = join_with(&attacker).await.unwrap_err();
    let JoinError::Refused(reason) = error else { panic!("{error:?}") };
    assert_eq!(reason, Refusal::WrongNode { certificate, claimed: victim.node.clone() });
    assert_nobody_got_in(&listener).await;
    join_with(&victim).await.unwrap();
}

#[tokio::test]
async fn a_node_that_looks_for_another_parent_is_refused() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let mut hello = Hello::of(&invitation);
    hello.parent = NodeId::new("parent").unwrap();
    let (_endpoint, connection) = dial_in(&invitation).await;
    let (mut control, _) = connection.open_bi().await.unwrap();
    control.write_all(&hello.to_bytes()).await.unwrap();
    let (mut data, _) = connection.open_bi().await.unwrap();
    data.write_all(&[1]).await.unwrap();
    eventually(|| listener.stats().refused == 1).await;
    let expected = Refusal::WrongParent { expected: hello.parent, actual: invitation.parent.clone() };
    assert_eq!(listener.refusal(&invitation.node), Some(expected));
    connection.close(0_u32.into(), &[]);
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_malformed_hello_closes_its_own_connection_only() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let good = Hello::of(&invitation);
    let mut forged = Hello::of(&invitation);
    forged.build.version = "v\nINFO all is well".into();
    let mut long = Hello::of(&invitation);
    long.build.id = "x".repeat(Build::MAX_TEXT + 1);
    let mut huge = Hello::of(&invitation);
    huge.build.id = "x".repeat(20 << 10);
    let bodies: [Vec<u8>; 8] = [
        vec![0xff; 64],                                                // a length of 4 GiB
        [&[0, 64, 0, 1][..], &[0; 64]].concat(),                       // a length of 16 MiB
        [&[8, 0, 0, 0][..], &[0xc1; 8]].concat(),                      // no MessagePack
        [&[5, 0, 0, 0][..], &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat(), // an array of 4 billion
        vec![0; 4],                                                    // nothing
        forged.to_bytes(),
        long.to_bytes(),
        huge.to_bytes(),
    ];
    let (near, far) = link(&listener, "bystander").await;
    for body in bodies {
        let (_endpoint, connection) = dial_in(&invitation).await;
        let (mut control, _receive) = connection.open_bi().await.unwrap();
        // The parent may close before it has taken all.
        let _ = control.write_all(&body).await;
        assert_eq!(close_code(&end_of(&connection).await), Some(MALFORMED), "{body:?}");
    }
    assert_eq!(listener.stats().failed, 8);
    // A wrong first byte on the data stream is as bad.
    let (_endpoint, connection) = dial_in(&invitation).await;
    say_hello(&connection, &good.to_bytes(), 2).await;
    assert_eq!(close_code(&end_of(&connection).await), Some(MALFORMED));

    eventually(|| listener.stats().handshakes == 0 && listener.stats().connections == 1).await;
    join_with(&invitation).await.unwrap();
    let (near, far) = (near.into_parts(), far.into_parts());
    assert!(near.0.close_reason().is_none() && far.0.close_reason().is_none());
}

#[tokio::test]
async fn a_hello_cut_anywhere_never_joins() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let whole = Hello::of(&invitation).to_bytes();
    for cut in (0..whole.len()).step_by(7) {
        let (_endpoint, connection) = dial_in(&invitation).await;
        let (mut control, _receive) = connection.open_bi().await.unwrap();
        control.write_all(&whole[..cut]).await.unwrap();
        control.finish().unwrap();
        assert_eq!(close_code(&end_of(&connection).await), Some(MALFORMED), "cut at {cut}");
    }
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_is_ended_and_delays_nobody() {
    let listener = listen_with(LinkConfig::default().with_handshake_timeout(Duration::from_secs(3)));
    let invitation = listener.invite("r", MINUTE).unwrap();
    let whole = Hello::of(&invitation).to_bytes();
    let mut stuck = vec![dial_in(&invitation).await];
    for part in [&whole[..2], &whole[..9], &whole[..]] {
        let (endpoint, connection) = dial_in(&invitation).await;
        let (mut control, receive) = connection.open_bi().await.unwrap();
        control.write_all(part).await.unwrap();
        // Kept open: a dropped stream would be an end.
        std::mem::forget((control, receive));
        stuck.push((endpoint, connection));
    }
    eventually(|| listener.stats().handshakes == 4).await;
    link(&listener, "honest").await;
    assert_eq!(listener.stats().handshakes, 4, "the honest one waited for the others");
    for (_endpoint, connection) in &stuck {
        assert_eq!(close_code(&end_of(connection).await), Some(TOO_SLOW));
    }
    eventually(|| listener.stats().handshakes == 0 && listener.stats().failed == 4).await;
}

#[tokio::test]
async fn a_refused_node_that_does_not_hang_up_is_hung_up_on() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    listener.revoke(&invitation.node);
    let (_endpoint, connection) = dial_in(&invitation).await;
    let _streams = say_hello(&connection, &Hello::of(&invitation).to_bytes(), 1).await;
    assert_eq!(close_code(&end_of(&connection).await), Some(2));
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn refused_joins_leave_nothing_behind() {
    let listener = listen();
    let waiting = listener.invite("waiting", MINUTE).unwrap();
    let used = listener.invite("used", MINUTE).unwrap();
    listener.revoke(&used.node);
    for _ in 0..20 {
        assert!(join_with(&used).await.is_err());
    }
    assert_eq!(listener.stats().refused, 20);
    assert_eq!(listener.stats().invited, 1);
    assert_nobody_got_in(&listener).await;
    join_with(&waiting).await.unwrap();
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let (_endpoint, connection) = dial(&invitation, true, b"flame/2").await;
    assert!(is_alert(&connection.unwrap_err(), 120));
    invitation.addresses = vec![impostor(&as_parent(&listener), b"h3", &[])];
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::Protocol { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_malformed_answer_is_an_error_and_no_panic() {
    let listener = listen();
    for answer in [&[0xff; 64][..], &[0, 0, 0, 0], &[4, 0, 0, 0, 0xdf, 0xff, 0xff, 0xff]] {
        let mut invitation = listener.invite("r", MINUTE).unwrap();
        invitation.addresses = vec![impostor(&as_parent(&listener), ALPN, answer)];
        let error = join_with(&invitation).await.unwrap_err();
        assert!(matches!(error, JoinError::Protocol { .. }), "{error:?}");
    }
}

/// Credentials that any runner of `listener` takes for the parent's.
fn as_parent(listener: &Listener) -> flame_transport::Credentials {
    let parent = listener.invite("r", MINUTE).unwrap().parent;
    let name = format!("{:016x}.parent.flame.internal", parent.incarnation());
    let mut params = rcgen::CertificateParams::new([name]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    listener.authority().sign(params).unwrap()
}

type Stream = (quinn::SendStream, quinn::RecvStream);

async fn say_hello(connection: &Connection, hello: &[u8], preamble: u8) -> (Stream, Stream) {
    let mut control = connection.open_bi().await.unwrap();
    control.0.write_all(hello).await.unwrap();
    let mut data = connection.open_bi().await.unwrap();
    data.0.write_all(&[preamble]).await.unwrap();
    (control, data)
}
