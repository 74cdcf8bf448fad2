//! What can go wrong with a video.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::png::PngError;

/// Why a generator made no (more) thumbnails. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ThumbnailError {
    /// ffmpeg did not start on the machine of the generator.
    #[error("cannot start ffmpeg ({reason}): install it (on Debian: apt install ffmpeg)")]
    NoFfmpeg {
        /// The system's reason.
        reason: String,
    },
    /// ffmpeg gave up: mostly because the input is not a video.
    #[error("ffmpeg failed ({status}): {said}")]
    Ffmpeg {
        /// Its exit code or signal.
        status: String,
        /// The end of what it wrote to its stderr, as one line.
        said: String,
    },
    /// ffmpeg was content and made no image: the video is shorter than half the interval, or holds no picture.
    #[error("ffmpeg made no image of this: {said}")]
    NoImage {
        /// The end of what it wrote to its stderr, as one line.
        said: String,
    },
    /// ffmpeg wrote something that is not a PNG image, half of one, or one above the limit.
    #[error("an image from ffmpeg is unusable: {reason}")]
    BadImage {
        /// What is wrong with it.
        reason: String,
    },
    /// The temporary file could not be written; mostly the disk is full.
    #[error("cannot write the video to a temporary file on the runner: {reason}")]
    Spool {
        /// The system's reason.
        reason: String,
    },
    /// A pipe between the generator and ffmpeg failed.
    #[error("cannot talk to ffmpeg: {reason}")]
    Pipe {
        /// The system's reason.
        reason: String,
    },
    /// The caller has ended, or did not take a thumbnail.
    #[error("the receiver of the thumbnails is gone")]
    CallerGone,
    /// The sender did not wait for the answers to its chunks.
    #[error("too many chunks without an answer: at most {limit} may wait for one")]
    TooFarAhead {
        /// [`CHUNKS_AHEAD`](super::CHUNKS_AHEAD).
        limit: usize,
    },
    /// The generator was stopped before it was done.
    #[error("the generator was stopped before it was done")]
    Stopped,
    /// [`Finish`](super::Finish) was sent before.
    #[error("this generator was told to finish before")]
    FinishedTwice,
}

impl From<PngError> for ThumbnailError {
    fn from(error: PngError) -> Self {
        Self::BadImage { reason: error.to_string() }
    }
}
