//! Actors over nodes.

pub mod backend;
pub mod runner;
