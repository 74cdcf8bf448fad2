//! A runner's process group: signals, and the end.

use std::{
    io,
    process::{Child, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// The process group that a runner leads. Sends no signal after the runner was reaped, when its id may belong to
/// another.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    reaped: bool,
    killed_by_us: bool,
}

impl Group {
    pub(super) fn of(leader: &Child) -> Self {
        Self { leader: Pid::from_child(leader), life: Mutex::default() }
    }

    /// Asks the runner alone to end: what it started is the runner's to end while it drains.
    pub(super) fn ask_leader(&self) {
        let life = self.life();
        if !life.reaped {
            // Can only fail if it is gone.
            let _ = kill_process(self.leader, Signal::TERM);
        }
    }

    /// Kills the runner and all that it started and that stayed in its group.
    pub(super) fn kill(&self) {
        let mut life = self.life();
        if !life.reaped {
            life.killed_by_us = true;
            let _ = kill_process_group(self.leader, Signal::KILL);
        }
    }

    /// Whether [`Group::kill`] was what ended the runner, or would have.
    pub(super) fn was_killed_by_us(&self) -> bool {
        self.life().killed_by_us
    }

    /// Blocks until the runner has ended, kills what is left of its group, and only then reaps it.
    ///
    /// # Errors
    ///
    /// If this process ignores SIGCHLD or reaps every child itself, there is no status to get, but the runner is
    /// gone.
    pub(super) fn wait(&self, leader: &mut Child) -> io::Result<ExitStatus> {
        // Leaves the dead leader in place, which keeps its id, the group's, from being used again.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.leader), look) {}
        let mut life = self.life();
        let _ = kill_process_group(self.leader, Signal::KILL);
        let status = leader.wait();
        life.reaped = true;
        status
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_whose_leader_was_reaped_is_never_signalled_again() {
        let mut ended = Command::new("true").spawn().unwrap();
        let group = Group::of(&ended);
        assert!(group.wait(&mut ended).unwrap().success());
        assert!(group.life().reaped);

        // As if the id had gone to another process.
        let mut other = std::os::unix::process::CommandExt::process_group(&mut Command::new("sleep"), 0)
            .arg("1000")
            .spawn()
            .unwrap();
        let group = Group { leader: Pid::from_child(&other), life: group.life };
        group.ask_leader();
        group.kill();
        assert!(!group.was_killed_by_us());
        other.kill().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&other.wait().unwrap()), Some(9));
    }
}
