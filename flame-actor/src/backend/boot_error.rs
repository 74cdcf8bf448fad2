//! Why no instance was made.

use std::{io, path::PathBuf};

use super::TicketError;
use crate::runner::guard::{MAX_GENERATION, RUNNER_VARIABLE};

/// Why a backend created no instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// This process never asked whether it is a runner, so the copy of it that was to be booted would not ask either:
    /// it would run as a second parent and boot copies of its own, without end.
    #[error(
        "refused to boot a runner: this process never asked for its role, so its copies would not know that they are \
         runners; make `if let Some(runner) = flame_actor::runner() {{ return runner.serve().await; }}` the first line of `main` (a test executable has no `main` of its \
         own: use the in-process backend there, or name the app with `ProcessBackend::command`)"
    )]
    NotAskedForRole,
    /// This process is a runner. Runners boot no runners: in a runner the pool's name stands for the parent's pool.
    #[error("refused to boot a runner: this process is itself a runner, and only the parent's pools grow")]
    IsRunner,
    /// This process descends from runners of runners. The usual cause is a command that gives the app another standard
    /// input than its own, so that no copy recognises that it is a runner.
    #[error(
        "refused to boot a runner: this process was started by a runner's runner ({RUNNER_VARIABLE} is at generation \
         {generation}, the last that may boot is {}); a command given to `ProcessBackend::command` must hand its \
         standard input on to the app",
        MAX_GENERATION - 1
    )]
    TooDeep {
        /// How many runners stand between the first parent and this process.
        generation: u32,
    },
    /// The deadline of the boot passed before the instance was created.
    #[error("the boot's deadline passed before the runner was started")]
    DeadlinePassed,
    /// The operating system did not start the process: the file is missing or cannot be run, or a limit on processes,
    /// memory or open files is reached.
    #[error("could not start a runner from {}", path.display())]
    Spawn {
        /// The program that was to run.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A pipe or thread that watches over the runner could not be made: a limit of this process is reached.
    #[error("could not make the {what} of a runner")]
    Resources {
        /// What was to be made.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The ticket cannot be handed over.
    #[error("could not hand the runner its ticket")]
    Ticket(#[from] TicketError),
    /// An error of a backend outside this crate.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl BootError {
    /// Wraps the error of a backend of your own.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
