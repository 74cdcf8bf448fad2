//! Boots, ends and sweeps against an API server that does what a test says.

mod booting;
mod ending;
pub(crate) mod fixture;
mod outages;
mod server;
mod sweeping;
