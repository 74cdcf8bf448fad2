//! Runners that come and go in order.

use std::time::Duration;

use flame_tests::{Add, Counter, process_id, support::Gate, take};
use rustix::process::Signal;

use crate::support::{begun, builder, is_alive, signal, soon, tests, until};

tests![
    an_idle_runner_ends_and_the_next_call_boots_another,
    a_child_keeps_its_runner_up,
    a_pool_that_stops_lets_calls_finish_and_leaves_no_process,
    dropping_the_last_handle_of_a_pool_ends_its_runners,
    a_runner_that_is_told_to_go_finishes_its_calls_and_gets_no_more,
    min_runners_are_kept,
    a_hundred_calls_on_an_empty_pool_boot_no_more_runners_than_max,
];

async fn an_idle_runner_ends_and_the_next_call_boots_another() {
    let pool = builder("idle").idle_shutdown_after(Duration::from_millis(200)).start().unwrap();
    let first = pool.call(process_id::task()).await.unwrap();
    until("the runner is gone", || !is_alive(first) && pool.inspect().runners.is_empty()).await;
    assert_ne!(pool.call(process_id::task()).await.unwrap(), first);
}

async fn a_child_keeps_its_runner_up() {
    let pool = builder("kept").idle_shutdown_after(Duration::from_millis(100)).start().unwrap();
    let counter = pool.place_child(Counter(0)).await.unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(counter.send(Add(1)).await.unwrap(), 1);
    assert!(is_alive(pid));
    drop(counter);
    until("the runner is gone", || !is_alive(pid)).await;
}

async fn a_pool_that_stops_lets_calls_finish_and_leaves_no_process() {
    let pool = builder("stopping").start().unwrap();
    let (to, mut begun) = begun();
    let call = actix::spawn(pool.call(take::task(500, to)));
    let pid = begun.recv().await.unwrap();
    pool.stop().await;
    assert_eq!(soon(call).await.unwrap().unwrap(), pid);
    assert!(!is_alive(pid));
}

async fn dropping_the_last_handle_of_a_pool_ends_its_runners() {
    let pool = builder("dropped").start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    drop(pool);
    until("the runner is gone", || !is_alive(pid)).await;
}

async fn a_runner_that_is_told_to_go_finishes_its_calls_and_gets_no_more() {
    let pool = builder("leaving").max(2).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    signal(pid, Signal::TERM);
    // The pool is told at once, and places the next call elsewhere.
    let next = soon(async {
        loop {
            let next = pool.call(process_id::task()).await.unwrap();
            if next != pid {
                return next;
            }
        }
    })
    .await;
    assert!(is_alive(pid), "the call is still running");
    gate.open();
    assert_eq!(soon(call).await.unwrap().unwrap(), pid);
    until("the runner is gone", || !is_alive(pid)).await;
    assert_eq!(pool.call(process_id::task()).await.unwrap(), next);
}

async fn min_runners_are_kept() {
    let pool = builder("warm").min(1).start().unwrap();
    until("the runner is up", || pool.inspect().runners.len() == 1).await;
    let pid = pool.call(process_id::task()).await.unwrap();
    signal(pid, Signal::KILL);
    until("the runner is gone", || !is_alive(pid)).await;
    until("another is there", || pool.inspect().runners.iter().any(|report| report.runner.0 == 2)).await;
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_hundred_calls_on_an_empty_pool_boot_no_more_runners_than_max() {
    let pool = builder("burst").max(3).max_concurrency(1).start().unwrap();
    let calls: Vec<_> = (0..100).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    let mut pids = std::collections::HashSet::new();
    for call in calls {
        pids.insert(soon(call).await.unwrap().unwrap());
    }
    assert!((1..=3).contains(&pids.len()), "{pids:?}");
    assert!(pool.inspect().runners.len() <= 3);
}
