//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors.

mod node;

pub use node::{InvalidNodeName, NodeId};
