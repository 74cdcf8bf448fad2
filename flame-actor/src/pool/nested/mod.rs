//! Pools from the inside: work on a runner that calls a pool of its parent.
//!
//! [`Pool::named`](super::Pool::named) is the same line on both sides. On a runner the handle leads [away](away): what is asked
//! of it goes to the parent as a [commission], an ask of the parent's main port. The parent carries it out [at home](home) as if the
//! app had asked for it, on behalf of that runner, and hands the answer back. Neither arguments nor answers are decoded on the
//! way; only the references in them are written anew for the next link.
//!
//! | module | what it holds |
//! |---|---|
//! | `names` | the pools of this process, by name |
//! | `away` | the runner's side |
//! | `home` | the parent's side |
//! | `commission` | what the one asks of the other |

mod away;
mod commission;
mod home;
mod names;

use std::sync::Arc;

use actix::ArbiterHandle;

use super::{Core, error::CallError};

pub use names::UnknownPool;
pub(super) use {
    away::{Away, PlaceAway},
    home::Commissions,
    names::{enter, named},
};

/// Where a pool is, for a handle on it.
#[derive(Clone)]
pub(super) enum Site {
    /// This process owns it.
    Here(Arc<Core>),
    /// The parent of this runner does.
    Away(Arc<Away>),
}

impl Site {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Here(core) => core.name(),
            Self::Away(away) => away.name(),
        }
    }

    /// The longest message, in bytes, that may be sent to a runner of the pool.
    pub(super) fn max_message(&self) -> usize {
        match self {
            Self::Here(core) => core.link.max_message(),
            Self::Away(away) => away.max_message(),
        }
    }

    /// Where the timers of a call that is polled without a runtime are.
    pub(super) fn timers(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        match self {
            Self::Here(core) => Some(core.parent.threads.network().enter()),
            // The parent has them.
            Self::Away(_) => None,
        }
    }

    /// The thread of the links that lead to the pool's runners, or of this runner's link.
    pub(super) fn link_arbiter(&self) -> &ArbiterHandle {
        match self {
            Self::Here(core) => core.parent.threads.link_arbiter(),
            Self::Away(away) => away.link_arbiter(),
        }
    }

    /// Work whose outcome nobody waits for has ended.
    pub(super) fn forget(&self, task: &'static str, outcome: Result<(), CallError>) {
        match self {
            Self::Here(core) => core.forget(task, outcome),
            Self::Away(away) => away.forget(task, outcome),
        }
    }

    /// Runs a future where nothing of the user's runs but what is decoded there.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Here(core) => drop(core.parent.threads.control().spawn(work)),
            Self::Away(away) => away.spawn(work),
        }
    }
}
