//! How a child is told to end.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;

use super::{protocol::Lifetime, running::Running};
use crate::remote::DownReason;

/// Tells a child to stop, whatever it waits for.
#[derive(Debug, Clone)]
pub(super) struct StopHandle(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    wanted: AtomicBool,
    waker: AtomicWaker,
    running: Running,
    terms: Mutex<Terms>,
}

/// How the child is to end.
#[derive(Debug)]
pub(super) struct Terms {
    /// What its owner said when it let it go.
    reason: Option<String>,
    /// When it is ended by force, and what that is to be called.
    pub(super) end: Option<(Instant, DownReason)>,
}

impl StopHandle {
    pub(super) fn new(lifetime: Option<Lifetime>) -> Self {
        let end = lifetime.and_then(|Lifetime { whole, left }| {
            Some((Instant::now().checked_add(left)?, DownReason::Deadline { lifetime: whole }))
        });
        Self(Arc::new(StopState {
            wanted: AtomicBool::default(),
            waker: AtomicWaker::default(),
            running: Running::default(),
            terms: Mutex::new(Terms { reason: None, end }),
        }))
    }

    /// The child's owner lets it go: what it says of that, and what time the child has.
    pub(super) fn stop_with(&self, reason: Option<String>, grace: Option<Duration>) {
        let mut terms = self.terms();
        if let Some(at) = grace.and_then(|grace| Instant::now().checked_add(grace))
            && terms.end.as_ref().is_none_or(|(end, _)| at < *end)
        {
            let killed = reason.clone().map_or(DownReason::Stopped, |reason| DownReason::Shutdown { reason });
            terms.end = Some((at, killed));
        }
        terms.reason = reason;
        drop(terms);
        self.stop();
    }

    pub(super) fn stop(&self) {
        self.0.wanted.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Whether the actor was told to stop and is in a handler that has gone on ever since.
    pub(super) fn is_unheard(&self) -> bool {
        let is_over = || self.terms().end.as_ref().is_some_and(|(end, _)| *end <= Instant::now());
        self.0.running.get() && (self.0.wanted.load(Ordering::Acquire) || is_over())
    }

    /// Ready with what the owner said of it, once for each time that the child is told to stop.
    pub(super) fn poll_stop(&self, cx: &Context<'_>) -> Poll<Option<String>> {
        self.0.waker.register(cx.waker());
        if self.0.wanted.swap(false, Ordering::AcqRel) {
            return Poll::Ready(self.terms().reason.take());
        }
        Poll::Pending
    }

    pub(super) fn terms(&self) -> MutexGuard<'_, Terms> {
        self.0.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says while the actor's own code runs.
    pub(super) fn running(&self) -> &Running {
        &self.0.running
    }
}
