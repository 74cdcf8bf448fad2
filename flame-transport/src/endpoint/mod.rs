//! Where links begin: the socket, the parent that listens, the runner that joins, and what they say to each other.
//!
//! A runner has *joined* when it has read the parent's welcome. Before that comes mutual TLS (see
//! [`Authority`](crate::Authority)), then the parent compares the runner's certificate with its list of invitations,
//! and both builds.
//!
//! ```text
//! runner  (join)                         parent  (Listener)
//!    │── QUIC, mutual TLS 1.3 ───────────────▶│  certificate of this parent's authority?
//!    │── control: hello ─────────────────────▶│  invited, not yet used, not given up, in time?
//!    │── data: one byte ─────────────────────▶│  same build?
//!    │◀──────────── control: welcome, or why not ──│
//! ```

mod build;
mod config;
mod invitation;
mod join;
mod joined;
mod listener;
mod message;
mod mtu;
mod reception;
mod refusal;
mod registry;
mod socket;

pub use build::{Build, InvalidBuild};
pub use config::{InvalidConfig, LinkConfig};
pub use invitation::Invitation;
pub use join::{JoinError, join};
pub use joined::{Joined, Side};
pub use listener::{AcceptError, BindError, InviteError, Listener, ListenerStats};
pub use refusal::Refusal;
pub(crate) use socket::MAX_BULK;
