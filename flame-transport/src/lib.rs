//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors.

pub mod codec;
mod endpoint;
mod identity;
mod lane;
mod link;
mod node;
mod wire;

pub use endpoint::{
    AcceptError, BindError, Build, InvalidBuild, InvalidConfig, Invitation, InviteError, JoinError, Joined,
    LinkConfig, Listener, ListenerStats, Refusal, Side, join,
};
pub use identity::{Authority, Credentials, IdentityError};
pub use lane::{Body, Limits, Window};
pub use link::{
    Answer, Answers, AskError, Inbox, Interrupt, Lane, Link, LinkLost, MAIN_PORT, Message, Owed, Question,
    SendError, Service,
};
pub use node::{InvalidNodeName, NodeId};
pub use wire::varint;
