//! Lanes: ordered sequences of messages from one node to one port of another, each with its own credit.
//!
//! Nothing here does I/O or looks at a clock: [`Sender`] and [`Receiver`] are the two ends of a link as plain state,
//! and `link` is the shell that moves bytes between them.
//!
//! ```text
//!  tell/ask ─▶ Sender: waits for credit ─▶ Outbox: coalesces, cuts ─▶ (stream) ─▶ Receiver: joins ─▶ Inbox of the port
//!                ▲                                                                                       │
//!                └──────────────────────── credit, granted from what was handled ◀───────────────────────┘
//! ```

mod credit;
mod inbox;
mod leftover;
mod outbox;
mod receiver;
mod sender;

pub use credit::Window;
pub(crate) use credit::cost;
pub(crate) use leftover::{Abandoned, Homecoming, Settled, Unsent, UnsentBody};
pub use outbox::Body;
pub(crate) use receiver::{Answered, Grant, PortQueue, Receiver, Returned};
pub(crate) use sender::{Asked, Refused, Room, Sender};

use bytes::Bytes;

use crate::wire::frame::Failure;

/// How much may be under way on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What may be sent to one port before the receiving actor has handled it.
    pub lane: Window,
    /// What may be sent over the whole link before it is handled.
    pub link: Window,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// How many bytes of one-way messages may wait on the sending side of a lane that has no credit.
    pub backlog: usize,
}

impl Default for Limits {
    /// 1 MiB and 8192 messages a lane, 16 MiB and 131072 messages a link, messages of 16 MiB, a backlog of 1 MiB.
    fn default() -> Self {
        Self {
            lane: Window { messages: 8 * 1024, bytes: 1024 * 1024 },
            link: Window { messages: 128 * 1024, bytes: 16 * 1024 * 1024 },
            max_message: 16 * 1024 * 1024,
            backlog: 1024 * 1024,
        }
    }
}

/// The most asks of a link that may wait for their answers.
pub(crate) const MAX_QUESTIONS: usize = 64 * 1024;

/// How many long messages are cut and sent at the same time; more wait for their turn.
pub(crate) const MAX_CUTS: usize = 16;

/// How an ask ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Bytes),
    Fail(Failure, Bytes),
}

impl Outcome {
    /// The answer, if there is one.
    pub(crate) fn reply(self) -> Option<Bytes> {
        match self {
            Self::Reply(body) => Some(body),
            Self::Fail(..) => None,
        }
    }
}
