//! How the program can fail: each time with one line on stderr.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flame_actor::{PlaceFailure, PoolError, SendError};
use flame_examples::thumbnails::ThumbnailError;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot read {}: {reason}", .video.display())]
    Video { video: PathBuf, reason: io::Error },
    #[error("cannot make the folder {}: {reason}", .folder.display())]
    Folder { folder: PathBuf, reason: io::Error },
    #[error("cannot write {}: {reason}", .file.display())]
    File { file: PathBuf, reason: io::Error },
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    #[error("no reader for the video: {0}")]
    Reader(io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("{0}")]
    Thumbnails(#[from] ThumbnailError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("cannot place the generator: {0}")]
    Place(PlaceFailure),
    #[error("the generator is lost: {0}")]
    Lost(#[from] SendError),
    #[error("interrupted")]
    Interrupted(SignalKind),
}

impl Failure {
    pub(crate) fn video(video: &Path, reason: io::Error) -> Self {
        Self::Video { video: video.into(), reason }
    }

    pub(crate) fn folder(folder: &Path, reason: io::Error) -> Self {
        Self::Folder { folder: folder.into(), reason }
    }

    pub(crate) fn file(file: &Path, reason: io::Error) -> Self {
        Self::File { file: file.into(), reason }
    }

    /// Tells it, and gives the exit code: 1, or 128 and the signal.
    pub(crate) fn report(&self) -> ExitCode {
        // A closed stderr takes no line; the exit code still tells.
        let _ = writeln!(io::stderr(), "thumbnails: {self}");
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
