//! Errors say what happened, in which phase, on which runner, and whether the work may have run.

use std::time::Duration;

use flame_actor::{
    CallError, Pool, WorkPhase,
    backend::{ExitReason, ProcessBackend},
};
use flame_tests::{
    Counter, exit, panicking, process_id,
    support::{Fleet, Gate, Process, soon},
    tests,
};
use rustix::process::Signal;

use crate::{builder, words};

tests![
    a_panic_says_its_words_and_its_runner,
    a_loss_says_how_the_runner_ended,
    a_boot_error_says_the_phase_and_what_the_runner_printed_last,
    a_program_that_is_not_there_is_named,
    an_actor_whose_placing_fails_before_it_left_comes_back,
    what_is_too_long_is_an_error_of_its_sender,
];

async fn a_panic_says_its_words_and_its_runner() {
    let pool = builder("panic").start().unwrap();
    let error = soon(pool.call(panicking::task("what a day".to_owned()))).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "what a day"), "{error:?}");
    assert_eq!(error.runner().unwrap().name(), "panic-1");
    assert_eq!((error.phase(), error.may_have_run()), (WorkPhase::Running, true));
}

async fn a_loss_says_how_the_runner_ended() {
    let pool = builder("loss").start().unwrap();
    let error = soon(pool.call(exit::task(7))).await.unwrap_err();
    let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
    assert_eq!(loss.exit, Some(ExitReason::Exited { code: 7 }));
    assert_eq!((error.phase(), error.may_have_run()), (WorkPhase::Running, true));
    assert!(!error.out_of_memory());

    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    Process::of(gate.arrival().await).signal(Signal::ABORT);
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(error.runner().unwrap().name(), "loss-2");
    assert!(error.to_string().contains("SIGABRT"), "{error}");
}

async fn a_boot_error_says_the_phase_and_what_the_runner_printed_last() {
    let script = "echo the model is not there; echo nor is its cache >&2; exit 3";
    let backend = ProcessBackend::command("sh").args(["-c", script]);
    let pool = builder("unfit").timeout(Duration::from_secs(2)).backend(backend).start().unwrap();
    let error = soon(pool.call(process_id::task())).await.unwrap_err();
    let said = words(&error);
    for part in ["before it had joined", "exited with code 3", "the model is not there", "nor is its cache"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    assert!(!error.may_have_run());
}

async fn a_program_that_is_not_there_is_named() {
    let backend = ProcessBackend::command("/nowhere/flame");
    let pool = builder("nowhere").timeout(Duration::from_secs(1)).backend(backend).start().unwrap();
    let said = words(&soon(pool.call(process_id::task())).await.unwrap_err());
    assert!(said.contains("/nowhere/flame") && said.contains("No such file"), "{said}");
}

async fn an_actor_whose_placing_fails_before_it_left_comes_back() {
    let fleet = Fleet::new();
    fleet.fail(usize::MAX);
    let pool = Pool::builder("return").timeout(Duration::from_secs(1)).backend(fleet).start().unwrap();
    let error = soon(pool.place_child(Counter(42))).await.unwrap_err();
    assert!(words(&error).contains("this boot was to fail"), "{error:?}");
    assert!(!error.reason.may_have_run());
    assert_eq!(error.actor.map(|counter| counter.0), Some(42));
}

async fn what_is_too_long_is_an_error_of_its_sender() {
    let pool = builder("long").start().unwrap();
    let error = soon(pool.call(flame_tests::echo::task(vec![1; 20 << 20]))).await.unwrap_err();
    assert_eq!((error.phase(), error.may_have_run()), (WorkPhase::Preparing, false), "{error:?}");
    assert!(pool.inspect().runners.is_empty(), "no runner is booted for it");
}
