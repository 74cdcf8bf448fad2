//! Processes, seen from outside.

use std::{fs, os::fd::OwnedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

/// A process that runs, watched: its end is an event.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    /// `None` if it was gone already.
    watch: Option<OwnedFd>,
}

impl Process {
    /// Watches the process of this id, which the test has started.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self { pid, watch: pidfd_open(to_pid(pid), PidfdFlags::empty()).ok() }
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; harmless when it is gone.
    pub fn signal(&self, signal: Signal) {
        if let Some(watch) = &self.watch {
            let _ = rustix::process::pidfd_send_signal(watch, signal);
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If that does not come within this time.
    pub async fn gone_within(self, time: Duration) {
        let pid = self.pid;
        let gone = tokio::task::spawn_blocking(move || self.ends_within(time)).await.unwrap();
        assert!(gone, "the process {pid} is there after {time:?}: {}", state(pid));
    }

    fn ends_within(&self, time: Duration) -> bool {
        let Some(watch) = &self.watch else { return true };
        let time = Timespec::try_from(time).unwrap();
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&time)).unwrap() > 0
    }
}

/// Whether a process runs; one that is dead and not reaped does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    !Process::of(pid).is_gone()
}

/// Sends a signal to a process that the test has started.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(to_pid(pid), signal).unwrap();
}

/// The processes that a process has started and not reaped.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        tasks.flatten().map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The memory that a process has in use, in bytes.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: u64 = line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
    kilobytes << 10
}

/// How many files a process has open.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    names_of_files(pid).len()
}

/// What those files are: their names, or kinds and numbers.
#[must_use]
pub fn names_of_files(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| Some(fs::read_link(link.path()).ok()?.display().to_string())).collect()
}

/// What the threads of a process are called.
#[must_use]
pub fn names_of_threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| Some(fs::read_to_string(task.path().join("comm")).ok()?.trim_end().to_owned()))
        .collect()
}

/// How many threads a process has.
#[must_use]
pub fn threads(pid: u32) -> usize {
    names_of_threads(pid).len()
}

fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().take(3).collect::<Vec<_>>().join(", ")
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}
