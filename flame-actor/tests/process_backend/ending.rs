//! The end of a runner is seen at once, told in full, and takes all that the runner started.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use flame_actor::backend::{ExitReason, Instance};
use rustix::process::Signal;

use crate::support::{boot, exit_of, gone_within, is_alive, log_line, runner, signal, start, wait};

crate::tests![
    an_exit_code_is_reported_and_so_is_a_signal,
    a_kill_from_outside_is_reported_at_once_and_takes_the_group,
    the_exit_can_be_awaited_many_times_before_and_after_it,
    a_process_that_left_the_group_does_not_hold_up_the_exit,
    what_a_runner_leaves_in_its_group_ends_with_it,
    terminate_asks_first,
    terminate_kills_a_runner_that_does_not_end_and_its_group,
    terminate_and_kill_are_harmless_twice_and_after_the_end,
    dropping_the_last_handle_ends_the_runner,
    dropping_a_boot_midway_leaves_no_process,
];

const KILLED: ExitReason = ExitReason::Signaled { signal: 9, core: false };

/// The runner's and its child's pid.
fn family(instance: &Arc<dyn Instance>) -> (u32, u32) {
    let pids = log_line(instance, "family");
    let (runner, child) = pids.split_once(' ').unwrap();
    (runner.parse().unwrap(), child.parse().unwrap())
}

fn an_exit_code_is_reported_and_so_is_a_signal() {
    assert_eq!(exit_of(&boot(&runner(&["exit", "0"]))), ExitReason::Exited { code: 0 });
    assert_eq!(exit_of(&boot(&runner(&["exit", "7"]))), ExitReason::Exited { code: 7 });
    let aborted = exit_of(&boot(&runner(&["abort"])));
    assert!(matches!(aborted, ExitReason::Signaled { signal: 6, .. }), "{aborted}");
}

fn a_kill_from_outside_is_reported_at_once_and_takes_the_group() {
    let instance = boot(&runner(&["family"]));
    let (pid, child) = family(&instance);
    let killed = Instant::now();
    signal(pid, Signal::KILL);
    assert_eq!(exit_of(&instance), KILLED);
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    assert!(gone_within(child, Duration::from_secs(1)));
}

fn the_exit_can_be_awaited_many_times_before_and_after_it() {
    let instance = boot(&runner(&["family"]));
    family(&instance);
    let waiting: Vec<_> = (0..3).map(|_| instance.exited()).collect();
    drop(instance.exited());
    instance.kill();
    for exit in waiting {
        assert_eq!(wait(exit), KILLED);
    }
    assert_eq!(exit_of(&instance), KILLED);
}

fn a_process_that_left_the_group_does_not_hold_up_the_exit() {
    let instance = boot(&runner(&["exit-leaving", "escaped"]));
    assert_eq!(exit_of(&instance), ExitReason::Exited { code: 0 });
    // The line that it printed last is there, though its output pipe is still open.
    let left = instance.log_tail().iter().find_map(|line| line.strip_prefix("left ")?.parse().ok()).unwrap();
    assert!(is_alive(left));
    signal(left, Signal::KILL);
}

fn what_a_runner_leaves_in_its_group_ends_with_it() {
    let instance = boot(&runner(&["exit-leaving", "in-group"]));
    assert_eq!(exit_of(&instance), ExitReason::Exited { code: 0 });
    let left = log_line(&instance, "left").parse().unwrap();
    assert!(gone_within(left, Duration::from_secs(1)));
}

fn terminate_asks_first() {
    let instance = boot(&runner(&["family"]));
    let (_, child) = family(&instance);
    instance.terminate();
    assert_eq!(exit_of(&instance), ExitReason::Signaled { signal: 15, core: false });
    assert!(gone_within(child, Duration::from_secs(1)));
}

fn terminate_kills_a_runner_that_does_not_end_and_its_group() {
    let instance = boot(&runner(&["stubborn"]).grace(Duration::from_millis(300)));
    let (pid, child) = family(&instance);
    let asked = Instant::now();
    instance.terminate();
    log_line(&instance, "no");
    assert!(is_alive(pid) && is_alive(child), "asked, and given its grace");
    assert_eq!(exit_of(&instance), KILLED);
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert!(gone_within(child, Duration::from_secs(1)));
}

fn terminate_and_kill_are_harmless_twice_and_after_the_end() {
    let instance = boot(&runner(&["stubborn"]).grace(Duration::from_millis(300)));
    family(&instance);
    instance.terminate();
    log_line(&instance, "no");
    instance.terminate();
    assert_eq!(exit_of(&instance), KILLED);
    instance.terminate();
    instance.kill();
    assert_eq!(exit_of(&instance), KILLED);
    let asked = instance.log_tail().iter().filter(|line| *line == "no").count();
    assert_eq!(asked, 1, "it was asked once");
}

fn dropping_the_last_handle_ends_the_runner() {
    let instance = boot(&runner(&["family"]));
    let (pid, child) = family(&instance);
    let other = Arc::clone(&instance);
    drop(instance);
    assert!(is_alive(pid));
    drop(other);
    assert!(gone_within(pid, Duration::from_secs(5)) && gone_within(child, Duration::from_secs(1)));
}

fn dropping_a_boot_midway_leaves_no_process() {
    let output = start(&["parent-drops-a-boot"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "second gone true, left []\n");
}
