//! What the machine is told and what it asks for.

use std::{error::Error, fmt, sync::Arc, time::Duration, time::Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pool::{
    ids::{RequestId, ResourceClass, RunnerSeq},
    settings::Limits,
};

/// What keyed work has in common: a loaded model, a cache. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Key {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// How a request is drawn to the runner that already serves its key. Keys are per [`ResourceClass`].
///
/// A runner takes a key with the first request that brings it there, and keeps it until it takes no more work;
/// of the keys that nothing uses, a pool remembers the latest few thousand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affinity {
    /// That runner if it has a free slot, else any other at once.
    Prefer(Key),
    /// That runner only: the request waits for its slots while it serves the key. When no runner does (any more),
    /// the one that gets the request next takes the key.
    Require(Key),
}

impl Affinity {
    /// The key, however strong the pull.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Prefer(key) | Self::Require(key) => key,
        }
    }
}

/// A request for one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// When it fails if it has no slot by then; `None` waits as long as it takes (but see [`Failure::BootFailed`]).
    pub deadline: Option<Instant>,
    /// What draws it to a runner.
    pub affinity: Option<Affinity>,
    /// What kind of runner it needs.
    pub class: ResourceClass,
    /// The runner whose running work makes this request. If no slot is free at once, it runs there in its caller's
    /// slot: that is why a nested call to the own pool cannot deadlock.
    pub origin: Option<RunnerSeq>,
}

impl Request {
    /// A request without deadline, key, resources or origin.
    #[must_use]
    pub fn new(id: RequestId) -> Self {
        Self { id, deadline: None, affinity: None, class: ResourceClass::default(), origin: None }
    }
}

/// What happened. Anything about a runner or request that the machine does not know (any more) is ignored, so
/// late and repeated events are harmless.
#[derive(Debug, Clone)]
pub enum Event {
    /// Someone wants a slot.
    Request(Request),
    /// The one who waits has gone. (If the deadline has passed by now, the request fails all the same.) Nothing happens to a request that was granted already: [`Event::Release`] it.
    Cancel(RequestId),
    /// A granted request has ended, however it ended; owed once for each [`Action::Grant`] that is not put back.
    Release {
        /// Which request.
        request: RequestId,
        /// Whether its runner may take more work. If not, it is retired once its other work has ended.
        reusable: bool,
    },
    /// A granted request was not handed to its runner and is to be queued again, in its old place; instead of
    /// [`Event::Release`]. If its runner is lost, report that first.
    Requeue(RequestId),
    /// A boot came to nothing.
    BootFailed {
        /// Which runner.
        runner: RunnerSeq,
        /// Why.
        error: BootFailure,
        /// Whether no instance is left; if not, the machine has it terminated.
        gone: bool,
    },
    /// A booted runner can be reached and takes work.
    Joined(RunnerSeq),
    /// The link to a runner is lost; its instance may still be there.
    Lost(RunnerSeq),
    /// The backend has confirmed that a runner's instance has ended.
    Gone(RunnerSeq),
    /// A runner was told to go from outside (SIGTERM): it takes no more work and ends when its own is done. One that says so
    /// has joined.
    Draining(RunnerSeq),
    /// A runner must go (its work cannot be cancelled): it gets no more work and is ended after `shutdown_timeout`.
    Condemn(RunnerSeq),
    /// A runner answers to nothing at the moment, so it gets nothing until [`Event::Recovered`].
    Stalled(RunnerSeq),
    /// A runner that was stalled answers again.
    Recovered(RunnerSeq),
    /// What the check of [`Action::AskIdle`] said.
    IdleAnswer {
        /// Which runner.
        runner: RunnerSeq,
        /// The number in the question.
        ask: u64,
        /// Whether the runner may be retired.
        idle: bool,
    },
    /// The shared cap grants one of the permits that [`Action::WantPermits`] asked for.
    Permit,
    /// Another pool waits for the shared cap: a runner that is idle and above `min`, if there is one, is retired.
    Reclaim,
    /// The pool has new limits.
    Resize(Limits),
    /// The pool stops: see [`Action::Stopped`].
    Shutdown,
    /// The time of [`Machine::next_wake`](super::Machine::next_wake) has come, or the pool has just started. Early,
    /// late and superfluous ones are harmless.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Clone)]
pub enum Action {
    /// The request has a slot on the runner.
    Grant {
        /// Which request.
        request: RequestId,
        /// Where.
        runner: RunnerSeq,
        /// Whether it runs in its caller's slot, see [`Request::origin`]. It is released all the same.
        in_place: bool,
    },
    /// The request gets no slot and is over.
    Fail {
        /// Which request.
        request: RequestId,
        /// Why.
        failure: Failure,
    },
    /// Boot a runner; answered by [`Event::Joined`] or [`Event::BootFailed`], else terminated after `boot_timeout`.
    Boot {
        /// Its number.
        runner: RunnerSeq,
        /// The resources it is for.
        class: ResourceClass,
        /// The boots of this class that have failed in a row, 0 for a first try.
        attempt: u32,
    },
    /// The runner goes when its work has ended: what never ends by itself, supervised children, is to be placed elsewhere.
    Clear(RunnerSeq),
    /// Tell the runner to finish what it has, say goodbye and exit.
    Retire(RunnerSeq),
    /// The backend must end the runner's instance, and the runner must not join any more; answered by
    /// [`Event::Gone`].
    Terminate(RunnerSeq),
    /// Ask the runner's own check whether it may be retired; answered by [`Event::IdleAnswer`]. Work may come to
    /// the runner meanwhile, which makes the answer void.
    AskIdle {
        /// Which runner.
        runner: RunnerSeq,
        /// A number to send back with the answer.
        ask: u64,
    },
    /// The permits of the shared cap that are to be on order from now on, in all.
    WantPermits(u32),
    /// So many permits go back to the shared cap.
    ReturnPermits(u32),
    /// Tell those who watch the pool.
    Emit(PoolEvent),
    /// After [`Event::Shutdown`], once: no instance is left. Waiting requests failed at the shutdown, work in flight
    /// had `shutdown_timeout`.
    Stopped,
}

/// Why a request got no slot.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// As many requests wait as may; the pool is overloaded. Try later, or raise `max` or `max_queue`.
    #[error("the pool's queue is full: {max_queue} requests wait")]
    QueueFull {
        /// The pool's setting.
        max_queue: usize,
    },
    /// The deadline passed without a slot.
    #[error("no slot came free before the deadline, {phase}")]
    Timeout {
        /// What the request was waiting for at last.
        phase: WaitPhase,
        /// The latest boot error, if the pool's boots were failing.
        #[source]
        cause: Option<BootFailure>,
    },
    /// Boots fail, nothing is up or booting, and no further boot will be tried before the request's deadline, or,
    /// if it has none, within `boot_timeout` of its being queued.
    #[error("no runner could be booted")]
    BootFailed {
        /// What the latest boot failed with.
        #[source]
        error: BootFailure,
    },
    /// The pool is stopping or has stopped.
    #[error("the pool is closed")]
    PoolClosed,
    /// The parent of the runner that asks has no open pool of this name.
    #[error("the parent has no open pool called {pool:?}")]
    NoSuchPool {
        /// The name.
        pool: String,
    },
}

