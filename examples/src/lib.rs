//! Example applications of flame-actor.
//!
//! - [`thumbnails`]: an actor that makes thumbnails of a video while the video is still being read. The program of the same
//!   name (`cargo run --release --bin thumbnails`) places it on a runner.
//! - `src/bin/first.rs`: the first app of the README (`cargo run --bin first`).

pub mod thumbnails;
