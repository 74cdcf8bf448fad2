//! How links end, and who hears of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use flame_transport::{AskError, Body, LinkConfig, LinkLost, MAIN_PORT, SendError};

use crate::support::{joined, linked, linked_with, next, node, soon};

const PING: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_secs(1);

/// A short lease, and patience of QUIC's own far beyond it: it is the lease that ends such a link.
fn quick() -> LinkConfig {
    LinkConfig::default()
        .with_ping_interval(PING)
        .with_lease(LEASE)
        .with_idle_timeout(Duration::from_secs(60))
}

/// Whether a link that began then has ended by its lease, neither early nor late.
fn is_in_time(begin: Instant) -> bool {
    (LEASE - PING..LEASE * 3).contains(&begin.elapsed())
}

#[tokio::test]
async fn a_link_that_is_closed_delivers_what_was_sent_and_says_why() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    for n in 0..100u8 {
        lane.tell(Body::Own(Bytes::from(vec![n; 5000]))).unwrap();
    }
    runner.link.close("it is done");
    for n in 0..100u8 {
        assert_eq!(next(&mut parent.inbox).await.unwrap().0[0], n);
    }
    assert!(next(&mut parent.inbox).await.is_none());
    assert_eq!(soon(parent.link.ended()).await, LinkLost::ClosedByPeer { reason: "it is done".into() });
    assert_eq!(soon(runner.link.ended()).await, LinkLost::Closed { reason: "it is done".into() });
}

#[tokio::test]
async fn a_link_that_is_closed_delivers_what_waited_for_credit() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    // More than a lane's window, which nobody takes from yet.
    for n in 0..170u8 {
        lane.tell(Body::Own(Bytes::from(vec![n; 10_000]))).unwrap();
    }
    runner.link.close("it is done");
    for n in 0..170u8 {
        assert_eq!(next(&mut parent.inbox).await.unwrap().0[0], n);
    }
    assert_eq!(soon(parent.link.ended()).await, LinkLost::ClosedByPeer { reason: "it is done".into() });
    assert!(runner.heard.unsent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_owner_hears_of_a_loss_before_those_who_wait_for_answers() {
    let (parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    let (told, tells) = std::sync::mpsc::channel();
    let mut open = Vec::new();
    for _ in 0..10 {
        let (told, heard) = (told.clone(), Arc::clone(&runner.heard));
        let asked = lane.ask_then(Body::Copy(b"?"), move |outcome| {
            let _ = told.send((outcome, heard.losing.load(Ordering::SeqCst)));
        });
        open.push(asked.unwrap());
    }
    parent.link.abort("enough");
    soon(runner.link.ended()).await;
    runner.heard.until(|heard| !heard.lost.lock().unwrap().is_empty()).await;
    let told: Vec<_> = tells.try_iter().collect();
    assert_eq!(told.len(), 10);
    assert!(
        told.iter().all(|(outcome, known)| matches!(outcome, Err(AskError::Lost(_))) && *known),
        "{told:?}"
    );
}

#[tokio::test]
async fn tells_that_never_left_are_handed_back() {
    for port_ends in [true, false] {
        let (parent, runner, _listener) = linked().await;
        let lane = runner.link.lane(MAIN_PORT);
        let mut left = 0;
        while lane.try_tell(Body::Own(Bytes::from(vec![0; 10_000]))).is_ok() {
            left += 1;
        }
        for n in 1..=20u8 {
            lane.tell(Body::Own(Bytes::from(vec![n; 10_000]))).unwrap();
        }
        if port_ends {
            parent.inbox.close(&Bytes::from_static(b"enough"));
            parent.heard.until(|heard| heard.dead.lock().unwrap().len() == left).await;
        } else {
            parent.link.abort("enough");
        }
        runner.heard.until(|heard| heard.unsent.lock().unwrap().len() == 20).await;
        let unsent: Vec<u8> = runner.heard.unsent.lock().unwrap().iter().map(|body| body[0]).collect();
        assert_eq!(unsent, (1..=20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_lost_link_is_told_once_and_fails_all_that_waits() {
    let (mut parent, runner, _listener) = linked().await;
    let lane = runner.link.lane(MAIN_PORT);
    let asks: Vec<_> = (0..10).map(|_| lane.ask(Body::Copy(b"?")).unwrap()).collect();
    let (_, question) = next(&mut parent.inbox).await.unwrap();
    let owed = parent.link.answers().owe(question.unwrap());
    runner.link.abort("enough");
    runner.link.abort("again");
    for ask in asks {
        let error = soon(ask).await.unwrap_err();
        assert_eq!(error, AskError::Lost(LinkLost::Closed { reason: "enough".into() }));
    }
    soon(owed.cancelled()).await;
    for heard in [&parent.heard, &runner.heard] {
        heard.until(|heard| heard.lost.lock().unwrap().len() == 1).await;
    }
    assert!(matches!(lane.try_tell(Body::Copy(b"x")), Err(SendError::Lost(_))));
    assert!(matches!(lane.ask(Body::Copy(b"x")), Err(SendError::Lost(_))));
    assert!(!runner.link.signal(b"x"));
    assert_eq!(runner.heard.lost.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_idle_link_outlives_many_leases() {
    let (parent, runner, _listener) = linked_with(quick()).await;
    tokio::time::sleep(LEASE * 5).await;
    assert_eq!((parent.link.lost(), runner.link.lost()), (None, None));
    assert!(parent.link.last_heard().elapsed() < LEASE);
}

#[tokio::test]
async fn a_runner_whose_pings_are_not_answered_ends_by_its_lease() {
    let (parent, runner, _listener) = joined(quick()).await;
    // QUIC itself goes on answering: only the link's own pings are not.
    let _silent = parent.into_parts();
    let begin = Instant::now();
    let runner = node(runner);
    assert_eq!(soon(runner.link.ended()).await, LinkLost::LeaseExpired);
    assert!(is_in_time(begin), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_parent_gives_up_a_runner_that_does_not_ping() {
    let (parent, runner, _listener) = joined(quick()).await;
    let _silent = runner.into_parts();
    let begin = Instant::now();
    let parent = node(parent);
    assert_eq!(soon(parent.link.ended()).await, LinkLost::TimedOut);
    assert!(is_in_time(begin), "{:?}", begin.elapsed());
}
