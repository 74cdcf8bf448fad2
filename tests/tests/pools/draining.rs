//! How pools and runners end: what is under way is finished, and nothing is left.

use std::time::Duration;

use flame_actor::{CallError, Pool, pool::machine::Failure};
use flame_tests::{
    Add, Counter, hold_until_dropped, process_id,
    support::{Fleet, Gate, Process, begun, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::builder;

tests![
    a_pool_that_stops_delivers_what_is_under_way_and_refuses_what_waits_and_what_comes,
    stopping_twice_and_from_two_sides_is_harmless,
    a_child_is_work_in_flight_until_its_owner_lets_it_go,
    dropping_the_last_handle_drains_the_pool,
    a_runner_told_to_go_finishes_gets_nothing_more_and_is_replaced_if_there_is_demand,
    a_runner_told_to_go_without_work_goes_and_is_not_replaced_without_demand,
];

async fn a_pool_that_stops_delivers_what_is_under_way_and_refuses_what_waits_and_what_comes() {
    let fleet = Fleet::new();
    let pool = Pool::builder("stops").max(2).max_concurrency(1).backend(fleet.clone()).start().unwrap();
    let mut gate = Gate::new();
    let running: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pids = gate.arrivals(2).await;
    let waiting = actix::spawn(pool.call(process_id::task()));
    until("it waits", || pool.inspect().waiting == 1).await;
    let stopping = actix::spawn({
        let pool = pool.clone();
        async move { pool.stop().await }
    });
    let closed = |error: &CallError| {
        matches!(error, CallError::NotPlaced(Failure::PoolClosed)) && !error.may_have_run()
    };
    let error = soon(waiting).await.unwrap().unwrap_err();
    assert!(closed(&error), "{error:?}");
    let error = soon(pool.call(process_id::task())).await.unwrap_err();
    assert!(closed(&error), "{error:?}");
    assert_eq!(fleet.live(), 2, "work keeps its runners");
    gate.open();
    for call in running {
        assert!(pids.contains(&soon(call).await.unwrap().unwrap()));
    }
    soon(stopping).await.unwrap();
    assert!(pids.iter().all(|pid| Process::of(*pid).is_gone()));
    assert!(fleet.exits().values().all(|exit| exit.is_success()), "{:?}", fleet.exits());
}

async fn stopping_twice_and_from_two_sides_is_harmless() {
    let fleet = Fleet::new();
    let pool = builder("twice").backend(fleet.clone()).start().unwrap();
    let pid = soon(pool.call(process_id::task())).await.unwrap();
    // The runner is told by a signal, too, and the pool by two of its handles.
    Process::of(pid).signal(Signal::TERM);
    let other = pool.clone();
    soon(futures_util::future::join(pool.stop(), other.stop())).await;
    soon(pool.stop()).await;
    assert!(Process::of(pid).is_gone());
    assert!(fleet.until_ended("twice-1").await.is_success());
}

async fn a_child_is_work_in_flight_until_its_owner_lets_it_go() {
    let pool = builder("owned").start().unwrap();
    let child = soon(pool.place_child(Counter(0))).await.unwrap();
    let stopping = actix::spawn({
        let pool = pool.clone();
        async move { pool.stop().await }
    });
    until("the pool closes", || {
        matches!(pool.inspect().growth[0].1, flame_actor::pool::machine::GrowthVerdict::Closed)
    })
    .await;
    assert_eq!(child.send(Add(3)).await.unwrap(), 3);
    assert!(!stopping.is_finished());
    drop(child);
    soon(stopping).await.unwrap();
}

async fn dropping_the_last_handle_drains_the_pool() {
    let pool = builder("handles").start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    drop(pool.clone());
    drop(pool);
    gate.open();
    assert_eq!(soon(call).await.unwrap().unwrap(), pid);
    Process::of(pid).gone_within(Duration::from_secs(10)).await;
}

async fn a_runner_told_to_go_finishes_gets_nothing_more_and_is_replaced_if_there_is_demand() {
    let fleet = Fleet::new();
    let pool = Pool::builder("turns").max(2).max_concurrency(2).backend(fleet.clone()).start().unwrap();
    let (mut gate, (to, mut dropped)) = (Gate::new(), begun());
    let call = actix::spawn(pool.call(hold_until_dropped::task(gate.keeper(), to)));
    let pid = gate.arrival().await;
    Process::of(pid).signal(Signal::TERM);
    until("the pool is told", || {
        use flame_actor::pool::machine::RunnerPhase;
        pool.inspect().runners.iter().any(|runner| runner.phase == RunnerPhase::Draining)
    })
    .await;
    assert_eq!(fleet.boots(), 1, "nobody waits for another");
    let next = soon(pool.call(process_id::task())).await.unwrap();
    assert_ne!(next, pid);
    assert!(dropped.try_recv().is_err(), "what it has goes on");
    gate.open();
    soon(call).await.unwrap().unwrap();
    Process::of(pid).gone_within(Duration::from_secs(10)).await;
    assert!(fleet.until_ended("turns-1").await.is_success());
}

async fn a_runner_told_to_go_without_work_goes_and_is_not_replaced_without_demand() {
    let fleet = Fleet::new();
    let pool = builder("leaves").backend(fleet.clone()).start().unwrap();
    let pid = soon(pool.call(process_id::task())).await.unwrap();
    until("it is idle", || pool.inspect().held == 0).await;
    Process::of(pid).signal(Signal::TERM);
    assert!(fleet.until_ended("leaves-1").await.is_success());
    until("the pool knows", || pool.inspect().runners.is_empty()).await;
    assert_eq!(fleet.boots(), 1);
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
}
