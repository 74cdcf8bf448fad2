//! The pool's decisions as one pure state machine: what has happened goes in, what is to be done comes out.
//!
//! No I/O, task, clock or randomness inside, except a seed that it is given for the jitter of its back-off. The
//! machine hands out *slots*; what is done with a slot is not its business.
//!
//! - Waiting requests are served in order of arrival, one line for each class of resources; at `max`, room goes to
//!   the class whose turn it is by arrival. Work that requires a key waits for the runner that has it without holding up the others.
//! - An instance counts from its boot until it is confirmed gone or has leaked; never more than `max` count.
//! - A runner is retired only when it holds no work, except when it must go; one that was told to go gets no work.
//! - Everything has a time limit: boots, drains and ends. [`Machine::next_wake`] says when to look again.
//!
//! # Examples
//!
//! ```
//! use std::time::Instant;
//! use flame_actor::pool::{machine::*, settings::PoolOptions};
//!
//! let mut pool = Machine::new(PoolOptions::new("thumbs").max(1).validate()?, 7);
//! let (now, mut actions) = (Instant::now(), Vec::new());
//!
//! pool.on(Event::Request(Request::new(RequestId(1))), now, &mut actions);
//! assert!(actions.iter().any(|action| matches!(action, Action::Boot { runner: RunnerSeq(1), .. })));
//!
//! actions.clear();
//! pool.on(Event::Joined(RunnerSeq(1)), now, &mut actions);
//! assert!(actions.iter().any(|action| matches!(action, Action::Grant { request: RequestId(1), .. })));
//! # Ok::<(), flame_actor::pool::settings::InvalidSettings>(())
//! ```

mod backoff;
mod event;
mod fleet;
mod growth;
mod inspect;
mod keys;
mod life;
mod queue;
mod slots;

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    mem,
    time::{Duration, Instant},
};

use self::{backoff::Backoff, fleet::Fleet, growth::Permits, keys::Keys, queue::Queue, slots::Held};
use crate::pool::{
    policy::Candidate,
    settings::{Limits, PoolSettings},
};

pub use self::{
    event::{
        Action, Affinity, BootCutShort, BootFailure, Event, Failure, Key, PoolEvent, Request, RetireReason,
        WaitPhase,
    },
    inspect::{GrowthVerdict, Inspection, RunnerPhase, RunnerReport},
};
pub use super::ids::{RequestId, ResourceClass, RunnerSeq};

/// The brain of one pool.
pub struct Machine {
    settings: PoolSettings,
    limits: Limits,
    /// Runners that `min` would keep and that ended for want of work; the next request brings them back.
    asleep: u32,
    phase: Phase,
    fleet: Fleet,
    queue: Queue,
    keys: Keys,
    held: HashMap<RequestId, Held>,
    backoff: Backoff,
    permits: Permits,
    now: Option<Instant>,
    /// No runner's timer fires before this.
    timer: Option<Instant>,
    /// When a boot that waits out its back-off may be tried.
    retry_at: Option<Instant>,
    /// Some class may have lost its last hope of a slot.
    look_for_hopeless: bool,
    policy_panicked: bool,
    arrivals: u64,
    asks: u64,
    out: Vec<Action>,
    /// Scratch, kept so that granting a slot allocates nothing.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Stopped,
}

impl Machine {
    /// A pool with nothing in it; feed it [`Event::Tick`] to have `min` runners booted. The seed decides the jitter
    /// of the back-off, and nothing else.
    #[must_use]
    pub fn new(settings: PoolSettings, seed: u64) -> Self {
        Self {
            limits: settings.limits(),
            asleep: 0,
            phase: Phase::Open,
            fleet: Fleet::default(),
            queue: Queue::new(settings.max_concurrency()),
            keys: Keys::default(),
            held: HashMap::new(),
            backoff: Backoff::new(seed),
            permits: Permits::default(),
            now: None,
            timer: None,
            retry_at: None,
            look_for_hopeless: false,
            policy_panicked: false,
            arrivals: 0,
            asks: 0,
            out: Vec::new(),
            candidates: Vec::new(),
            settings,
        }
    }

    /// Takes in what happened at `now` and appends what is to be done about it to `actions`.
    ///
    /// A `now` before that of an earlier event counts as that one. Granting a free slot and giving one back look at
    /// each runner but at no waiting request other than the next, and allocate nothing.
    pub fn on(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        mem::swap(&mut self.out, actions);
        self.now = self.now.max(Some(now));
        let now = self.now.unwrap_or(now);
        // Overdue requests go first: what comes free now must not be given to them.
        self.fail_overdue(now);
        self.apply(event, now);
        self.fire_timers(now);
        loop {
            self.serve(now);
            self.fail_hopeless(now);
            // What waited for a runner that makes room may be served by another, or have lost its last hope.
            if !self.grow(now) {
                break;
            }
        }
        self.stop_if_empty();
        mem::swap(&mut self.out, actions);
    }

    /// When [`Event::Tick`] is due at the latest, if nothing happens before; `None` for never. May be earlier than
    /// needed.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        [self.queue.next_deadline(), self.timer, self.retry_at].into_iter().flatten().min()
    }

    /// The settings the pool was built with.
    #[must_use]
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Request(request) => self.request(request, now),
            Event::Cancel(request) => self.cancel(request),
            Event::Release { request, reusable } => self.release(request, reusable, now),
            Event::Requeue(request) => self.requeue(request, now),
            Event::BootFailed { runner, error, gone } => self.boot_failed(runner, error, gone, now),
            Event::Joined(runner) => self.joined(runner, now),
            Event::Lost(runner) => self.lost(runner, now),
            Event::Gone(runner) => self.gone(runner, now),
            Event::Draining(runner) => self.draining(runner, now),
            Event::Condemn(runner) => self.condemn(runner, now),
            Event::Stalled(runner) => self.stalled(runner, true),
            Event::Recovered(runner) => self.stalled(runner, false),
            Event::IdleAnswer { runner, ask, idle } => self.idle_answer(runner, ask, idle, now),
            Event::Permit => self.permits.arrive(),
            Event::Reclaim => self.reclaim(now),
            Event::Resize(limits) => self.resize(limits, now),
            Event::Shutdown => self.shutdown(now),
            Event::Tick => {}
        }
    }

    fn shutdown(&mut self, now: Instant) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing;
        while let Some(request) = self.queue.any() {
            self.fail_waiting(request, Failure::PoolClosed);
        }
        self.send_all_home(now);
    }

    fn stop_if_empty(&mut self) {
        if self.phase == Phase::Closing && self.fleet.len() == 0 {
            self.phase = Phase::Stopped;
            self.timer = None;
            self.out.push(Action::Stopped);
        }
    }

    fn emit(&mut self, event: PoolEvent) {
        self.out.push(Action::Emit(event));
    }

    /// Once: a policy that panics is asked again with every event.
    fn report_policy_panic(&mut self) {
        if !std::mem::replace(&mut self.policy_panicked, true) {
            self.emit(PoolEvent::PolicyPanicked);
        }
    }

    /// Makes sure that timers are looked at by then.
    fn arm(&mut self, at: Option<Instant>) {
        self.timer = [self.timer, at].into_iter().flatten().min();
    }
}

/// `None` if that is beyond what the clock can tell, which is never.
fn later(now: Instant, time: Duration) -> Option<Instant> {
    now.checked_add(time)
}
