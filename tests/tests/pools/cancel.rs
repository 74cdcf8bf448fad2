//! Work that nobody wants any more: cancelled, unless it is detached.

use std::time::Duration;

use flame_actor::SendError;
use flame_tests::{
    Add, Counter, hold_until_dropped, process_id,
    support::{Fleet, Gate, begun, soon, until},
    take, tests,
};

use crate::builder;

tests![
    a_queued_call_whose_future_is_dropped_is_never_sent,
    a_running_call_whose_future_is_dropped_ends_at_its_next_await_and_frees_its_slot,
    a_call_past_its_deadline_ends_at_its_next_await_and_frees_its_slot,
    detached_work_survives_its_caller_and_keeps_its_slot,
    dropping_a_placing_places_nothing_and_dropping_a_child_stops_it,
    work_given_up_while_a_runner_boots_leaves_no_slot_taken,
];

async fn a_queued_call_whose_future_is_dropped_is_never_sent() {
    let pool = builder("unsent").max_concurrency(1).start().unwrap();
    let mut gate = Gate::new();
    let running = actix::spawn(pool.call(gate.task()));
    gate.arrival().await;
    let queued = actix::spawn(pool.call(gate.task()));
    until("it waits", || pool.inspect().waiting == 1).await;
    queued.abort();
    until("it waits no more", || pool.inspect().waiting == 0).await;
    gate.open();
    soon(running).await.unwrap().unwrap();
    soon(pool.call(process_id::task())).await.unwrap();
    assert!(gate.is_quiet(), "it ran");
}

async fn a_running_call_whose_future_is_dropped_ends_at_its_next_await_and_frees_its_slot() {
    // Nothing else would end it.
    let pool = builder("given-up").max_concurrency(1).timeout(None).start().unwrap();
    let (mut gate, (to, mut dropped)) = (Gate::new(), begun());
    let call = actix::spawn(pool.call(hold_until_dropped::task(gate.keeper(), to)));
    let pid = gate.arrival().await;
    call.abort();
    assert_eq!(soon(dropped.recv()).await, Some(pid), "its future was dropped over there");
    assert_eq!(soon(pool.call(process_id::task())).await.unwrap(), pid, "its slot is free");
}

async fn a_call_past_its_deadline_ends_at_its_next_await_and_frees_its_slot() {
    let pool = builder("overdue").max_concurrency(1).start().unwrap();
    soon(pool.call(process_id::task())).await.unwrap();
    let (mut gate, (to, mut dropped)) = (Gate::new(), begun());
    let call = pool.call(hold_until_dropped::task(gate.keeper(), to)).timeout(Duration::from_millis(500));
    let call = actix::spawn(call);
    let pid = gate.arrival().await;
    assert!(soon(call).await.unwrap().is_err());
    assert_eq!(soon(dropped.recv()).await, Some(pid));
    assert_eq!(soon(pool.call(process_id::task())).await.unwrap(), pid);
}

async fn detached_work_survives_its_caller_and_keeps_its_slot() {
    let pool = builder("detached").max_concurrency(2).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()).detached());
    gate.arrival().await;
    call.abort();
    let counter = soon(pool.place_child(Counter(0))).await.unwrap().detach();
    let waits = actix::spawn(pool.call(process_id::task()));
    until("both slots are taken", || pool.inspect().waiting == 1).await;
    assert_eq!(counter.send(Add(1)).await.unwrap(), 1);
    gate.open();
    soon(waits).await.unwrap().unwrap();
    // Nobody has its address any more.
    drop(counter);
    until("every slot is free", || pool.inspect().held == 0).await;
}

async fn dropping_a_placing_places_nothing_and_dropping_a_child_stops_it() {
    let pool = builder("unplaced").start().unwrap();
    drop(pool.place_child(Counter(0)));
    assert!(pool.inspect().runners.is_empty());
    let child = soon(pool.place_child(Counter(0))).await.unwrap();
    let address = child.addr();
    drop(child);
    let error = soon(async {
        loop {
            if let Err(error) = address.send(Add(1)).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, SendError::Gone(_) | SendError::NoReply), "{error:?}");
    until("every slot is free", || pool.inspect().held == 0).await;
}

async fn work_given_up_while_a_runner_boots_leaves_no_slot_taken() {
    let fleet = Fleet::new();
    let pool = builder("hasty").max_concurrency(4).backend(fleet.clone()).start().unwrap();
    let (to, mut ran) = begun();
    fleet.hold();
    let calls: Vec<_> = (0..20).map(|_| actix::spawn(pool.call(take::task(0, to.clone())))).collect();
    until("all wait", || pool.inspect().waiting == 20).await;
    calls[..19].iter().for_each(|call| call.abort());
    until("one waits", || pool.inspect().waiting == 1).await;
    fleet.release();
    for call in calls.into_iter().skip(19) {
        soon(call).await.unwrap().unwrap();
    }
    until("every slot is free", || pool.inspect().held == 0).await;
    ran.recv().await.unwrap();
    assert!(ran.try_recv().is_err(), "one ran that was given up");
}
