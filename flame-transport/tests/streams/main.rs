//! The promises of bulk streams, over real QUIC on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod bounds;
mod endings;
mod flow;
mod hostile;
mod support;
