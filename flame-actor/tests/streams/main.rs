//! The promises of streams and of tracked results, through the in-process backend: everything crosses serde and a link.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod endings;
mod flow;
mod items;
mod support;
mod tracked;
mod values;
