//! A runner's log and output, as the parent sees them.

use flame_actor::backend::LocalBackend;
use flame_tests::{log, log_much, process_id};

use crate::support::{builder, log_lines, soon, tests, until};

tests![
    a_runners_events_reach_the_parents_log_with_its_name,
    of_a_flood_of_events_each_is_there_or_counted_as_missing,
    what_a_runner_in_this_process_logs_is_not_forwarded,
];

async fn a_runners_events_reach_the_parents_log_with_its_name() {
    let pool = builder("logging").start().unwrap();
    assert_ne!(pool.call(process_id::task()).await.unwrap(), std::process::id());
    pool.call(log::task("said on the runner".to_owned())).await.unwrap();
    until("the event is there", || log_lines().iter().any(|line| line.contains("said on the runner"))).await;
    let lines = log_lines();
    let line = lines.iter().find(|line| line.contains("said on the runner")).unwrap();
    for part in ["INFO flame::runner", "logging-1", "pool=\"logging\"", "flame_tests", "answer=42"] {
        assert!(line.contains(part), "{line} without {part}");
    }
}

async fn of_a_flood_of_events_each_is_there_or_counted_as_missing() {
    const FLOOD: u64 = 50_000;
    let pool = builder("flooding").start().unwrap();
    soon(pool.call(log_much::task("one of many".to_owned(), FLOOD))).await.unwrap();
    let ours = || log_lines().into_iter().filter(|line| line.contains("flooding-1"));
    // What is missing is told by the next event that is not.
    until("the next event is there", || {
        drop(actix::spawn(pool.call(log::task("behind them".to_owned()))));
        ours().any(|line| line.contains("behind them"))
    })
    .await;
    let next = ours().position(|line| line.contains("behind them")).unwrap();
    let told: Vec<String> = ours().take(next).collect();
    let there = told.iter().filter(|line| line.contains("one of many")).count() as u64;
    let missing: u64 = told
        .iter()
        .filter_map(|line| line.split(" missed=").nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(missing > 0, "the log held up the work");
    // Those of the later calls may be missing, too, before the first of them is there.
    assert!((FLOOD..FLOOD + 100).contains(&(there + missing)), "{there} and {missing}");
}

async fn what_a_runner_in_this_process_logs_is_not_forwarded() {
    let pool = builder("indoors").backend(LocalBackend::new()).start().unwrap();
    soon(pool.call(log::task("said indoors".to_owned()))).await.unwrap();
    // It would come ahead of this, if it came.
    soon(pool.call(process_id::task())).await.unwrap();
    let said: Vec<String> = log_lines().into_iter().filter(|line| line.contains("said indoors")).collect();
    assert!(matches!(said.as_slice(), [once] if !once.contains("flame::runner")), "{said:?}");
}
