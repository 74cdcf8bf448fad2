//! Actors over nodes.

pub mod pool;
