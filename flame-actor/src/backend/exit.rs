//! How an instance ended.

use std::fmt;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// How an instance ended, as its backend saw it. `Display` says it in words that follow on "the runner": "exited with
/// code 1", "was killed by signal 9 (SIGKILL)".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExitReason {
    /// It ended by itself, or as it was asked to.
    Exited {
        /// The exit code; 0 means that it went in order.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number on this machine.
        signal: i32,
        /// Whether a core dump was written.
        core: bool,
    },
    /// Memory ran out: the kernel killed it at its memory limit or the machine's, or an allocation failed and it
    /// aborted.
    OutOfMemory,
    /// Its node was short of something, or was being emptied.
    Evicted {
        /// What the cluster said.
        detail: String,
    },
    /// It had to make room for something of a higher priority.
    Preempted {
        /// What the cluster said.
        detail: String,
    },
    /// Somebody other than the pool deleted it.
    Deleted {
        /// What is known of that.
        detail: String,
    },
    /// It had lived for as long as it was allowed to.
    LifeOver,
    /// The node that it ran on is gone, or cannot be reached.
    NodeLost {
        /// Which node, if that is known.
        node: Option<String>,
        /// What the cluster said.
        detail: String,
    },
    /// It is gone, and no more is known than this.
    Unknown {
        /// What is known.
        detail: String,
    },
}

impl ExitReason {
    /// Whether it ended in order: by itself, with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code: 0 } => f.write_str("exited in order"),
            Self::Exited { code } => write!(f, "exited with code {code}"),
            Self::Signaled { signal, core } => {
                write!(f, "was killed by signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core { f.write_str(" and left a core dump") } else { Ok(()) }
            }
            Self::OutOfMemory => f.write_str("ended because memory ran out"),
            Self::Evicted { detail } => write!(f, "was evicted: {detail}"),
            Self::Preempted { detail } => write!(f, "was preempted: {detail}"),
            Self::Deleted { detail } => write!(f, "was deleted: {detail}"),
            Self::LifeOver => f.write_str("was ended because its longest life was over"),
            Self::NodeLost { node: Some(node), detail } => {
                write!(f, "was lost with its node {node}: {detail}")
            }
            Self::NodeLost { node: None, detail } => write!(f, "was lost with its node: {detail}"),
            Self::Unknown { detail } => write!(f, "ended in an unknown way: {detail}"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    // Numbers differ between systems and machines, so none is written here.
    const NAMES: [(Signal, &str); 16] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::SYS, "SIGSYS"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        assert_eq!(ExitReason::Exited { code: 0 }.to_string(), "exited in order");
        assert_eq!(ExitReason::Exited { code: 3 }.to_string(), "exited with code 3");
        assert_eq!(
            ExitReason::Signaled { signal: Signal::KILL.as_raw(), core: false }.to_string(),
            "was killed by signal 9 (SIGKILL)"
        );
        assert_eq!(
            ExitReason::Signaled { signal: Signal::ABORT.as_raw(), core: true }.to_string(),
            "was killed by signal 6 (SIGABRT) and left a core dump"
        );
        assert_eq!(ExitReason::Signaled { signal: 63, core: false }.to_string(), "was killed by signal 63");
    }
}
