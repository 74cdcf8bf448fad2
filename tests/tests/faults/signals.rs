//! SIGTERM: nothing fails that fits the grace. (13)

use std::time::Duration;

use flame_tests::{
    process_id,
    support::{Fleet, Gate, Process, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::builder;

tests![
    a_runner_told_to_go_under_load_fails_no_call,
    what_does_not_fit_the_grace_of_a_runner_that_goes_is_ended,
];

async fn a_runner_told_to_go_under_load_fails_no_call() {
    let fleet = Fleet::new();
    let pool = builder("turnover").max(2).max_concurrency(4).backend(fleet.clone()).start().unwrap();
    let calls = |count: usize| -> Vec<_> {
        (0..count)
            .map(|n| {
                let (to, _) = flame_tests::support::begun();
                actix::spawn(pool.call(flame_tests::take::task(n as u64 % 20, to)))
            })
            .collect()
    };
    for round in 0..10 {
        let before = calls(30);
        until("someone works", || pool.inspect().held > 0).await;
        for pid in fleet.pids() {
            Process::of(pid).signal(Signal::TERM);
        }
        for (n, call) in before.into_iter().chain(calls(30)).enumerate() {
            soon(call).await.unwrap().unwrap_or_else(|error| panic!("{round}, {n}: {error}"));
        }
    }
    assert!(fleet.boots() >= 10 && fleet.most() <= 2, "{} {}", fleet.boots(), fleet.most());
    soon(pool.stop()).await;
    let orderly = fleet.exits().values().filter(|exit| exit.is_success()).count();
    assert_eq!(orderly, fleet.exits().len(), "{:?}", fleet.exits());
}

async fn what_does_not_fit_the_grace_of_a_runner_that_goes_is_ended() {
    let pool = builder("grace").max(2).shutdown_timeout(Duration::from_millis(500)).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    Process::of(pid).signal(Signal::TERM);
    let outcome = soon(call).await.unwrap();
    assert!(crate::is_lost(&outcome), "{outcome:?}");
    Process::of(pid).gone_within(Duration::from_secs(5)).await;
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
}
