//! Linking: the owner goes, the child stops, with `stopping` and `stopped` on its runner.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{Child, DownReason, PlaceFailure, Pool, Restart};
use flame_tests::{
    process_id,
    scribe::{Act, Do, Scribe, Write},
    support::{signal, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{builder, start, until_it};

tests![
    a_child_whose_owner_goes_stops_on_its_runner,
    a_supervised_child_whose_owner_goes_stops_and_stays_stopped,
    a_child_in_a_field_goes_with_its_actor,
    a_detached_child_survives_its_owner_and_not_its_last_address,
    a_child_is_stopped_with_a_reason_and_within_its_grace,
    a_child_that_refuses_to_stop_is_ended_after_its_grace,
    an_owner_that_goes_between_two_incarnations_ends_the_child,
    a_supervised_child_whose_first_start_fails_is_a_typed_error_and_comes_back,
];

async fn a_child_whose_owner_goes_stops_on_its_runner() {
    let pool = builder("linked").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
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
