//! A call that may have run is made again only if its caller said so.

use std::time::Duration;

use flame_actor::CallError;
use flame_tests::{
    process_id,
    support::{Fleet, Gate, Process, soon},
    tests,
};
use rustix::process::Signal;

use crate::builder;

tests![
    a_call_that_may_have_run_is_not_made_again_unless_the_caller_said_so,
    a_call_that_may_be_made_again_is_made_on_another_runner_and_only_so_often,
    retries_end_with_the_calls_time,
];

async fn a_call_that_may_have_run_is_not_made_again_unless_the_caller_said_so() {
    let pool = builder("once").start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    Process::of(gate.arrival().await).signal(Signal::KILL);
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)) && error.may_have_run(), "{error:?}");
    soon(pool.call(process_id::task())).await.unwrap();
    assert!(gate.is_quiet(), "it ran again");
}

async fn a_call_that_may_be_made_again_is_made_on_another_runner_and_only_so_often() {
    let fleet = Fleet::new();
    let pool = builder("again").backend(fleet.clone()).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()).retry(2));
    for _ in 0..2 {
        Process::of(gate.arrival().await).signal(Signal::KILL);
    }
    let third = gate.arrival().await;
    gate.open();
    assert_eq!(soon(call).await.unwrap().unwrap(), third);

    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()).retry(1));
    for _ in 0..2 {
        Process::of(gate.arrival().await).signal(Signal::KILL);
    }
    assert!(matches!(soon(call).await.unwrap(), Err(CallError::RunnerLost(_))));
    assert!(gate.is_quiet() && fleet.boots() <= 5);
}

async fn retries_end_with_the_calls_time() {
    let pool = builder("time").start().unwrap();
    soon(pool.call(process_id::task())).await.unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()).retry(1000).timeout(Duration::from_secs(3)));
    // Each is killed when it has begun, until the time is over.
    let outcome = loop {
        tokio::select! {
            pid = gate.arrival() => Process::of(pid).signal(Signal::KILL),
            () = async { while !call.is_finished() { tokio::time::sleep(Duration::from_millis(10)).await } } => break call.await.unwrap(),
        }
    };
    assert!(matches!(&outcome, Err(CallError::Timeout { .. } | CallError::NotPlaced(_))), "{outcome:?}");
}
