//! Runners with code that does not give way, or that wants more than there is.

use std::time::{Duration, Instant};

use flame_actor::{CallError, backend::ExitReason};
use flame_tests::{process_id, spin, take, want_memory};

use rustix::process::Signal;

use crate::support::{begun, builder, is_alive, signal, soon, tests, until};

tests![
    what_waits_behind_tasks_that_never_yield_runs_on_the_next_runner,
    a_task_that_never_yields_ends_with_its_process_and_its_caller_has_the_error_on_time,
    a_runner_that_is_told_to_go_and_never_finishes_is_ended_after_the_shutdown_timeout,
    a_runner_that_gets_no_memory_is_told_apart_from_other_losses,
];

async fn a_task_that_never_yields_ends_with_its_process_and_its_caller_has_the_error_on_time() {
    let limit = Duration::from_secs(3);
    let pool = builder("spinning").max(2).timeout(limit).start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let (to, mut begun) = begun();
    let called = Instant::now();
    let call = actix::spawn(pool.call(spin::task(to)));
    assert_eq!(begun.recv().await, Some(pid));
    assert!(matches!(soon(call).await.unwrap(), Err(CallError::Timeout { .. })));
    assert!(called.elapsed() < limit + Duration::from_secs(1), "{:?}", called.elapsed());
    until("the process is gone", || !is_alive(pid)).await;
    assert!(called.elapsed() < limit + Duration::from_secs(7), "{:?}", called.elapsed());
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn what_waits_behind_tasks_that_never_yield_runs_on_the_next_runner() {
    let pool = builder("jammed").timeout(None).start().unwrap();
    let pid = soon(pool.call(process_id::task())).await.unwrap();
    let (to, _begun) = begun();
    // One for each arbiter of the runner, and behind each of them some that have no time limit.
    let arbiters = std::thread::available_parallelism().unwrap().get();
    let spinning: Vec<_> = (0..arbiters)
        .map(|_| actix::spawn(pool.call(spin::task(to.clone())).timeout(Duration::from_secs(1))))
        .collect();
    let waiting: Vec<_> = (0..2 * arbiters).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    for call in spinning {
        assert!(matches!(soon(call).await.unwrap(), Err(CallError::Timeout { .. })));
    }
    for call in waiting {
        assert_ne!(soon(call).await.unwrap().unwrap(), pid);
    }
    until("the process is gone", || !is_alive(pid)).await;
}

async fn a_runner_that_is_told_to_go_and_never_finishes_is_ended_after_the_shutdown_timeout() {
    let pool = builder("staying").shutdown_timeout(Duration::from_millis(500)).start().unwrap();
    let (to, mut begun) = begun();
    let call = actix::spawn(pool.call(take::task(60_000, to)));
    let pid = begun.recv().await.unwrap();
    signal(pid, Signal::TERM);
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)), "{error:?}");
    until("the process is gone", || !is_alive(pid)).await;
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_runner_that_gets_no_memory_is_told_apart_from_other_losses() {
    let pool = builder("hungry").start().unwrap();
    let error = pool.call(want_memory::task()).await.unwrap_err();
    let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
    assert_eq!(loss.exit, Some(ExitReason::OutOfMemory));
}
