//! SIGTERM: nothing fails that fits the grace. (13)

use std::time::Duration;

use flame_tests::{
    process_id,
    support::{Gate, Process, soon},
    tests,
};
use rustix::process::Signal;

use crate::builder;

tests![what_does_not_fit_the_grace_of_a_runner_that_goes_is_ended,];

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
