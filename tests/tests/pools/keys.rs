//! Keyed work goes to the runner that has what it needs.

use std::time::Duration;

use flame_actor::{CallError, Pool, pool::policy::Spread};
use flame_tests::{
    Counter, process_id,
    support::{Gate, Process, soon, until},
    tests,
};
use rustix::process::Signal;

tests![
    work_with_a_key_prefers_the_runner_that_serves_it_and_goes_elsewhere_when_that_is_full,
    work_that_requires_a_key_waits_for_its_runner_and_holds_up_nobody,
    when_the_runner_of_a_key_is_lost_another_takes_it,
];

async fn two_runners(name: &str) -> (Pool, Vec<u32>) {
    let pool = Pool::builder(name).max(2).max_concurrency(2).placement(Spread).start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..3).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let mut pids = gate.arrivals(3).await;
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2);
    gate.open();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    (pool, pids)
}

async fn work_with_a_key_prefers_the_runner_that_serves_it_and_goes_elsewhere_when_that_is_full() {
    let (pool, _) = two_runners("prefer").await;
    let home = soon(pool.call(process_id::task()).key("model")).await.unwrap();
    for _ in 0..6 {
        assert_eq!(soon(pool.call(process_id::task()).key("model")).await.unwrap(), home);
    }
    let mut gate = Gate::new();
    let full: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()).key("model"))).collect();
    assert_eq!(gate.arrivals(2).await, [home, home]);
    assert_ne!(soon(pool.call(process_id::task()).key("model")).await.unwrap(), home);
    gate.open();
    for call in full {
        soon(call).await.unwrap().unwrap();
    }
    // It is still at home there.
    assert_eq!(soon(pool.call(process_id::task()).key("model")).await.unwrap(), home);
}

async fn work_that_requires_a_key_waits_for_its_runner_and_holds_up_nobody() {
    let (pool, _) = two_runners("require").await;
    let mut gate = Gate::new();
    let full: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()).require_key("model"))).collect();
    let home = gate.arrivals(2).await[0];
    let waits = actix::spawn(pool.call(process_id::task()).require_key("model"));
    until("it waits for that runner", || pool.inspect().pinned == 1).await;
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), home, "others are served");
    let error = soon(pool.place_child(Counter(0)).require_key("model").timeout(Duration::from_millis(100)))
        .await
        .unwrap_err();
    assert!(error.actor.is_some() && !error.reason.may_have_run(), "{error:?}");
    gate.open();
    assert_eq!(soon(waits).await.unwrap().unwrap(), home);
    for call in full {
        soon(call).await.unwrap().unwrap();
    }
}

async fn when_the_runner_of_a_key_is_lost_another_takes_it() {
    let (pool, pids) = two_runners("moves").await;
    let mut gate = Gate::new();
    let full: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()).require_key("model"))).collect();
    let home = gate.arrivals(2).await[0];
    let waits = actix::spawn(pool.call(process_id::task()).require_key("model"));
    until("it waits for that runner", || pool.inspect().pinned == 1).await;
    Process::of(home).signal(Signal::KILL);
    for call in full {
        assert!(matches!(soon(call).await.unwrap(), Err(CallError::RunnerLost(_))));
    }
    let next = soon(waits).await.unwrap().unwrap();
    assert!(next != home && pids.contains(&next), "the other runner takes the key");
    assert_eq!(soon(pool.call(process_id::task()).require_key("model")).await.unwrap(), next);
}
