//! SIGSTOP and SIGCONT: shorter and longer than the idle timeout, of runners and of the parent. (5, 6, 7)

use std::time::Duration;

use flame_tests::{
    Add, Counter, begin_again_after, process_id,
    support::{App, Fleet, Process, begun, soon, until, within},
    tests,
};
use rustix::process::Signal;

use crate::{D, builder, is_lost};

tests![
    a_runner_that_pauses_shorter_than_the_idle_timeout_is_not_lost_and_order_holds,
    what_a_runner_says_after_it_was_given_up_is_dropped_and_it_exits,
    a_paused_parent_that_goes_on_within_the_idle_timeout_has_lost_nothing,
    the_runners_of_a_parent_that_pauses_for_long_exit_and_the_parent_goes_on_with_others,
];

async fn a_runner_that_pauses_shorter_than_the_idle_timeout_is_not_lost_and_order_holds() {
    let pool = builder("short-pause").start().unwrap();
    let counter = pool.place_child(Counter(0)).await.unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let runner = Process::of(pid);
    runner.signal(Signal::STOP);
    let asked: Vec<_> = (0..100).map(|_| counter.send(Add(1))).collect();
    let call = actix::spawn(pool.call(process_id::task()));
    // The pause itself is what is tested.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    runner.signal(Signal::CONT);
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(soon(asked).await.unwrap(), n as u64 + 1);
    }
    assert_eq!(soon(call).await.unwrap().unwrap(), pid);
}

async fn what_a_runner_says_after_it_was_given_up_is_dropped_and_it_exits() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("go");
    // The backend's grace keeps the paused process until it goes on.
    let backend = flame_actor::backend::ProcessBackend::new().grace(Duration::from_secs(60));
    let fleet = Fleet::of(backend);
    let pool = builder("long-pause").max(2).backend(fleet.clone()).start().unwrap();
    let (to, mut heard) = begun();
    let call = actix::spawn(pool.call(begin_again_after::task(flag.to_str().unwrap().to_owned(), to)));
    let pid = soon(heard.recv()).await.unwrap();
    let runner = Process::of(pid);
    runner.signal(Signal::STOP);
    let outcome = within(D, "the loss is noticed", call).await.unwrap();
    assert!(is_lost(&outcome), "{outcome:?}");
    // It goes on, and would answer.
    std::fs::write(flag, "").unwrap();
    runner.signal(Signal::CONT);
    runner.gone_within(Duration::from_secs(5)).await;
    assert!(heard.try_recv().is_err(), "a runner that was given up was heard");
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
}

async fn a_paused_parent_that_goes_on_within_the_idle_timeout_has_lost_nothing() {
    let mut app = App::start("parent", &[]);
    app.tell("call").await;
    let pid = app.pid("answer ").await;
    app.tell("take 200").await;
    app.line("begun ").await;
    app.process().signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    app.process().signal(Signal::CONT);
    assert_eq!(app.pid("took ").await, pid);
    app.tell("call").await;
    assert_eq!(app.pid("answer ").await, pid);
}

async fn the_runners_of_a_parent_that_pauses_for_long_exit_and_the_parent_goes_on_with_others() {
    let mut app = App::start("parent", &[]);
    app.tell("take 60000").await;
    let pid = app.pid("begun ").await;
    app.process().signal(Signal::STOP);
    Process::of(pid).gone_within(D + Duration::from_secs(5)).await;
    app.process().signal(Signal::CONT);
    let failed = app.line("failed ").await;
    assert!(failed.starts_with("RunnerLost"), "{failed}");
    app.tell("call").await;
    assert_ne!(app.pid("answer ").await, pid);
    app.tell("stop").await;
    app.line("stopped").await;
    let parent = app.process().pid();
    until("no process is left", || flame_tests::support::children(parent).is_empty()).await;
}
