//! Linking: the owner goes, the child stops, with `stopping` and `stopped` on its runner.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{Child, DownReason, PlaceFailure, Pool, Restart, remote};
use flame_tests::{
    process_id,
    scribe::{Act, Do, Scribe, Write},
    support::{signal, soon, until},
    tests,
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::{builder, start, until_it};

tests![
    a_child_whose_owner_goes_stops_on_its_runner,
    a_supervised_child_whose_owner_goes_stops_and_stays_stopped,
    a_child_in_a_field_goes_with_its_actor,
    a_detached_child_survives_its_owner_and_not_its_last_address,
    a_child_is_stopped_with_a_reason_and_within_its_grace,
    a_child_that_refuses_to_stop_is_ended_after_its_grace,
    a_stop_and_a_deadline_are_not_held_up_by_a_full_lane,
    a_start_that_panics_is_a_typed_error_and_frees_its_slot,
    an_owner_that_goes_between_two_incarnations_ends_the_child,
    a_supervised_child_whose_first_start_fails_is_a_typed_error_and_comes_back,
];

async fn a_child_whose_owner_goes_stops_on_its_runner() {
    let pool = builder("linked").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    // Whoever has its address owns nothing.
    let _address = child.addr();
    drop(child);
    assert_eq!(until_it(&mut deeds, Act::Stopping).await, pid);
    assert_eq!(until_it(&mut deeds, Act::Stopped).await, pid);
    until("the slot is free", || pool.inspect().held == 0).await;
}

async fn a_supervised_child_whose_owner_goes_stops_and_stays_stopped() {
    let pool = builder("linked-again").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    let watch = child.watch();
    let _address = child.addr();
    drop(child);
    assert_eq!(until_it(&mut deeds, Act::Stopped).await, pid);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    until("the slot is free", || pool.inspect().held == 0).await;
    // A restart would have come before this call.
    pool.call(process_id::task()).await.unwrap();
    assert!(deeds.try_recv().is_err());
}

struct Owner {
    _child: Child<Scribe>,
}

impl Actor for Owner {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Go;

impl Handler<Go> for Owner {
    type Result = ();

    fn handle(&mut self, _: Go, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

async fn a_child_in_a_field_goes_with_its_actor() {
    let pool = builder("field").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).await.unwrap();
    let watch = child.watch();
    let _address = child.addr();
    let owner = Owner { _child: child }.start();
    owner.do_send(Go);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    until_it(&mut deeds, Act::Stopped).await;
}

async fn a_detached_child_survives_its_owner_and_not_its_last_address() {
    for restart in [Restart::Temporary, Restart::Permanent] {
        let pool = builder("detached").start().unwrap();
        let (scribe, mut deeds) = Scribe::new();
        let address = pool.place_child(scribe).restart(restart).await.unwrap().detach();
        let (pid, _) = start(&mut deeds).await;
        assert_eq!(soon(address.send(Write { sender: 0, number: 0 })).await.unwrap(), pid);
        let watch = address.watch();
        drop(address);
        assert_eq!(soon(watch).await.reason, DownReason::Stopped, "{restart:?}");
        until("the slot is free", || pool.inspect().held == 0).await;
    }
}

async fn a_child_is_stopped_with_a_reason_and_within_its_grace() {
    for restart in [Restart::Temporary, Restart::Permanent] {
        let pool = builder("reason").start().unwrap();
        let (scribe, mut deeds) = Scribe::new();
        let child = pool.place_child(scribe).restart(restart).await.unwrap();
        let down = soon(child.stop("closing time", Duration::from_secs(60))).await;
        assert_eq!(down.reason, DownReason::Shutdown { reason: "closing time".into() }, "{restart:?}");
        until_it(&mut deeds, Act::Stopped).await;
    }
}

async fn a_child_that_refuses_to_stop_is_ended_after_its_grace() {
    for restart in [Restart::Temporary, Restart::Permanent] {
        let grace = Duration::from_millis(400);
        let pool = builder("grace").start().unwrap();
        let (scribe, mut deeds) = Scribe::new();
        let child = pool.place_child(scribe).restart(restart).await.unwrap();
        child.send(Do::Resist).await.unwrap();
        let asked = Instant::now();
        let down = soon(child.stop("enough", grace)).await;
        assert_eq!(down.reason, DownReason::Shutdown { reason: "enough".into() }, "{restart:?}");
        assert!(asked.elapsed() >= grace, "{:?}", asked.elapsed());
        until_it(&mut deeds, Act::Stopping).await;
        until("the slot is free", || pool.inspect().held == 0).await;
    }
}

async fn a_stop_and_a_deadline_are_not_held_up_by_a_full_lane() {
    let lifetime = Duration::from_millis(500);
    let pool = builder("overtaken").start().unwrap();
    for lifetime in [None, Some(lifetime)] {
        let child = pool.place_child(Scribe::new().0).lifetime(lifetime).await.unwrap();
        let watch = child.watch();
        child.do_send(Do::Halt);
        let mut taken = 0;
        while child.try_send(Do::Panic("x".repeat(10_000))).is_ok() {
            taken += 1;
        }
        assert!(taken > 10, "{taken} messages fill the lane");
        let wanted = match lifetime {
            Some(lifetime) => DownReason::Deadline { lifetime },
            None => {
                drop(child.stop("enough", Duration::from_secs(60)));
                DownReason::Shutdown { reason: "enough".into() }
            }
        };
        assert_eq!(soon(watch).await.reason, wanted);
    }
}

/// Panics when it starts.
#[derive(Debug, Serialize, Deserialize)]
struct Doomed;

impl Actor for Doomed {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        panic!("not today");
    }
}

#[remote]
impl Handler<Write> for Doomed {
    type Result = u32;
    fn handle(&mut self, _: Write, _: &mut Context<Self>) -> u32 {
        0
    }
}

async fn a_start_that_panics_is_a_typed_error_and_frees_its_slot() {
    let pool = builder("doomed").start().unwrap();
    for restart in [Restart::Temporary, Restart::Permanent] {
        let error = soon(pool.place_child(Doomed).restart(restart)).await.unwrap_err();
        assert!(
            matches!(&error.reason, PlaceFailure::Panicked { message, .. } if message == "not today"),
            "{error:?}"
        );
        // It has run.
        assert!(error.actor.is_none());
        until("the slot is free", || pool.inspect().held == 0).await;
    }
}

async fn an_owner_that_goes_between_two_incarnations_ends_the_child() {
    let pool = builder("gone-between").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    let (watch, node) = (child.watch(), child.watch_node());
    signal(pid, Signal::KILL);
    soon(node).await;
    drop(child);
    soon(watch).await;
    // Whatever was started meanwhile has stopped.
    until("no slot is held", || pool.inspect().held == 0).await;
    pool.call(process_id::task()).await.unwrap();
    assert_eq!(pool.inspect().held, 0);
}

async fn a_supervised_child_whose_first_start_fails_is_a_typed_error_and_comes_back() {
    let pool = Pool::builder("never").max(1).start().unwrap();
    pool.stop().await;
    let (mut scribe, _deeds) = Scribe::new();
    scribe.written = vec![1, 2, 3];
    let error = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap_err();
    assert!(matches!(error.reason, PlaceFailure::NotPlaced(_)), "{error:?}");
    assert_eq!(error.actor.unwrap().written, [1, 2, 3]);
}
