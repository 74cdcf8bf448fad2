//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors.

pub mod codec;
mod node;

pub use node::{InvalidNodeName, NodeId};
