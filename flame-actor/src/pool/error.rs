//! Why work was not done.

use std::{fmt, time::Duration};

use flame_transport::NodeId;

use super::machine::Failure;
use crate::{backend::ExitReason, host::protocol::StartFailure, remote::SendError};

/// A runner went while it had work.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A call has no output.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call's time is over. The task may have run, and is cancelled at its next await if it still does.
    #[error("the call took longer than {limit:?}")]
    Timeout {
        /// The time that it had.
        limit: Duration,
    },
    /// The task never got a slot: the queue is full, no runner could be booted, the time was over before, or the pool is
    /// stopping. It did not run.
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
    /// The task, its arguments or its output cannot travel.
    #[error("the call cannot be carried out on {runner}: {message}")]
    Refused {
        /// Where.
        runner: NodeId,
        /// Why.
        message: String,
    },
    /// The arguments cannot be sent, or the output cannot be decoded.
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
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceFailure {
    /// It got no slot: the queue is full, no runner could be booted, the time was over, or the pool is stopping.
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
    #[error("it did not start within {limit:?}")]
    Timeout {
        /// The time that it had.
        limit: Duration,
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
        actor: &'static str,
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
    pub(super) fn from_start(failure: StartFailure, runner: NodeId, limit: Option<Duration>) -> Self {
        match failure {
            StartFailure::Panicked(message) => Self::Panicked { runner, message },
            StartFailure::TimedOut => Self::Timeout { limit: limit.unwrap_or_default() },
            other => Self::Refused { runner, message: words(other) },
        }
    }
}

impl PlaceFailure {
    pub(super) fn from_start(failure: StartFailure, runner: NodeId) -> Self {
        match failure {
            StartFailure::Panicked(message) => Self::Panicked { runner, message },
            other => Self::Refused { runner, message: words(other) },
        }
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
