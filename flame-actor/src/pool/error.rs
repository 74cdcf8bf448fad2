//! Why work was not done.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use flame_transport::{NodeId, codec};
use serde::{Deserialize, Serialize};

use super::{
    boot_report::BootReport,
    machine::{Failure, WaitPhase},
    wish::Term,
};
use crate::{backend::ExitReason, host::protocol::StartFailure, remote::SendError};

/// How far a call or a child had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkPhase {
    /// It was not even queued: what was to be sent cannot be.
    Preparing,
    /// It waited for a slot.
    Queued,
    /// It waited for a runner that booted.
    Booting,
    /// A runner had it.
    Running,
    /// It had run, and what came of it was on its way back.
    Answering,
}

impl fmt::Display for WorkPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparing => "before it was queued",
            Self::Queued => "while it was queued",
            Self::Booting => "while a runner was booting",
            Self::Running => "while a runner had it",
            Self::Answering => "after it had run",
        })
    }
}

impl From<WaitPhase> for WorkPhase {
    fn from(phase: WaitPhase) -> Self {
        match phase {
            WaitPhase::Queued => Self::Queued,
            WaitPhase::Booting => Self::Booting,
        }
    }
}

/// A runner went while it had work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunnerLoss {
    /// Which runner.
    pub runner: NodeId,
    /// How its instance ended, where the backend saw it.
    pub exit: Option<ExitReason>,
    /// What was seen of the link.
    pub detail: String,
}

impl fmt::Display for RunnerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exit {
            Some(exit) => write!(f, "the runner {} {exit}", self.runner),
            None => write!(f, "the runner {} is lost: {}", self.runner, self.detail),
        }
    }
}

impl RunnerLoss {
    /// Whether the runner was killed because memory ran out, where its backend can tell.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        matches!(self.exit, Some(ExitReason::OutOfMemory))
    }
}

/// A call has no output.
///
/// [`phase`](CallError::phase), [`runner`](CallError::runner) and [`may_have_run`](CallError::may_have_run) tell of each
/// how far it came.
///
/// # Examples
///
/// What may safely be done again elsewhere:
///
/// ```
/// use flame_actor::CallError;
///
/// fn is_safe_to_repeat(error: &CallError) -> bool {
///     !error.may_have_run()
/// }
/// # assert!(is_safe_to_repeat(&CallError::NotRegistered));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call's time is over. If a runner had the task, it is cancelled at its next await.
    #[error("the call took longer than {limit:?}; its time was over {phase}")]
    Timeout {
        /// The time that it had.
        limit: Duration,
        /// How far it had come.
        phase: WorkPhase,
        /// Which runner had it.
        runner: Option<NodeId>,
    },
    /// The task never got a slot: the queue is full, boots fail, or the pool is stopping. It did not run.
    #[error("the call was not placed: {0}")]
    NotPlaced(#[source] Failure),
    /// The task panicked.
    #[error("the task panicked on {runner}: {message}")]
    Panicked {
        /// Where.
        runner: NodeId,
        /// What was given to `panic!`.
        message: String,
    },
    /// The runner was lost while it had the call. The task may have run.
    #[error("{0}")]
    RunnerLost(RunnerLoss),
    /// The runner does not know the task or cannot decode its arguments. It did not run.
    #[error("the call cannot be carried out on {runner}: {message}")]
    Refused {
        /// Where.
        runner: NodeId,
        /// Why.
        message: String,
    },
    /// The task has run, and its output cannot be encoded or decoded.
    #[error("the task has run on {runner}, and its output cannot travel: {message}")]
    Output {
        /// Where.
        runner: NodeId,
        /// Why.
        message: String,
    },
    /// The arguments cannot be sent. The task did not run.
    #[error(transparent)]
    Message(#[from] SendError),
    /// The task's type is not registered in this executable.
    #[error("the task is not registered: mark its function with #[task]")]
    NotRegistered,
}

/// An actor was not placed.
///
/// It comes back in `actor` if it was never decoded on a runner, so that it can be started here instead.
#[derive(thiserror::Error)]
#[error("the actor was not placed: {reason}")]
#[non_exhaustive]
pub struct PlaceError<A> {
    /// The actor, unless it has started elsewhere.
    pub actor: Option<A>,
    /// Why.
    #[source]
    pub reason: PlaceFailure,
}

/// Why an actor was not placed.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceFailure {
    /// It got no slot: the queue is full, boots fail, or the pool is stopping.
    #[error(transparent)]
    NotPlaced(Failure),
    /// Its `started` panicked, or its decoding.
    #[error("it panicked on {runner} while it was started: {message}")]
    Panicked {
        /// Where.
        runner: NodeId,
        /// What was given to `panic!`.
        message: String,
    },
    /// The runner cannot start it.
    #[error("{runner} cannot start it: {message}")]
    Refused {
        /// Where.
        runner: NodeId,
        /// Why.
        message: String,
    },
    /// The runner was lost meanwhile. The actor may have started.
    #[error("{0}")]
    RunnerLost(RunnerLoss),
    /// It did not start in time.
    #[error("it did not start within {limit:?}; its time was over {phase}")]
    Timeout {
        /// The time that it had.
        limit: Duration,
        /// How far it had come.
        phase: WorkPhase,
        /// Which runner had it.
        runner: Option<NodeId>,
    },
    /// It was started, and what the runner says of that cannot be understood.
    #[error("{runner} has started it, and answers in a way that this build does not know")]
    Answer {
        /// Where.
        runner: NodeId,
    },
    /// It cannot be sent.
    #[error(transparent)]
    Message(#[from] SendError),
    /// No handler of it is registered in this executable.
    #[error(
        "the actor type {actor} has no #[remote] handler in this executable, so nobody could reach it elsewhere"
    )]
    NotRegistered {
        /// The type's name.
        actor: String,
    },
}

