//! No runner, and nothing that it started, outlives its parent by more than 5 seconds.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Child,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{gone_within, is_alive, proc_file, signal, start};

crate::tests![
    killing_the_parent_ends_its_runner_and_what_that_started,
    a_stopped_runner_ends_with_its_parent_too,
    a_runner_ends_with_its_parent_also_if_another_process_holds_its_pipe,
    a_farewell_runs_before_the_end,
    a_farewell_that_hangs_does_not_keep_the_runner,
];

const BOUND: Duration = Duration::from_secs(5);

/// A parent, its runner, and the process that the runner started.
struct Family {
    started: Child,
    parent: u32,
    runner: u32,
    child: u32,
}

impl Family {
    fn start(runner_acts_as: &[&str]) -> Self {
        Self::start_as("parent", runner_acts_as)
    }

    fn start_as(parent: &str, runner_acts_as: &[&str]) -> Self {
        let mut started = start(&[&[parent], runner_acts_as].concat());
        let mut line = String::new();
        BufReader::new(started.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pids: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [parent, runner, child] = pids[..] else { panic!("{line}") };
        assert!(is_alive(parent) && is_alive(runner) && is_alive(child));
        Self { started, parent, runner, child }
    }

    fn kill_parent(&self) {
        signal(self.parent, Signal::KILL);
        assert!(gone_within(self.parent, BOUND));
    }

    fn assert_gone(&self) {
        assert!(gone_within(self.runner, BOUND), "the runner is still there");
        assert!(gone_within(self.child, Duration::from_secs(1)), "what it started is still there");
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for pid in [self.runner, self.child] {
            if is_alive(pid) {
                signal(pid, Signal::KILL);
            }
        }
        let _ = (self.started.kill(), self.started.wait());
    }
}

fn killing_the_parent_ends_its_runner_and_what_that_started() {
    let family = Family::start(&["family"]);
    family.kill_parent();
    family.assert_gone();
}

fn a_stopped_runner_ends_with_its_parent_too() {
    for parent in ["parent", "parent-under-a-reaper"] {
        let family = Family::start_as(parent, &["family"]);
        signal(family.runner, Signal::STOP);
        family.kill_parent();
        family.assert_gone();
    }
}

fn a_runner_ends_with_its_parent_also_if_another_process_holds_its_pipe() {
    let family = Family::start(&["family"]);
    let environ = proc_file(family.runner, "environ");
    let (_, value) = environ.split_once("FLAME_RUNNER=process:").unwrap();
    let pipe = format!("pipe:[{}]", value.split(':').nth(1).unwrap());
    let fds = format!("/proc/{}/fd", family.parent);
    let fd = fs::read_dir(fds).unwrap().map(|fd| fd.unwrap().path());
    let mut fd = fd.filter(|fd| fs::read_link(fd).is_ok_and(|link| link.as_os_str() == pipe.as_str()));
    let held = fs::OpenOptions::new().write(true).open(fd.next().unwrap()).unwrap();
    family.kill_parent();
    family.assert_gone();
    drop(held);
}

fn a_farewell_runs_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("farewell");
    let family = Family::start(&["farewell", "returns", file.to_str().unwrap()]);
    family.kill_parent();
    family.assert_gone();
    assert_eq!(fs::read_to_string(file).unwrap(), "farewell");
}

fn a_farewell_that_hangs_does_not_keep_the_runner() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("farewell");
    let family = Family::start(&["farewell", "hangs", file.to_str().unwrap()]);
    family.kill_parent();
    family.assert_gone();
    assert_eq!(fs::read_to_string(file).unwrap(), "farewell");
}
