//! The promises of actors and calls on runners, through the in-process backend: every message crosses serde and a link.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod blocks;
mod calls;
mod chat_room;
mod context;
mod elastic;
mod ends;
mod failures;
mod health;
mod names;
mod nested;
mod options;
mod panics;
mod parents;
mod placing;
mod pressure;
mod references;
mod results;
mod support;
mod thirds;
mod watching;
