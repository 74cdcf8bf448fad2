//! Who joins a parent and who does not, over real QUIC on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the configured exception covers test functions and not their helpers"
)]

mod certificates;
mod hello;
mod load;
mod packets;
mod reach;
mod support;
mod welcome;