/// What a request was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitPhase {
    /// For a slot of a busy runner, or for room to boot one.
    Queued,
    /// For a runner that was booting.
    Booting,
}

impl fmt::Display for WaitPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "while queued",
            Self::Booting => "while a runner was booting",
        })
    }
}

/// Why a boot came to nothing: the backend's error, shared among all who wait for it.
#[derive(Debug, Clone)]
pub struct BootFailure(pub Arc<dyn Error + Send + Sync>);

/// As its words, with those of its causes: the error itself stays with its pool.
impl Serialize for BootFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut words = vec![self.to_string()];
        let mut source = self.source();
        while let Some(cause) = source {
            words.push(cause.to_string());
            source = cause.source();
        }
        words.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BootFailure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let told = words.into_iter().rev().fold(None, |source, words| Some(Box::new(Told { words, source })));
        Ok(Self(Arc::new(
            told.map_or_else(|| Told { words: "a boot failed".to_owned(), source: None }, |told| *told),
        )))
    }
}

/// The words of an error of another node.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Told {
    words: String,
    source: Option<Box<Told>>,
}

impl fmt::Display for BootFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BootFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A boot failure that the pool itself has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootCutShort {
    /// The runner did not join in time; its instance was terminated.
    #[error("the runner did not join within {0:?}")]
    TimedOut(Duration),
    /// The instance ended, or its link was lost, before the runner had joined.
    #[error("the runner ended before it had joined")]
    Ended,
}

/// What those who watch a pool are told.
///
/// `runners` counts instances as `max` does: those that boot, serve, drain or end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A runner boots.
    GrowStarted {
        /// Which runner.
        runner: RunnerSeq,
        /// Instances with it.
        runners: u32,
    },
    /// A runner has joined.
    Grown {
        /// Which runner.
        runner: RunnerSeq,
        /// Instances with it.
        runners: u32,
        /// From the boot to the join.
        took: Duration,
    },
    /// A boot failed.
    BootFailed {
        /// Which runner.
        runner: RunnerSeq,
        /// Why.
        error: BootFailure,
        /// Failed boots of its class in a row; several that failed together count as one.
        failures: u32,
        /// When the next is tried, if it is needed.
        retry_in: Duration,
    },
    /// A busy runner gets no more work, and is retired when its own is done.
    Closing {
        /// Which runner.
        runner: RunnerSeq,
        /// Why.
        reason: RetireReason,
    },
    /// A runner that was closing gets work again: `max` was raised before it was done.
    Reopened {
        /// Which runner.
        runner: RunnerSeq,
    },
    /// A runner was told to finish what it has and to exit.
    Retiring {
        /// Which runner.
        runner: RunnerSeq,
        /// Why.
        reason: RetireReason,
    },
    /// The link to a runner that was not told to go, or that had work, is lost.
    Lost {
        /// Which runner.
        runner: RunnerSeq,
        /// Slots in use on it.
        held: u32,
    },
    /// An instance is gone.
    Shrunk {
        /// Which runner.
        runner: RunnerSeq,
        /// Instances without it.
        runners: u32,
    },
    /// An instance was terminated and not confirmed gone in time. It counts no longer, and may still cost money:
    /// someone must look at it.
    Leaked {
        /// Which runner.
        runner: RunnerSeq,
        /// Instances without it.
        runners: u32,
    },
    /// A growth or placement policy panicked, for the first time; the default ones answer in place of panics.
    PolicyPanicked,
    /// A cast, or a detached call that nobody waited for any more, has failed. Not of the machine's making.
    CastFailed {
        /// The path of the task.
        task: &'static str,
        /// Why: a [`CallError`](crate::CallError).
        error: Arc<dyn Error + Send + Sync>,
    },
}

/// Why a runner is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireReason {
    /// It had nothing to do for the idle time.
    Idle,
    /// It served its one request.
    SingleUse,
    /// The one who used it said that it must not be used again.
    NotReusable,
    /// `max` was lowered.
    Resized,
    /// Its room is needed: for a runner with other resources, or by another pool under the shared cap.
    MakeRoom,
    /// It was told to go from outside.
    Signalled,
    /// Its work could not be cancelled.
    Condemned,
    /// The pool stops.
    PoolStops,
}