impl<A> fmt::Debug for PlaceError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaceError")
            .field("gives_back", &self.actor.is_some())
            .field("reason", &self.reason)
            .finish()
    }
}

impl CallError {
    /// How far the call had come.
    #[must_use]
    pub fn phase(&self) -> WorkPhase {
        match self {
            Self::Timeout { phase, .. } => *phase,
            Self::NotPlaced(failure) => phase_of(failure),
            Self::Panicked { .. } | Self::RunnerLost(_) | Self::Refused { .. } => WorkPhase::Running,
            Self::Output { .. } => WorkPhase::Answering,
            Self::Message(_) | Self::NotRegistered => WorkPhase::Preparing,
        }
    }

    /// The runner that had the call, if one had.
    #[must_use]
    pub fn runner(&self) -> Option<&NodeId> {
        match self {
            Self::Timeout { runner, .. } => runner.as_ref(),
            Self::Panicked { runner, .. } | Self::Refused { runner, .. } | Self::Output { runner, .. } => {
                Some(runner)
            }
            Self::RunnerLost(loss) => Some(&loss.runner),
            Self::NotPlaced(_) | Self::Message(_) | Self::NotRegistered => None,
        }
    }

    /// Whether any of the task's code may have run. If not, the call can be made again without doing anything twice.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.phase() >= WorkPhase::Running && !matches!(self, Self::Refused { .. })
    }

    /// Whether the runner was killed because memory ran out, where its backend can tell.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        matches!(self, Self::RunnerLost(loss) if loss.out_of_memory())
    }

    /// How far the latest boot came, if boots that fail are the reason.
    #[must_use]
    pub fn boot_report(&self) -> Option<&BootReport> {
        match self {
            Self::NotPlaced(failure) => boot_report(failure),
            _ => None,
        }
    }

    pub(super) fn from_start(failure: StartFailure, runner: NodeId, term: Term) -> Self {
        match failure {
            StartFailure::Panicked(message) => Self::Panicked { runner, message },
            StartFailure::TimedOut => Self::timeout(term, WorkPhase::Running, Some(runner)),
            StartFailure::Unencodable(message) => Self::Output { runner, message },
            other => Self::Refused { runner, message: words(other) },
        }
    }

    pub(super) fn unplaced(failure: Failure, term: Term) -> Self {
        match failure {
            Failure::Timeout { phase, cause: None } => Self::timeout(term, phase.into(), None),
            other => Self::NotPlaced(other),
        }
    }

    pub(super) fn timeout(term: Term, phase: WorkPhase, runner: Option<NodeId>) -> Self {
        Self::Timeout { limit: term.limit(), phase, runner }
    }
}

