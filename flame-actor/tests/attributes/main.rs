//! The attributes in all shapes in which user code may write them.
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic
)]
#![allow(clippy::expect_used, reason = "only test functions are exempt, not their helpers")]

mod handlers;
mod tasks;
