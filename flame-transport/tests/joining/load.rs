//! More who come than can be served.

use std::net::UdpSocket;

use flame_transport::{LinkConfig, join};

use crate::support::*;

#[tokio::test]
async fn beyond_the_bound_nodes_wait_their_turn_and_links_go_on() {
    // A machine that stands still for some seconds must not end what waits here: that is not what is tested.
    let patient = LinkConfig::default().with_handshake_timeout(MINUTE).with_idle_timeout(MINUTE);
    let listener = listen_with(patient.clone());
    let bystander = listener.invite("bystander", MINUTE).unwrap();
    let build = build();
    let (far, near) = tokio::join!(join(&bystander, &build, &patient), accept(&listener));
    let far = far.unwrap();
    let invitation = listener.invite("stuck", MINUTE).unwrap();
    // A hello that never comes holds a handshake until its deadline. One after the other, so that none waits.
    let mut stuck = Vec::new();
    while listener.stats().handshakes < 128 {
        stuck.push(dial_in(&invitation).await);
        eventually(|| listener.stats().handshakes == stuck.len()).await;
    }
    let late = listener.invite("late", MINUTE).unwrap();
    let mut joining = Box::pin(join_with(&late));
    tokio::select! {
        joined = &mut joining => panic!("there was room: {joined:?}"),
        () = eventually(|| listener.stats().turned_away > 0) => {}
    }
    assert_eq!(listener.stats().handshakes, 128);
    stuck.truncate(100);
    joining.await.unwrap();

    let (mut control, mut far_control) = (near.into_parts(), far.into_parts());
    control.2.0.write_all(b"x").await.unwrap();
    let mut heard = [0];
    far_control.2.1.read_exact(&mut heard).await.unwrap();
}

#[tokio::test]
async fn datagrams_that_are_no_quic_harm_nobody() {
    let listener = listen();
    let noise = UdpSocket::bind(anywhere()).unwrap();
    for length in 0..1500 {
        let byte = u8::try_from(length % 251).unwrap();
        let _ = noise.send_to(&vec![byte | 0xc0; length], listener.local_addr());
        let _ = noise.send_to(&vec![byte; length], listener.local_addr());
    }
    link(&listener, "r").await;
    assert_eq!(listener.stats().joined, 1);
}
