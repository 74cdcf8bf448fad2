//! Memory, disk, files and processes run out: typed errors, and recovery. (11, 12)

use std::time::Duration;

use flame_actor::{
    CallError,
    backend::{ExitReason, ProcessBackend},
};
use flame_tests::{
    abort, process_id,
    support::{App, ControlGroup, Controller, soon},
    tests, use_up_files, want_memory, write_file,
};

use crate::builder;

tests![
    a_runner_killed_for_memory_is_reported_as_such,
    a_runner_that_aborts_is_reported_and_told_apart_from_one_that_got_no_memory,
    a_full_disk_is_the_tasks_error_and_the_runner_lives,
    a_runner_without_files_recovers,
    a_parent_without_files_boots_nothing_says_why_and_recovers,
    a_parent_that_may_start_no_process_says_why_and_recovers,
];

async fn a_runner_killed_for_memory_is_reported_as_such() {
    let group = ControlGroup::new(Controller::Memory(160 << 20));
    let mut app = App::start_in_shell(&group.enter(), "parent", &[]);
    app.tell("call").await;
    let pid = app.pid("answer ").await;
    app.tell("eat").await;
    let failed = app.line("failed ").await;
    assert!(failed.starts_with("RunnerLost") && failed.contains("memory ran out"), "{failed}");
    // The parent was not what the kernel chose, and goes on.
    app.tell("call").await;
    assert_ne!(app.pid("answer ").await, pid);
    app.tell("stop").await;
    app.line("stopped").await;
    drop(app);
}

async fn a_runner_that_aborts_is_reported_and_told_apart_from_one_that_got_no_memory() {
    let pool = builder("aborts").start().unwrap();
    let error = soon(pool.call(want_memory::task())).await.unwrap_err();
    let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
    assert_eq!(loss.exit, Some(ExitReason::OutOfMemory));
    let error = soon(pool.call(abort::task())).await.unwrap_err();
    assert!(error.to_string().contains("SIGABRT"), "{error}");
    soon(pool.call(process_id::task())).await.unwrap();
}

async fn a_full_disk_is_the_tasks_error_and_the_runner_lives() {
    let pool = builder("full").start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let error = pool.call(write_file::task("/dev/full".to_owned(), 1)).await.unwrap().unwrap_err();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_runner_without_files_recovers() {
    let app = std::env::current_exe().unwrap();
    let backend = ProcessBackend::command("sh").args(["-c", "ulimit -n 100; exec \"$0\""]).arg(app);
    let pool = builder("few-files").backend(backend).start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let (opened, error) = pool.call(use_up_files::task()).await.unwrap();
    assert!(opened < 100 && error.contains("Too many open files"), "{opened} {error}");
    assert_eq!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_parent_without_files_boots_nothing_says_why_and_recovers() {
    let mut app = App::start("parent", &["timeout=1500"]);
    app.tell("call").await;
    app.line("answer ").await;
    // Room for none, one, two more: wherever a boot meets the limit, it is an error that says so.
    for room in 0..4 {
        app.tell("lose").await;
        app.line("lost").await;
        app.tell(&format!("files {room}")).await;
        app.line("limited").await;
        app.tell("call").await;
        let failed = app.line("failed ").await;
        assert!(failed.contains("Too many open files"), "{room}: {failed}");
        app.tell("files 500").await;
        app.line("limited").await;
        app.tell("patiently").await;
        app.line("answer ").await;
    }
    app.tell("stop").await;
    app.line("stopped").await;
}

async fn a_parent_that_may_start_no_process_says_why_and_recovers() {
    let group = ControlGroup::new(Controller::Pids(200));
    let mut app = App::start_in_shell(&group.enter(), "parent", &["timeout=1500"]);
    app.tell("call").await;
    app.line("answer ").await;
    let with_runner = group.pids();
    app.tell("lose").await;
    app.line("lost").await;
    // No more than there are without the runner.
    group.set(Controller::Pids(group.pids().min(with_runner - 1)));
    app.tell("call").await;
    let failed = app.line("failed ").await;
    assert!(
        failed.contains("Resource temporarily unavailable") || failed.contains("os error 11"),
        "{failed}"
    );
    group.set(Controller::Pids(200));
    app.tell("patiently").await;
    app.line("answer ").await;
    app.tell("stop").await;
    app.line("stopped").await;
    let (success, said) = app.end(Duration::from_secs(1)).await;
    assert!(success || !said.contains("panicked"), "{said}");
}
