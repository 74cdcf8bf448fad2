//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors.

mod lane;
mod node;
mod wire;

pub use node::{InvalidNodeName, NodeId};
