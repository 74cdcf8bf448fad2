//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors.

mod endpoint;
mod identity;
mod node;

pub use endpoint::{
    AcceptError, BindError, Build, InvalidBuild, InvalidConfig, Invitation, InviteError, JoinError, Joined,
    LinkConfig, Listener, ListenerStats, Refusal, Side, join,
};
pub use identity::{Authority, Credentials, IdentityError};
pub use node::{InvalidNodeName, NodeId};
