//! What goes wrong: before any runner is booted, and with one boot.

use std::{fmt, time::Duration};

use flame_actor::backend::{BootError, ExitReason};

use crate::options::InvalidOptions;

/// Why no runner can be booted at all. Found when the pool is started, in
/// [`PoolError::Backend`](flame_actor::PoolError::Backend).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Options are wrong or at odds.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// This process may not boot copies of itself.
    #[error(transparent)]
    Role(BootError),
    /// The cluster's address or credentials are not to be had.
    #[error("no cluster is configured: {0}")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A thread or a mark of this process could not be made.
    #[error("cannot make the {what} of the backend: {source}")]
    Resources {
        /// What was to be made.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The parent's own pod could not be read.
    #[error(
        "cannot read the parent's own pod {namespace}/{name}: {why}; where the host's name is not the pod's, set the variable \
         POD_NAME to metadata.name through the downward API"
    )]
    OwnPod {
        /// Its namespace.
        namespace: String,
        /// Its name, as far as it is known.
        name: String,
        /// What the API server said.
        why: String,
    },
    /// The API server does not take the runners' pods: what it said of one that was tried and not made.
    #[error("the API server refuses the runners' pods: {cause}")]
    Template {
        /// Its words.
        cause: Cause,
    },
    /// The API server did not answer in time.
    #[error("the API server did not answer within {waited:?}: {last}")]
    Silent {
        /// How long it was waited for.
        waited: Duration,
        /// How the last attempt failed.
        last: String,
    },
}

/// Why a pod did not become a runner, and how far it got.
///
/// It is the source of the pool's boot error; [`PodFailure::find`] gets it out of any error that the pool gave.
///
/// # Examples
///
/// ```
/// use flame_k8s::{Cause, PodFailure};
///
/// fn is_quota(error: &(dyn std::error::Error + 'static)) -> bool {
///     PodFailure::find(error).is_some_and(|failure| matches!(failure.cause, Cause::Quota { .. }))
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PodFailure {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// Why.
    pub cause: Cause,
    /// How far it got.
    pub phase: Phase,
    /// The node that it was to run on, if one was found.
    pub node: Option<String>,
    /// The last Event about it.
    pub last_event: Option<String>,
    /// The last lines of its log.
    pub log_tail: Vec<String>,
}

impl PodFailure {
    /// The failure of a pod in an error and its sources.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(failure) = error.downcast_ref::<Self>() {
                return Some(failure);
            }
            // Says the other error's words and sources, so that itself is in no chain.
            if let Some(BootError::Other(other)) = error.downcast_ref::<BootError>() {
                return Self::find(&**other);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for PodFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the pod {} {}", self.cause, self.pod, self.phase)?;
        match &self.node {
            Some(node) => write!(f, " on node {node}")?,
            None => f.write_str(" on no node")?,
        }
        match &self.last_event {
            Some(event) => write!(f, "; the last event: {event}"),
            None => f.write_str("; no event is known"),
        }
    }
}

impl std::error::Error for PodFailure {}

/// How far a boot got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// The API server has not taken it.
    Created,
    /// It waits for a node.
    Scheduling,
    /// Its image is pulled, its volumes are mounted.
    Starting,
    /// Its container runs, and the runner has not joined.
    Joining,
    /// Its container has ended.
    Ended,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "was not created",
            Self::Scheduling => "waited to be scheduled",
            Self::Starting => "was starting its container",
            Self::Joining => "ran and had not joined",
            Self::Ended => "had ended",
        })
    }
}

/// Why a pod did not become a runner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The parent's service account may not do this. Apply the Role that comes with this crate.
    #[error("the parent has not the right to do this: {message}")]
    Forbidden {
        /// The API server's words.
        message: String,
    },
    /// The API server, Pod Security or a webhook refuses the pod as it is.
    #[error("the API server refuses it: {message}")]
    Rejected {
        /// The API server's words.
        message: String,
    },
    /// A quota of the namespace is used up.
    #[error("a quota is used up: {message}")]
    Quota {
        /// The API server's words.
        message: String,
    },
    /// The API server cannot be reached, or is overloaded.
    #[error("the API server did not do it in time: {message}")]
    Api {
        /// How the last attempt failed.
        message: String,
    },
    /// A pod of that name exists, and it is another's.
    #[error("its name is taken by a pod of somebody else")]
    NameTaken,
    /// The image's name is none, or it cannot be pulled.
    #[error("the image {image} cannot be had ({reason}): {message}")]
    Image {
        /// Which image.
        image: String,
        /// Kubernetes' word for it.
        reason: String,
        /// What the node said.
        message: String,
    },
    /// The container cannot be made as it was asked for: a Secret or ConfigMap that it names is not there, the command
    /// does not exist.
    #[error("the container cannot be started ({reason}): {message}")]
    Container {
        /// Kubernetes' word for it.
        reason: String,
        /// What the node said.
        message: String,
    },
    /// No node has room for it, or none is fit.
    #[error("no node takes it: {message}")]
    Unschedulable {
        /// The scheduler's words.
        message: String,
    },
    /// It ended before it had joined.
    #[error("it {0}")]
    Ended(ExitReason),
    /// It did not join in time.
    #[error("it has not joined within {waited:?}{}", hint(*.running))]
    NotJoined {
        /// How long it was waited for.
        waited: Duration,
        /// Whether its container runs, so that the network is to be looked at.
        running: bool,
    },
}

fn hint(running: bool) -> &'static str {
    if running {
        ", though its container runs: is UDP from its pod to the parent's let through (NetworkPolicy, firewall), by a path \
         that carries packets of 1280 bytes (MTU)? Its log says whom it dialled"
    } else {
        ""
    }
}
