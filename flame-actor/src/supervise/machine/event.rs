//! What the machine is told and what it asks for.

use std::{sync::Arc, time::Duration, time::Instant};

use crate::remote::DownReason;

/// The number of an incarnation of the child, from 1, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Incarnation(pub(crate) u64);

/// The number of a watcher of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WatcherId(pub(crate) u64);

/// What happened. Whatever is about another incarnation than the present one is ignored, so that late and repeated
/// events are harmless.
#[derive(Debug, Clone)]
pub(crate) enum Event<M, S> {
    /// An incarnation that is being started is on its way to a runner, for the first time or because another runner did not
    /// begin it.
    Handed(Incarnation),
    /// An incarnation takes messages.
    Started(Incarnation),
    /// An incarnation was not started.
    StartFailed {
        incarnation: Incarnation,
        reason: DownReason,
        /// If its runner was lost meanwhile, it may have started after all: until when it may serve then.
        doubt: Option<Instant>,
        /// Whether another attempt would be in vain.
        hopeless: bool,
    },
    /// An incarnation has ended, and its runner said so.
    Ended {
        incarnation: Incarnation,
        reason: DownReason,
        /// How many snapshots it published; this word may have overtaken them.
        snapshots: u64,
    },
    /// The link to an incarnation's runner is lost, and more of that will be told by [`Event::NodeLost`].
    Silent(Incarnation),
    /// The link to an incarnation's runner is lost. It may go on until its lease has run out, which is at `until` at the
    /// latest.
    NodeLost { incarnation: Incarnation, reason: DownReason, until: Instant },
    /// The backend has confirmed that an incarnation's runner is gone.
    Gone(Incarnation),
    /// An incarnation publishes what the next one starts from.
    Snapshot { incarnation: Incarnation, from: S },
    /// An incarnation's runner has to go: the child moves, as soon as it has started if it is just being started there.
    Drain(Incarnation),
    /// A message for the child.
    Message { message: M, bytes: usize },
    /// A message that was delivered to an incarnation, which did not handle it and never will. They come in order.
    Returned { incarnation: Incarnation, message: M, bytes: usize },
    /// Nothing that was delivered to an incarnation will return any more.
    Settled(Incarnation),
    /// The child's owner wants its end: with grace, by force if it has not stopped within that.
    Stop { reason: DownReason, grace: Option<Duration> },
    /// The time of `next_wake` has come.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Clone)]
pub(crate) enum Action<M, W, S> {
    /// Start an incarnation; answered by [`Event::Started`] or [`Event::StartFailed`].
    Start { incarnation: Incarnation, from: Arc<S> },
    /// An incarnation that is being started is not wanted any more; answered as before.
    Cancel(Incarnation),
    /// An incarnation is to stop; answered by [`Event::Ended`].
    Stop { incarnation: Incarnation, reason: DownReason, grace: Option<Duration> },
    /// An incarnation is to stop once it has handled what was delivered to it.
    HandOver(Incarnation),
    /// Give an incarnation a message.
    Deliver { incarnation: Incarnation, message: M },
    /// A message is not delivered, and never will be.
    Refuse { message: M, refusal: Refusal },
    /// Tell a watcher.
    Notify { watcher: W, reason: DownReason },
    /// Say that the child has ended and will be started again.
    Report { reason: DownReason, restarts: usize, delay: Duration },
}

/// Why a message is not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As much as may wait does.
    Full,
    /// The child is being started again, and its messages are not to wait.
    Restarting,
    /// It is gone for good.
    Gone(DownReason),
}
