//! Actors of other nodes: their addresses, and how references to actors travel.
//!
//! A reference to an actor is *exported* when a message that holds it is sent, and becomes a proxy of the same type when
//! the message is received; one that comes home is the original again.
//!
//! | module | what it holds |
//! |---|---|
//! | `addr`, `recipient`, `any` | [`RemoteAddr`], [`RemoteRecipient`], and an address of any type |
//! | `outgoing`, `request` | sending a message, and its answer |
//! | `proxy` | a genuine `actix::Recipient` of an actor of another node |
//! | `target`, `line` | where their messages go |
//! | `supervised` | the same for an actor that is started again when it ends |
//! | `watching` | who is told of whose end |
//! | `peer`, `export` | the other end of a link, and what it may address here |
//! | `reference`, `scope`, `field` | how references stand in a message |
//! | `relay` | actors of a third node |

mod addr;
mod any;
mod error;
mod export;
mod field;
mod line;
mod outgoing;
mod peer;
mod proxy;
mod recipient;
mod reference;
mod relay;
mod request;
pub(crate) mod scope;
mod supervised;
mod target;
mod watching;

pub use addr::RemoteAddr;
pub use error::{DownReason, SendError};
pub use outgoing::SerdeMessage;
pub use recipient::{RemoteRecipient, serde_recipient};
pub use request::Request;

pub(crate) use any::AnyAddr;
pub(crate) use error::{Refusal, cut};
pub(crate) use export::{ExportKey, Exportable, ExportedChild};
pub(crate) use field::{deserialize_reference, serialize_reference};
pub(crate) use line::Patience;
pub(crate) use outgoing::{HAND_OVER, encode_answer, encode_whole};
pub(crate) use peer::{ExportGuard, Peer, PeerEvents};
pub(crate) use reference::{
    Encoded, LED, PLAIN, Ready, Reference, Resolved, Sendable, Unread, answer_naming, discard, parse, placed,
    placed_port, put_head, refers,
};
pub(crate) use relay::{answer_placed, rebase};
pub(crate) use request::{decode_answer, decode_keeping};
pub(crate) use supervised::{Charge, Order as KeeperOrder, Supervised};
pub(crate) use target::{Keeper, Remote};
