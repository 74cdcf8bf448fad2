//! Casts: bounded, run once, and drained as calls are.

use flame_tests::{
    process_id,
    support::{Gate, soon, until},
    tests,
};

use crate::builder;

tests![
    a_cast_takes_a_slot_and_runs_once,
    casts_are_bounded_by_max_queue,
    a_pool_that_stops_finishes_its_casts
];

async fn a_cast_takes_a_slot_and_runs_once() {
    let pool = builder("cast").max_concurrency(1).start().unwrap();
    let mut gate = Gate::new();
    pool.cast(gate.task());
    let pid = gate.arrival().await;
    let waits = actix::spawn(pool.call(process_id::task()));
    until("it waits for the slot", || pool.inspect().waiting == 1).await;
    gate.open();
    assert_eq!(soon(waits).await.unwrap().unwrap(), pid);
    assert!(gate.is_quiet());
}

async fn casts_are_bounded_by_max_queue() {
    let pool = builder("many-casts").max_concurrency(1).max_queue(3).start().unwrap();
    let mut gate = Gate::new();
    pool.cast(gate.task());
    gate.arrival().await;
    for _ in 0..10 {
        pool.cast(gate.task());
    }
    assert_eq!(pool.inspect().waiting, 3);
    gate.open();
    gate.arrivals(3).await;
    soon(pool.call(process_id::task())).await.unwrap();
    assert!(gate.is_quiet(), "one ran that was refused");
}

async fn a_pool_that_stops_finishes_its_casts() {
    let pool = builder("last-cast").start().unwrap();
    let mut gate = Gate::new();
    pool.cast(gate.task());
    gate.arrival().await;
    let stopping = actix::spawn({
        let pool = pool.clone();
        async move { pool.stop().await }
    });
    until("the pool closes", || {
        matches!(pool.inspect().growth[0].1, flame_actor::pool::machine::GrowthVerdict::Closed)
    })
    .await;
    assert!(!stopping.is_finished() && pool.inspect().held == 1);
    gate.open();
    soon(stopping).await.unwrap();
}
