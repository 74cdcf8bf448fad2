//! `min` and `max` changed while the pool runs.

use std::{collections::HashSet, time::Duration};

use flame_actor::{Pool, pool::machine::GrowthVerdict};
use flame_tests::{
    process_id,
    support::{Fleet, Gate, soon, until},
    tests,
};

tests![
    raising_max_boots_for_those_who_wait,
    lowering_max_ends_idle_runners_lets_work_finish_and_holds_from_then_on,
    raising_min_boots_and_lowering_it_lets_runners_go_idle,
    limits_that_make_no_sense_are_refused_and_change_nothing,
];

async fn raising_max_boots_for_those_who_wait() {
    let fleet = Fleet::new();
    let pool = Pool::builder("up").max(1).max_concurrency(1).backend(fleet.clone()).start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..3).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    gate.arrival().await;
    until("the others wait", || matches!(pool.inspect().growth[0].1, GrowthVerdict::AtMax { .. })).await;
    pool.resize(0, 3).unwrap();
    gate.arrivals(2).await;
    gate.open();
    let mut pids = HashSet::new();
    for call in calls {
        pids.insert(soon(call).await.unwrap().unwrap());
    }
    assert_eq!((pids.len(), fleet.most()), (3, 3));
}

async fn lowering_max_ends_idle_runners_lets_work_finish_and_holds_from_then_on() {
    let fleet = Fleet::new();
    let pool = Pool::builder("down").max(3).max_concurrency(1).idle_shutdown_after(None);
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let (mut gate, mut other) = (Gate::new(), Gate::new());
    let working: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let idle = actix::spawn(pool.call(other.task()));
    gate.arrivals(2).await;
    let gone = other.arrival().await;
    other.open();
    soon(idle).await.unwrap().unwrap();
    pool.resize(0, 1).unwrap();
    // The idle one at once; those that work when they are done, all but one.
    until("the idle one is gone", || fleet.live() == 2).await;
    assert!(!fleet.pids().contains(&gone));
    gate.open();
    for call in working {
        soon(call).await.unwrap().unwrap();
    }
    fleet.until_live(1).await;
    let boots = fleet.boots();
    let calls: Vec<_> = (0..8).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(fleet.boots(), boots, "max is 1, and one is there");
}

async fn raising_min_boots_and_lowering_it_lets_runners_go_idle() {
    let fleet = Fleet::new();
    let pool = Pool::builder("least").max(3).idle_shutdown_after(Duration::from_millis(50));
    let pool = pool.backend(fleet.clone()).start().unwrap();
    pool.resize(2, 3).unwrap();
    fleet.until_boots(2).await;
    until("two are kept", || fleet.live() == 2 && pool.inspect().kept == 2).await;
    pool.resize(0, 3).unwrap();
    fleet.until_live(0).await;
    assert_eq!(fleet.boots(), 2);
}

async fn limits_that_make_no_sense_are_refused_and_change_nothing() {
    let pool = Pool::builder("sense").max(2).start().unwrap();
    let wrong = pool.resize(3, 0).unwrap_err();
    assert_eq!(wrong.problems().len(), 2, "{wrong}");
    assert_eq!((pool.inspect().limits.min(), pool.inspect().limits.max()), (0, 2));
}
