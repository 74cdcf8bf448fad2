//! How the program can fail: each time with one line on stderr.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flame_actor::{CallError, PoolError, StreamError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot read {}: {reason}", .file.display())]
    Input { file: PathBuf, reason: io::Error },
    #[error("cannot write {}: {reason}", .file.display())]
    Output { file: PathBuf, reason: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("interrupted")]
    Interrupted(SignalKind),
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
        // A closed stderr takes no line; the exit code still tells.
        let _ = writeln!(io::stderr(), "pipe: {self}");
        match self {
            Self::Interrupted(signal) => u8::try_from(128 + signal.as_raw_value()).unwrap_or(1).into(),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Waits for Ctrl-C or a request to end.
pub(crate) async fn interrupted() -> Failure {
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    match (signal(interrupt), signal(terminate)) {
        (Ok(mut int), Ok(mut term)) => tokio::select! {
            _ = int.recv() => Failure::Interrupted(interrupt),
            _ = term.recv() => Failure::Interrupted(terminate),
        },
        (Err(error), _) | (_, Err(error)) => Failure::Signals(error),
    }
}
