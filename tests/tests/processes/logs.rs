//! A runner's log and output, as the parent sees them.

use flame_tests::{log, process_id};

use crate::support::{builder, log_lines, tests, until};

tests![a_runners_events_reach_the_parents_log_with_its_name];

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
