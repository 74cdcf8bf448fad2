//! Streams: bytes and items that flow between nodes as they are made.
//!
//! [`ByteStream`] and [`ItemStream`] are serde values: arguments and results of tasks, fields of actors and of messages.
//! Where such a value arrives, it is read, and only then does anything flow: as fast as it is read, over a QUIC stream of
//! its own. Dropping either end ends the other.
//!
//! ```text
//!  source ─ Slot ─ Exported ═══ port ═══▶ Remote ─ incoming ─ Slot ─ the reader's value
//!              │      ▲                     │ 1. "read it, under this number"
//!              │      └─────────────────────┘
//!              └─ 2. pump ──── bulk stream ──────────▶ 3. items, the end, or why there is none
//! ```
//!
//! In a message a stream is a reference like that to an actor (see `remote::reference`), so what is not sent, not decoded or
//! not taken is given back by the same rules. A stream that is sent on has the stream before it as its source.
//!
//! | module | what it holds |
//! |---|---|
//! | `bytes`, `items` | [`ByteStream`], [`ItemStream`] |
//! | `feed` | [`Feed`]: a stream that is fed by hand |
//! | `slot` | the source, until somebody takes it |
//! | `export`, `incoming` | the two ends of a stream between nodes |
//! | `kind` | how items stand in frames |

mod bytes;
mod error;
mod export;
mod feed;
mod incoming;
mod items;
mod kind;
mod slot;

pub use bytes::{ByteStream, file};
pub use error::{StreamClosed, StreamError};
pub use feed::Feed;
pub use items::ItemStream;

use std::sync::Arc;

use serde::{Deserializer, Serializer, de};

use crate::remote::{Reference, Resolved, deserialize_reference, serialize_reference};
use export::Exported;
use kind::Kind;
use slot::{Fate, Slot};

fn serialize<K: Kind, S: Serializer>(slot: &Arc<Slot<K::Item>>, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_reference(Reference::Local(Arc::new(Exported::<K>(Arc::clone(slot)))), serializer)
}

fn deserialize<'de, K: Kind, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Slot<K::Item>>, D::Error> {
    const NO_STREAM: &str = "a reference to an actor where a stream should be";
    match deserialize_reference(deserializer)? {
        Resolved::Remote(remote, _) => Ok(Slot::new(incoming::source::<K>(remote), Fate::default())),
        // A stream that comes home comes as one of the node that it was on.
        Resolved::Home(..) => Err(de::Error::custom(NO_STREAM)),
    }
}