impl PlaceFailure {
    /// How far the actor had come.
    #[must_use]
    pub fn phase(&self) -> WorkPhase {
        match self {
            Self::Timeout { phase, .. } => *phase,
            Self::NotPlaced(failure) => phase_of(failure),
            Self::Panicked { .. } | Self::RunnerLost(_) | Self::Refused { .. } => WorkPhase::Running,
            Self::Answer { .. } => WorkPhase::Answering,
            Self::Message(_) | Self::NotRegistered { .. } => WorkPhase::Preparing,
        }
    }

    /// The runner that had the actor, if one had.
    #[must_use]
    pub fn runner(&self) -> Option<&NodeId> {
        match self {
            Self::Timeout { runner, .. } => runner.as_ref(),
            Self::Panicked { runner, .. } | Self::Refused { runner, .. } | Self::Answer { runner } => {
                Some(runner)
            }
            Self::RunnerLost(loss) => Some(&loss.runner),
            Self::NotPlaced(_) | Self::Message(_) | Self::NotRegistered { .. } => None,
        }
    }

    /// Whether any of the actor's code may have run. If not, [`PlaceError::actor`] has it back.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.phase() >= WorkPhase::Running && !matches!(self, Self::Refused { .. })
    }

    /// Whether the runner was killed because memory ran out, where its backend can tell.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        matches!(self, Self::RunnerLost(loss) if loss.out_of_memory())
    }

    /// How far the latest boot came, if boots that fail are the reason.
    #[must_use]
    pub fn boot_report(&self) -> Option<&BootReport> {
        match self {
            Self::NotPlaced(failure) => boot_report(failure),
            _ => None,
        }
    }

    pub(super) fn from_start(failure: StartFailure, runner: NodeId) -> Self {
        match failure {
            StartFailure::Panicked(message) => Self::Panicked { runner, message },
            other => Self::Refused { runner, message: words(other) },
        }
    }

    pub(super) fn unplaced(failure: Failure, term: Term) -> Self {
        match failure {
            Failure::Timeout { phase, cause: None } => Self::timeout(term, phase.into(), None),
            other => Self::NotPlaced(other),
        }
    }

    pub(super) fn timeout(term: Term, phase: WorkPhase, runner: Option<NodeId>) -> Self {
        Self::Timeout { limit: term.limit(), phase, runner }
    }
}

/// An error for another node; empty, which is none, if its words are beyond all measure.
pub(super) fn encode_error<E: Serialize>(error: &E) -> Bytes {
    const LIMIT: usize = 64 * 1024;
    let mut out = BytesMut::new();
    match codec::encode(error, &mut out, LIMIT) {
        Ok(()) => out.freeze(),
        Err(_) => Bytes::new(),
    }
}

fn boot_report(failure: &Failure) -> Option<&BootReport> {
    match failure {
        Failure::BootFailed { error } | Failure::Timeout { cause: Some(error), .. } => BootReport::of(error),
        _ => None,
    }
}

fn phase_of(failure: &Failure) -> WorkPhase {
    match failure {
        Failure::Timeout { phase, .. } => (*phase).into(),
        Failure::BootFailed { .. } => WorkPhase::Booting,
        Failure::QueueFull { .. } | Failure::PoolClosed | Failure::NoSuchPool { .. } => WorkPhase::Queued,
    }
}

fn words(failure: StartFailure) -> String {
    match failure {
        StartFailure::Unknown(what) => format!("it does not know {what}"),
        StartFailure::Undecodable(error) => format!("what was sent cannot be decoded: {error}"),
        StartFailure::Unencodable(error) => format!("the output cannot be encoded: {error}"),
        StartFailure::Panicked(message) => format!("a panic: {message}"),
        StartFailure::Unable(error) => format!("it cannot begin it: {error}"),
        StartFailure::Closed => "it is about to end".to_owned(),
        StartFailure::TimedOut => "it took too long".to_owned(),
    }
}
