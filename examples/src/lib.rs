//! Example applications of flame-actor.
//!
//! - [`thumbnails`]: an actor that makes thumbnails of a video while the video is still being read. The program of the same
//!   name (`cargo run --release --bin thumbnails`) places it on a runner.
//! - `src/bin/pipe`: compresses a file on a runner while it is read (`cargo run --release --bin pipe -- FILE`).
//! - `src/bin/first.rs`: the first app of the README (`cargo run --bin first`).
//!
//! [`program`] is what the programs do alike.

pub mod program;
pub mod thumbnails;
