//! What a generator and its caller say to each other.

use actix::Message;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ThumbnailError;

/// How many chunks may wait for their answers at a time; one more is refused with [`ThumbnailError::TooFarAhead`].
///
/// One is enough for a near runner; a few hide the way to a far one.
pub const CHUNKS_AHEAD: usize = 4;

/// The largest image that a generator passes on, in bytes: enough for a 4K video.
///
/// A larger one ends the work with [`ThumbnailError::BadImage`], so that no video can fill the runner's memory.
pub const MAX_IMAGE_BYTES: usize = 64 << 20;

/// The next piece of the video, of any size; 64 to 256 KiB are good ones.
///
/// The answer is the back-pressure: it comes when ffmpeg (or the temporary file) has taken the bytes.
///
/// # Errors
///
/// [`ThumbnailError::TooFarAhead`] when [`CHUNKS_AHEAD`] chunks are waiting already. Whatever else goes wrong is told by
/// [`Finish`]; until then the answer is [`Taken::Enough`].
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[rtype(result = "Result<Taken, ThumbnailError>")]
pub struct Chunk(pub Bytes);

/// What became of a [`Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// ffmpeg has it; send the next one.
    Streamed,
    /// It is in a temporary file, because ffmpeg cannot read this video from a pipe; send the next one. The first
    /// thumbnail comes after [`Finish`].
    Spooled,
    /// No more is needed, because ffmpeg has ended or never began: send [`Finish`], which tells how it went. A success
    /// is possible, as what follows the last picture of a video needs no reading.
    Enough,
}

/// The video is complete. Answered when ffmpeg has ended and the caller has handled every thumbnail.
///
/// # Errors
///
/// Everything that [`ThumbnailError`] lists. The thumbnails that arrived before are good ones.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[rtype(result = "Result<Summary, ThumbnailError>")]
pub struct Finish;

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many thumbnails were sent; at least one.
    pub thumbnails: u32,
    /// Whether the video went through a temporary file (see [`Taken::Spooled`]).
    pub spooled: bool,
    /// What ffmpeg complained about in spite of its success, such as damaged frames; mostly empty, one line, bounded.
    pub complaints: String,
}

/// One image. The next one is made when this one has been handled.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[rtype(result = "()")]
pub struct Thumbnail {
    /// Counts from 1, without gaps, in the order of the video.
    pub index: u32,
    /// A complete PNG file of at most [`MAX_IMAGE_BYTES`].
    pub image: Bytes,
    /// The name of the runner that made it.
    pub runner: String,
    /// The runner's process id.
    pub pid: u32,
}
