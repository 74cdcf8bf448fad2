//! What a caller says about one call or child.

use std::time::{Duration, Instant};

use super::machine::{Affinity, RunnerSeq};
use crate::{backend::Resources, context::Context};

/// The options of one piece of work.
#[derive(Default)]
pub(super) struct Wish {
    pub(super) time: Time,
    pub(super) affinity: Option<Affinity>,
    pub(super) resources: Option<Resources>,
    /// The deadline of the work that asks for this.
    pub(super) inherited: Option<Instant>,
    /// The runner of the same pool that the work which asks for this runs on.
    pub(super) origin: Option<RunnerSeq>,
}

impl Wish {
    /// Of the code that asks, as long as it says nothing more.
    pub(super) fn here() -> Self {
        Self { inherited: Context::current().deadline(), ..Self::default() }
    }

    /// The time begins to run.
    pub(super) fn begin(&self, of_pool: Option<Duration>) -> Term {
        let term = self.time.begin(of_pool);
        match self.inherited {
            Some(inherited) if term.deadline.is_none_or(|deadline| inherited < deadline) => {
                Time::Until(inherited).begin(None)
            }
            _ => term,
        }
    }

    /// The time of another attempt, long after whoever asked for the first one.
    pub(super) fn begin_again(&self, of_pool: Option<Duration>) -> Term {
        match self.time {
            Time::Until(_) => Time::OfPool.begin(of_pool),
            time => time.begin(of_pool),
        }
    }
}

/// How long work may take, queue and boot included.
#[derive(Clone, Copy, Default)]
pub(super) enum Time {
    /// As long as the pool says.
    #[default]
    OfPool,
    /// This long from its start; `None` for ever.
    Within(Option<Duration>),
    /// Until then.
    Until(Instant),
}

/// The time of work that has begun.
#[derive(Clone, Copy)]
pub(super) struct Term {
    limit: Option<Duration>,
    deadline: Option<Instant>,
}

impl Time {
    fn begin(self, of_pool: Option<Duration>) -> Term {
        let now = Instant::now();
        let within = |limit: Option<Duration>| Term {
            limit,
            // Beyond what the clock can tell is never.
            deadline: limit.and_then(|limit| now.checked_add(limit)),
        };
        match self {
            Self::OfPool => within(of_pool),
            Self::Within(limit) => within(limit),
            Self::Until(deadline) => {
                Term { limit: Some(deadline.saturating_duration_since(now)), deadline: Some(deadline) }
            }
        }
    }
}

impl Term {
    pub(super) fn deadline(self) -> Option<Instant> {
        self.deadline
    }

    /// All the time that the work had.
    pub(super) fn limit(self) -> Duration {
        self.limit.unwrap_or(Duration::MAX)
    }

    /// The time that is left, `None` without limit.
    pub(super) fn left(self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// The outcome of some work, `None` if the time is over first.
    pub(super) async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.ok(),
            None => Some(work.await),
        }
    }
}
