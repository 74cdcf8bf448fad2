//! Pings, and the lease: the time for which one side may go on without word from the other.
//!
//! The runner pings and the parent answers. A stated time after the runner *sent* the last ping that was answered, its
//! link ends, and its work with it. Whatever the delays, that is before the parent's own bound (the last answer that it
//! sent, and the lease) has passed, so the parent can know that a silent runner has stopped.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{LinkLost, shared::Shared};
use crate::{Side, wire::control::Control};

/// When the peer was heard of.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Beats>);

#[derive(Debug)]
struct Beats {
    last_heard: Instant,
    /// Pings that are not answered yet, by number.
    sent: VecDeque<(u64, Instant)>,
    next: u64,
    /// When the last ping that was answered had been sent.
    granted: Instant,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Beats { last_heard: now, sent: VecDeque::new(), next: 0, granted: now }))
    }

    pub(super) fn last_heard(&self) -> std::time::Instant {
        self.lock().last_heard.into_std()
    }

    /// The peer has pinged.
    pub(super) fn heard(&self) {
        self.lock().last_heard = Instant::now();
    }

    /// The peer has answered a ping.
    pub(super) fn answered(&self, number: u64) {
        let mut beats = self.lock();
        beats.last_heard = Instant::now();
        while let Some(&(sent, at)) = beats.sent.front() {
            if sent > number {
                break;
            }
            if sent == number {
                beats.granted = at;
            }
            beats.sent.pop_front();
        }
    }

    fn ping(&self) -> u64 {
        const UNANSWERED: usize = 64;
        let mut beats = self.lock();
        let number = beats.next;
        beats.next += 1;
        beats.sent.push_back((number, Instant::now()));
        if beats.sent.len() > UNANSWERED {
            beats.sent.pop_front();
        }
        number
    }

    fn granted(&self) -> Instant {
        self.lock().granted
    }

    fn lock(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one side's part of the agreement; returns when it has ended.
pub(super) async fn keep(shared: &Shared, side: Side, ping: Duration, lease: Duration) -> LinkLost {
    match side {
        Side::Runner => hold(shared, ping, lease).await,
        Side::Parent => grant(shared, ping, lease).await,
    }
}

/// The runner: pings, and ends when its lease runs out.
async fn hold(shared: &Shared, ping: Duration, lease: Duration) -> LinkLost {
    let mut next_ping = Instant::now();
    loop {
        let now = Instant::now();
        let end = shared.pulse.granted() + lease;
        if now >= end {
            return LinkLost::LeaseExpired;
        }
        if now >= next_ping {
            shared.control(Control::Ping { number: shared.pulse.ping() });
            next_ping = now + ping;
        }
        tokio::time::sleep_until(next_ping.min(end)).await;
    }
}

/// The parent: ends when no ping has come for the lease.
async fn grant(shared: &Shared, ping: Duration, lease: Duration) -> LinkLost {
    let mut overdue = false;
    loop {
        let due = Instant::from_std(shared.pulse.last_heard()) + lease;
        if Instant::now() < due {
            overdue = false;
            tokio::time::sleep_until(due).await;
        } else if overdue {
            return LinkLost::TimedOut;
        } else {
            // This process may itself have been stopped: what came meanwhile has to be read before anyone is judged.
            overdue = true;
            tokio::time::sleep(ping / 4).await;
        }
    }
}
