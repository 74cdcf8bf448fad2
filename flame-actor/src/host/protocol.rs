//! What parent and runner say to each other, beside the messages of actors.
//!
//! An order is an ask of the runner's main port: `1:u8 length:varint order body`, the body being that of a message (see
//! `remote::reference`) which holds the actor's value or the task's arguments. Notices are signals, which overtake
//! everything.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flame_transport::{codec, varint};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use crate::remote::cut;

use crate::remote::{DownReason, LED};

/// What a parent wants of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Start an actor; answered, once it is addressable, with a reference to it.
    Place {
        /// Its type's number.
        actor: u32,
        /// The parent's number for it.
        child: u64,
        /// Where it runs.
        thread: ChildThread,
        /// How long it may live.
        lifetime: Option<Lifetime>,
        /// Whether its snapshots are wanted.
        supervised: bool,
    },
    /// Run a task; answered with its output.
    Call {
        /// The task's number.
        task: u32,
        /// How long it may take, from when it is received.
        time: Option<Duration>,
    },
}

/// The thread that a child runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum ChildThread {
    /// That of one of the arbiters that share the runner's work.
    #[default]
    Shared,
    /// One of its own.
    Own,
    /// That of the runner's link.
    OfLink,
}

/// How long a child may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lifetime {
    /// All the time that it had, over all of its incarnations.
    pub(crate) whole: Duration,
    /// What is left of it, from when this is received.
    pub(crate) left: Duration,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartFailure {
    /// The runner has no such thing.
    Unknown(String),
    /// Its value cannot be decoded.
    Undecodable(String),
    /// It panicked: while its value was decoded, in `started`, or, a task, while it ran.
    Panicked(String),
    /// The task's output cannot be encoded.
    Unencodable(String),
    /// It is known and sound, and the runner cannot begin it: it gets no thread.
    Unable(String),
    /// The runner is about to end and takes no more work. Nothing of it has begun.
    Closed,
    /// The task took longer than it may.
    TimedOut,
}

/// A notice to a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToRunner {
    /// Its owner has let this child go.
    Stop {
        /// The parent's number for it.
        child: u64,
        /// What its owner says of it.
        reason: Option<String>,
        /// When it is ended by force, if it does not stop.
        grace: Option<Duration>,
    },
    /// Finish what there is and exit.
    Retire,
}

/// A notice to the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToParent {
    /// A child has ended.
    Ended {
        /// The parent's number for it.
        child: u64,
        /// Why.
        reason: DownReason,
        /// How many snapshots it has published, which this notice may have overtaken.
        snapshots: u64,
    },
    /// A child publishes what its next incarnation starts from.
    Snapshot {
        /// The parent's number for it.
        child: u64,
        /// The body of its value.
        body: Bytes,
    },
    /// The runner was told to go from outside, and takes no more work.
    Draining,
    /// The runner has work that should have ended and does not; it takes no more, and goes.
    Overdue,
    /// All arbiters of the runner are blocked.
    Stalled,
    /// One of them is free again.
    Recovered,
    /// The runner wants a child no more that it has commissioned; said behind the commission, on the main port.
    LetGo {
        /// The runner's number for it.
        child: u64,
        /// What its owner says of it.
        reason: Option<String>,
        /// When it is ended by force, if it does not stop.
        grace: Option<Duration>,
    },
    /// It gives up ownership of such a child, which lives on.
    Detach {
        /// The runner's number for it.
        child: u64,
    },
    /// What the runner logged.
    Log(Vec<LogLine>),
}

/// An event of a runner's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// 1 for an error to 5 for a trace.
    pub(crate) level: u8,
    pub(crate) target: String,
    pub(crate) message: String,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<String>,
    /// Events that were left out before this one.
    pub(crate) missed: u64,
}

/// What a runner says when it ends its link because it was told to go and nothing is left. It takes no work any more
/// then, so what it has not answered it has not begun.
pub(crate) const FINISHED: &str = "the runner has finished";

/// The same of a runner with work that cannot be ended. It has begun of what it has not answered: tasks whose callers have
/// given up by now, and children that do not come out of `started`.
pub(crate) const UNENDED: &str = "the runner's work cannot be ended";

const LIMIT: usize = 64 * 1024;

/// An order with the body of what it is about; `None` if a text in it is beyond all measure.
pub(crate) fn join<T: Serialize>(order: &T, body: &[u8]) -> Option<Bytes> {
    let mut head = BytesMut::with_capacity(64);
    codec::encode(order, &mut head, LIMIT).ok()?;
    let mut out = BytesMut::with_capacity(head.len() + body.len() + 5);
    out.extend_from_slice(&[LED]);
    varint::put(&mut out, head.len() as u64);
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    Some(out.freeze())
}

/// The two parts again.
pub(crate) fn split<T: DeserializeOwned>(bytes: &Bytes) -> Option<(T, Bytes)> {
    let (&LED, mut rest) = bytes.split_first()? else { return None };
    let length = usize::try_from(varint::take(&mut rest)?).ok()?;
    let order = codec::decode(rest.get(..length)?).ok()?;
    Some((order, bytes.slice_ref(rest.get(length..)?)))
}

impl ToParent {
    /// One that may be long.
    pub(crate) fn encode_within(&self, limit: usize) -> Result<Bytes, codec::EncodeError> {
        let mut out = BytesMut::new();
        codec::encode(self, &mut out, limit)?;
        Ok(out.freeze())
    }
}

macro_rules! encoded {
    ($($type:ty),*) => {$(
        impl $type {
            pub(crate) fn encode(&self) -> Bytes {
                let mut out = BytesMut::new();
                // Left empty by an error, which the decoder tells.
                let _ = codec::encode(self, &mut out, LIMIT);
                out.freeze()
            }
        }
    )*};
}

encoded!(StartFailure, ToRunner, ToParent);
