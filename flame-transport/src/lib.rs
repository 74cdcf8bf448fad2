//! Nodes talk to nodes: identity, links, lanes. This crate knows no actors; it is the transport of `flame-actor`.
//!
//! ```text
//!   parent                                               runner
//!   Authority ── signs ──▶ Invitation ─── (a ticket) ──▶ join(invitation)
//!   Listener  ◀── QUIC, mutual TLS 1.3; hello, welcome ──┘
//!   Link ═══ control stream: pings, credit, signals ════ Link
//!        ═══ data stream: the frames of all lanes ══════
//!        ─── bulk streams, one a flow of bytes ────────▶
//!   Lane ──── tell, ask ────────────────────────▶ Inbox of a port
//! ```
//!
//! - **Identity.** Every parent is its own certificate [`Authority`], in memory. A runner's [`Invitation`] holds a key of its own, good
//!   for one join.
//! - **Joining.** [`join`] returns once the parent has *welcomed* the node: a TLS connection alone means nothing. Both sides must run the
//!   same [`Build`]; a [`Refusal`] names both.
//! - **Lanes.** A [`Lane`] is an ordered sequence of messages to one port of the peer, with credit of its own that is granted from what
//!   was handled. Nobody's slowness holds up another lane, and what a peer can make this node hold is bounded ([`Limits`]). Long
//!   messages are cut and interleaved with short ones.
//! - **Bulk.** A flow of bytes has a QUIC stream of its own, below the lanes in priority, with QUIC's own back-pressure. It is
//!   opened when its reader asks ([`Link::expect_bulk`], [`Link::open_bulk`]).
//! - **Liveness.** Each side pings; a silent peer is lost after [`LinkConfig::with_idle_timeout`] (4 s), and reported once, as a
//!   [`LinkLost`] with its reason. There is no reconnect.
//! - **Codec.** [`codec`] is MessagePack that keeps serde's whole data model: a value arrives equal to what was sent, or is
//!   refused when it is encoded.
//!
//! Bytes from a peer are never trusted: they cause errors, not panics, and lengths in them reserve nothing.

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
    Answer, Answers, AskError, BulkClosed, BulkError, BulkReceiver, BulkSender, ExpectedBulk, Inbox,
    Interrupt, Lane, LaneWatch, Link, LinkLost, MAIN_PORT, Message, Owed, Question, SendError, Service,
};
pub use node::{InvalidNodeName, NodeId};
pub use wire::{bulk::Part, varint};
