//! Those who join, and what they then have.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    time::Duration,
};

use flame_transport::{
    AcceptError, Invitation, InviteError, JoinError, Joined, LinkConfig, Listener, NodeId, Refusal, Side,
    join,
};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::support::*;

#[tokio::test]
async fn both_sides_know_each_other_and_have_a_control_and_a_data_stream() {
    let listener = listen();
    let (parent, runner) = link(&listener, "thumbs-1").await;
    assert_eq!((parent.side(), runner.side()), (Side::Parent, Side::Runner));
    assert_eq!((parent.peer(), parent.local()), (runner.local(), runner.peer()));
    assert_eq!(runner.remote_address(), listener.local_addr());

    let (_connection, _, mut control, mut data) = parent.into_parts();
    let (_connection, _endpoint, mut far_control, mut far_data) = runner.into_parts();
    for (near, far) in [(&mut control, &mut far_control), (&mut data, &mut far_data)] {
        let mut heard = [0; 4];
        near.0.write_all(b"down").await.unwrap();
        far.1.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"down");
        far.0.write_all(b"up  ").await.unwrap();
        near.1.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"up  ");
    }
}

#[tokio::test]
async fn an_invitation_works_after_it_has_travelled() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let bytes = rmp_serde::to_vec(&invitation).unwrap();
    let travelled: Invitation = rmp_serde::from_slice(&bytes).unwrap();
    join_with(&travelled).await.unwrap();
    let config = LinkConfig::default().with_mtu(1300);
    let bytes = rmp_serde::to_vec(&config).unwrap();
    assert_eq!(rmp_serde::from_slice::<LinkConfig>(&bytes).unwrap(), config);
}

#[tokio::test]
async fn a_listener_can_be_bound_from_a_thread_without_a_runtime() {
    let runtime = Handle::current();
    let bind = move || {
        Listener::bind(anywhere(), NodeId::new("parent").unwrap(), build(), LinkConfig::default(), &runtime)
    };
    let listener = std::thread::spawn(bind).join().unwrap().unwrap();
    link(&listener, "r").await;
}

#[tokio::test]
async fn a_parent_that_listens_everywhere_is_found_on_this_machine() {
    let ips: [IpAddr; 3] =
        [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in ips {
        if UdpSocket::bind((ip, 0)).is_err() {
            continue; // This machine has no IPv6.
        }
        let parent = NodeId::new("parent").unwrap();
        let bound =
            Listener::bind((ip, 0).into(), parent, build(), LinkConfig::default(), &Handle::current());
        link(&bound.unwrap(), "r").await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = UdpSocket::bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let parent = NodeId::new("parent").unwrap();
    let error =
        Listener::bind(address, parent, build(), LinkConfig::default(), &Handle::current()).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn many_join_at_once() {
    let listener = listen();
    let invitations: Vec<_> = (0..20).map(|n| listener.invite(&format!("r-{n}"), MINUTE).unwrap()).collect();
    let (joined, accepted) = tokio::join!(
        futures_util::future::join_all(invitations.iter().map(join_with)),
        futures_util::future::join_all(invitations.iter().map(|_| accept(&listener))),
    );
    assert!(joined.iter().all(Result::is_ok));
    let mut came: Vec<_> = accepted.iter().map(|joined| joined.peer().clone()).collect();
    let mut invited: Vec<_> = invitations.iter().map(|invitation| invitation.node.clone()).collect();
    came.sort();
    invited.sort();
    assert_eq!(came, invited);
}

#[tokio::test]
async fn a_waiter_that_gives_up_loses_no_node() {
    let listener = listen();
    let mut waiting = Box::pin(listener.accept());
    assert!((&mut waiting).now_or_never().is_none());
    drop(waiting);
    link(&listener, "r").await;
}

#[tokio::test]
async fn a_closed_listener_says_so_and_leaves_links_alone() {
    let listener = listen();
    let (parent, runner) = link(&listener, "first").await;
    let late = listener.invite("late", MINUTE).unwrap();
    let mut waiting = Box::pin(listener.accept());
    assert!((&mut waiting).now_or_never().is_none());

    listener.close();
    assert_eq!(waiting.await.unwrap_err(), AcceptError::Closed);
    assert_eq!(listener.accept().await.unwrap_err(), AcceptError::Closed);
    assert!(matches!(listener.invite("r", MINUTE), Err(InviteError::Closed)));
    let error = join_with(&late).await.unwrap_err();
    assert!(matches!(error, JoinError::Refused(Refusal::ShuttingDown)), "{error:?}");
    assert_still_linked((parent, runner)).await;
}

#[tokio::test]
async fn a_link_outlives_its_listener() {
    let listener = listen();
    let ends = link(&listener, "r").await;
    drop(listener);
    assert_still_linked(ends).await;
}

#[tokio::test]
async fn a_dropped_listener_ends_its_handshakes_and_frees_its_address() {
    let listener = listen();
    let (address, invitation) = (listener.local_addr(), listener.invite("r", MINUTE).unwrap());
    let (_endpoint, connection) = dial_in(&invitation).await;
    eventually(|| listener.stats().handshakes == 1).await;
    drop(listener);
    assert!(close_code(&end_of(&connection).await).is_some());
    eventually(|| UdpSocket::bind(address).is_ok()).await;
}

#[tokio::test]
async fn values_out_of_bounds_are_errors_before_anything_is_sent() {
    let bad = LinkConfig::default().with_lease(Duration::ZERO);
    let (parent, runtime) = (NodeId::new("parent").unwrap(), Handle::current());
    assert!(Listener::bind(anywhere(), parent.clone(), build(), bad.clone(), &runtime).is_err());
    let mut forged = build();
    forged.id = "x\nINFO all is well".into();
    let config = LinkConfig::default();
    assert!(Listener::bind(anywhere(), parent, forged.clone(), config.clone(), &runtime).is_err());

    let listener = listen();
    assert!(listener.invite("No Name", MINUTE).is_err());
    assert!(listener.invite("r", Duration::MAX).is_err());
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    assert!(matches!(join(&invitation, &build(), &bad).await, Err(JoinError::Config(_))));
    assert!(matches!(join(&invitation, &forged, &config).await, Err(JoinError::Build(_))));
    invitation.addresses.clear();
    assert!(matches!(join(&invitation, &build(), &config).await, Err(JoinError::NoAddress)));
}

#[test]
fn ends_can_be_moved_between_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Joined>();
    send_and_sync::<Listener>();
    fn send<T: Send>(_: impl FnOnce(&'static Invitation) -> T) {}
    send(|invitation| async move { join(invitation, &build(), &LinkConfig::default()).await });
}

async fn assert_still_linked((parent, runner): (Joined, Joined)) {
    let (_near, _, mut control, _) = parent.into_parts();
    let (_far, _endpoint, mut far_control, _) = runner.into_parts();
    control.0.write_all(b"x").await.unwrap();
    let mut heard = [0];
    far_control.1.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"x");
}
