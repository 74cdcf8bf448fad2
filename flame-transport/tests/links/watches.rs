//! Waiting for room in a lane, and for its end.

use std::{
    future::poll_fn,
    task::{Context, Waker},
};

use bytes::Bytes;
use flame_transport::{Body, Lane, LaneWatch, LinkLost, SendError};

use crate::support::{Node, linked, next, soon};

async fn room(watch: &LaneWatch) -> Result<(), SendError> {
    soon(poll_fn(|cx| watch.poll_room(cx))).await
}

fn has_room_now(watch: &LaneWatch) -> bool {
    watch.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn fill(lane: &Lane) {
    while lane.try_tell(Body::Own(Bytes::from(vec![0; 16_000]))).is_ok() {}
}

/// A port of the node's, named to its peer once.
fn open_port(node: &Node) -> flame_transport::Inbox {
    let inbox = node.link.open_port();
    assert!(node.link.export(inbox.port()));
    inbox
}

#[tokio::test]
async fn a_full_lane_has_room_when_what_it_holds_is_handled() {
    let (parent, runner, _listener) = linked().await;
    let mut slow = open_port(&parent);
    let lane = runner.link.lane(slow.port());
    let watch = lane.watch();
    room(&watch).await.unwrap();
    fill(&lane);
    assert!(!has_room_now(&watch));
    let waits = tokio::spawn(async move { room(&watch).await });
    // It waits before anything is handled.
    tokio::task::yield_now().await;
    for _ in 0..40 {
        next(&mut slow).await.unwrap();
    }
    soon(waits).await.unwrap().unwrap();
    lane.try_tell(Body::Copy(b"again")).unwrap();
}

#[tokio::test]
async fn a_lane_that_lacks_only_the_links_credit_has_room_when_another_lane_is_handled() {
    let (parent, runner, _listener) = linked().await;
    // The link's window is that of 16 lanes.
    let mut slow: Vec<_> = (0..16).map(|_| open_port(&parent)).collect();
    let lanes: Vec<_> = slow.iter().map(|inbox| runner.link.lane(inbox.port())).collect();
    lanes.iter().for_each(fill);
    let idle = open_port(&parent);
    let watch = runner.link.lane(idle.port()).watch();
    assert!(!has_room_now(&watch));
    let waits = tokio::spawn(async move { room(&watch).await });
    // It waits before anything is handled.
    tokio::task::yield_now().await;
    for inbox in &mut slow[..8] {
        for _ in 0..60 {
            next(inbox).await.unwrap();
        }
    }
    // Sooner than whoever waits looks for himself, because his time is up.
    let woken = tokio::time::timeout(std::time::Duration::from_secs(10), waits).await;
    woken.expect("it is woken").unwrap().unwrap();
}

#[tokio::test]
async fn a_closed_lane_wakes_whoever_waits_with_the_reason() {
    let (parent, runner, _listener) = linked().await;
    let port = open_port(&parent);
    let lane = runner.link.lane(port.port());
    fill(&lane);
    let (waits, sees) = (lane.watch(), lane.watch());
    let waits = tokio::spawn(async move { room(&waits).await });
    let sees = tokio::spawn(async move { soon(poll_fn(|cx| sees.poll_closed(cx))).await });
    assert!(!lane.is_closed());
    port.close(&Bytes::from_static(b"enough"));
    let reason = SendError::Closed { reason: Bytes::from_static(b"enough") };
    assert_eq!(soon(waits).await.unwrap(), Err(reason.clone()));
    assert_eq!(soon(sees).await.unwrap(), reason);
    assert!(lane.is_closed());
}

#[tokio::test]
async fn a_lost_link_wakes_whoever_waits_on_its_lanes() {
    let (parent, runner, _listener) = linked().await;
    let port = open_port(&parent);
    let lane = runner.link.lane(port.port());
    fill(&lane);
    let watch = lane.watch();
    let waits = tokio::spawn(async move { room(&watch).await });
    // It waits before anything is handled.
    tokio::task::yield_now().await;
    runner.link.abort("no more");
    let lost = SendError::Lost(LinkLost::Closed { reason: "no more".into() });
    assert_eq!(soon(waits).await.unwrap(), Err(lost));
}

#[tokio::test]
async fn what_is_told_in_turn_waits_even_where_the_backlog_is_full() {
    let (parent, runner, _listener) = linked().await;
    let mut slow = open_port(&parent);
    let lane = runner.link.lane(slow.port());
    let mut told = 0;
    while lane.tell(Body::Own(Bytes::from(vec![0; 16_000]))).is_ok() {
        told += 1;
    }
    lane.tell_in_turn(Body::Copy(b"last")).unwrap();
    for _ in 0..told {
        next(&mut slow).await.unwrap();
    }
    assert_eq!(next(&mut slow).await.unwrap().0, "last");
}
