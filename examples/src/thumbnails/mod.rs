//! Thumbnails of a video, made while it is still being read.
//!
//! ```text
//!            Chunk, Chunk, …, Finish                    bytes
//!   caller ───────────────────────▶ ThumbnailGenerator ────────▶ ffmpeg
//!     ▲                                │        ▲                   │
//!     └──────── Thumbnail, … ──────────┘        └───── PNG, … ──────┘
//! ```
//!
//! [`ThumbnailGenerator`] is an ordinary actix actor, and its caller a `Recipient<Thumbnail>`: neither knows whether the other
//! lives in the same process. Nothing piles up on the way. A chunk is answered when ffmpeg has taken it, so a slow ffmpeg slows
//! the sender; the next image is read when the caller has handled the last one, so a slow caller slows ffmpeg.

mod container;
mod error;
mod ffmpeg;
mod generator;
mod messages;
mod pipeline;
mod png;

pub use error::ThumbnailError;
pub use generator::ThumbnailGenerator;
pub use messages::{CHUNKS_AHEAD, Chunk, Finish, MAX_IMAGE_BYTES, Summary, Taken, Thumbnail};
