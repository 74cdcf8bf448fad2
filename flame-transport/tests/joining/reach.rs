//! Finding a parent that is not there yet, or not everywhere.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use flame_transport::{JoinError, LinkConfig, join};

use crate::support::*;

#[tokio::test]
async fn a_parent_that_does_not_listen_yet_is_waited_for() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let closed = closed_port();
    invitation.addresses = vec![closed];
    let mut joining = Box::pin(join_with(&invitation));
    let early = tokio::time::timeout(Duration::from_millis(700), &mut joining).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(listener.stats().joined, 0);
    forward(closed, listener.local_addr());
    joining.await.unwrap();
    assert_eq!(listener.stats().joined, 1);
}

#[tokio::test]
async fn a_parent_that_never_listens_is_given_up_at_the_deadline() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let closed = closed_port();
    invitation.addresses = vec![closed];
    invitation.valid_for = Duration::from_millis(600);
    let began = std::time::Instant::now();
    let error = join(&invitation, &build(), &LinkConfig::default()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn every_address_is_tried() {
    let listener = listen();
    let attacker = listener.invite("attacker", MINUTE).unwrap();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    invitation.addresses = vec![
        closed_port(),
        impostor(&attacker.credentials, ALPN, &[]),
        (anywhere().ip(), 0).into(), // cannot be dialled at all
        listener.local_addr(),
    ];
    join_with(&invitation).await.unwrap();
}

#[tokio::test]
async fn where_no_address_can_ever_do_the_error_comes_at_once() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    invitation.addresses = vec![(anywhere().ip(), 0).into()];
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::Socket { .. }), "{error:?}");
}

/// An address of this machine where nobody listens. Its port is below those that systems give to whoever asks for any, or
/// another test would soon have it.
fn closed_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let address = (anywhere().ip(), 20_000 + spread + NEXT.fetch_add(1, Relaxed)).into();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Carries datagrams between whoever sends to `at` and `to`, until the test process ends.
fn forward(at: SocketAddr, to: SocketAddr) {
    let (front, back) = (UdpSocket::bind(at).unwrap(), UdpSocket::bind(anywhere()).unwrap());
    let (front, back) = (Arc::new(front), Arc::new(back));
    let client = Arc::new(Mutex::new(None));
    let (front2, back2, client2) = (front.clone(), back.clone(), client.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((length, from)) = front.recv_from(&mut buffer) {
            *client.lock().unwrap() = Some(from);
            let _ = back.send_to(&buffer[..length], to);
        }
    });
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((length, _)) = back2.recv_from(&mut buffer) {
            let client = client2.lock().unwrap().unwrap();
            let _ = front2.send_to(&buffer[..length], client);
        }
    });
}
