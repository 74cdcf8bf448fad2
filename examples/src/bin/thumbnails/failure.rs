//! How the program can fail: each time with one line on stderr.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flame_actor::{PlaceFailure, PoolError, SendError};
use flame_examples::{
    program::{Stopped, complain},
    thumbnails::ThumbnailError,
};
use thiserror::Error;

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
    #[error("{0}")]
    Thumbnails(#[from] ThumbnailError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("cannot place the generator: {0}")]
    Place(PlaceFailure),
    #[error("the generator is lost: {0}")]
    Lost(#[from] SendError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
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
        complain("thumbnails", self);
        match self {
            Self::Stopped(stopped) => stopped.exit_code(),
            _ => ExitCode::FAILURE,
        }
    }
}
