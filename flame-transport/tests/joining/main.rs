//! Who joins a parent and who does not, over real QUIC on loopback.

mod certificates;
mod hello;
mod load;
mod reach;
mod support;
mod welcome;
