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

use crate::remote::{Reference, Remote, Resolved, deserialize_reference, serialize_reference};
use export::Exported;
use kind::{Kind, Passed, Raw};
use slot::{Fate, Slot};

fn serialize<K: Kind, S: Serializer>(slot: &Arc<Slot<K::Item>>, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_reference(export::<K>(Arc::clone(slot)), serializer)
}

fn deserialize<'de, K: Kind, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Slot<K::Item>>, D::Error> {
    match deserialize_reference(deserializer)? {
        Resolved::Remote(remote, number) if number == K::NUMBER => Ok(import::<K>(remote)),
        // A stream that comes home comes as one of the node that it was on.
        _ => Err(de::Error::custom("a reference to something else where a stream should be")),
    }
}

/// A reference that came over one link, for another one: that to a stream stands for what this node reads of it. Others come
/// back.
pub(crate) fn pass_on(remote: Arc<Remote>, number: u32) -> Result<Reference, Arc<Remote>> {
    match number {
        Raw::NUMBER => Ok(export::<Raw>(import::<Raw>(remote))),
        Passed::NUMBER => Ok(export::<Passed>(import::<Passed>(remote))),
        _ => Err(remote),
    }
}

fn export<K: Kind>(slot: Arc<Slot<K::Item>>) -> Reference {
    Reference::Local(Arc::new(Exported::<K>(slot)), K::NUMBER)
}

fn import<K: Kind>(remote: Arc<Remote>) -> Arc<Slot<K::Item>> {
    Slot::new(incoming::source::<K>(remote), Fate::default())
}
