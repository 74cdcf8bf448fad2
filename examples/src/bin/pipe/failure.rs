//! How the program can fail: each time with one line on stderr.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flame_actor::{CallError, PoolError, StreamError};
use flame_examples::program::{Stopped, complain};
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot read {}: {reason}", .file.display())]
    Input { file: PathBuf, reason: io::Error },
    #[error("cannot write {}: {reason}", .file.display())]
    Output { file: PathBuf, reason: io::Error },
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Failure {
    pub(crate) fn input(file: &Path, reason: io::Error) -> Self {
        Self::Input { file: file.into(), reason }
    }

    pub(crate) fn output(file: &Path, reason: io::Error) -> Self {
        Self::Output { file: file.into(), reason }
    }

    /// Tells it, and gives the exit code: 1, or 128 and the signal.
    pub(crate) fn report(&self) -> ExitCode {
        complain("pipe", self);
        match self {
            Self::Stopped(stopped) => stopped.exit_code(),
            _ => ExitCode::FAILURE,
        }
    }
}
