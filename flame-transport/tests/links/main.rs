//! The promises of links and lanes, over real QUIC on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod endings;
mod hostile;
mod lanes;
mod support;
mod watches;
