//! What runs on a runner, and what of it should have ended by now.
//!
//! A running thread cannot be ended from outside. A task is cancelled at its next await, and a child is stopped when its
//! context is polled next; what comes to neither within [`GRACE`] is *overdue*: nothing waits for it any more, and its
//! runner has to go. What only waits, behind others that block its arbiter, is never overdue itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use flame_transport::Question;
use tokio::sync::watch;

use super::{running::Running, stop::StopHandle};

/// What work has, beyond its deadline or its being cancelled, to come to an await.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Ledger {
    work: Mutex<Entries>,
    load: watch::Sender<Load>,
}

#[derive(Default)]
struct Entries {
    /// Nothing more may enter.
    closed: bool,
    last: u64,
    by_number: HashMap<u64, Entry>,
}

struct Entry {
    work: Work,
    /// Since when it has been seen to go on where it should have ended.
    stuck: Option<Instant>,
    overdue: bool,
}

/// Something that is there to run.
#[derive(Debug)]
pub(super) enum Work {
    Child(StopHandle),
    Task {
        deadline: Option<Instant>,
        /// What its caller waits for.
        question: Question,
        running: Running,
    },
}

/// How much work there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) busy: usize,
    /// Those of `busy` that nothing waits for any more.
    pub(super) overdue: usize,
}

/// A child or task that is there, until this is dropped.
pub(crate) struct Busy {
    ledger: Arc<Ledger>,
    number: u64,
}

impl Ledger {
    /// Some work begins; `None` if the door is closed.
    pub(super) fn enter(self: &Arc<Self>, work: Work) -> Option<Busy> {
        let mut entries = self.entries();
        if entries.closed {
            return None;
        }
        entries.last += 1;
        let number = entries.last;
        entries.by_number.insert(number, Entry { work, stuck: None, overdue: false });
        self.load.send_modify(|load| load.busy += 1);
        Some(Busy { ledger: Arc::clone(self), number })
    }

    /// Closes the door if there is no work but what is overdue.
    pub(super) fn close(&self) -> bool {
        let mut entries = self.entries();
        entries.closed |= entries.by_number.values().all(|entry| entry.overdue);
        entries.closed
    }

    pub(super) fn load(&self) -> Load {
        *self.load.borrow()
    }

    /// Waits until there is some work.
    pub(super) async fn busy(&self) {
        // The sender is in `self`.
        let _ = self.load.subscribe().wait_for(|load| load.busy > 0).await;
    }

    /// Waits until there is no work but what is overdue.
    pub(super) async fn idle(&self) {
        let _ = self.load.subscribe().wait_for(|load| load.busy == load.overdue).await;
    }

    /// Looks for work that should have ended; true if some is overdue now that was not. `is_cancelled` tells whether
    /// nobody waits for an answer any more.
    pub(super) fn look(&self, now: Instant, is_cancelled: impl Fn(Question) -> bool) -> bool {
        let mut entries = self.entries();
        let mut newly = 0;
        for entry in entries.by_number.values_mut().filter(|entry| !entry.overdue) {
            let is_stuck = match &entry.work {
                Work::Child(stop) => stop.is_unheard(),
                Work::Task { deadline, question, running } => {
                    let is_over = || deadline.is_some_and(|deadline| deadline <= now);
                    running.get() && (is_over() || is_cancelled(*question))
                }
            };
            let since = *entry.stuck.get_or_insert(now);
            if !is_stuck {
                entry.stuck = None;
            } else if now.saturating_duration_since(since) >= GRACE {
                entry.overdue = true;
                newly += 1;
            }
        }
        self.load.send_if_modified(|load| {
            load.overdue += newly;
            newly > 0
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut entries = self.ledger.entries();
        let gone = entries.by_number.remove(&self.number);
        self.ledger.load.send_modify(|load| {
            load.busy -= 1;
            load.overdue -= usize::from(gone.as_ref().is_some_and(|entry| entry.overdue));
        });
    }
}
