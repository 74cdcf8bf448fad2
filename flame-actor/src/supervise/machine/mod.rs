//! The life of one supervised child as a pure state machine: what has happened goes in, what is to be done comes out.
//!
//! No I/O, task or clock inside. The machine starts one incarnation of the child after the other, and keeps to this:
//!
//! - At most one serves at a time. After the loss of a runner the next one starts when the backend has confirmed that
//!   the runner is gone, or when its lease has run out for certain.
//! - Each message is delivered at most once, those of one sender in order. Between two incarnations they wait or are
//!   refused. What was delivered and returns unhandled waits in front of them, and nothing is delivered to the next
//!   incarnation before all of it has returned.
//! - Each watcher hears once: when the child is gone for good.
//!
//! `M` is a message, `W` a watcher, and `S` what an incarnation starts from.

mod event;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::policy::{Between, Policy};
use crate::remote::DownReason;

pub(crate) use event::{Action, Event, Incarnation, Refusal, WatcherId};

/// The supervision of one child.
pub(crate) struct Machine<M, W, S> {
    policy: Policy,
    phase: Phase,
    incarnation: Incarnation,
    /// The runner on which the present incarnation is being started has to go.
    leaving: bool,
    /// What the next incarnation starts from; `None` when there will be none.
    from: Option<Arc<S>>,
    /// How many snapshots the present incarnation has published.
    snapshots: u64,
    /// When it was started again, as far back as the intensity looks.
    restarts: VecDeque<Instant>,
    /// What was delivered to the present incarnation and not handled.
    returned: VecDeque<M>,
    /// Whether more of that may come.
    settled: bool,
    waiting: VecDeque<M>,
    waiting_bytes: usize,
    watchers: BTreeMap<WatcherId, W>,
    next_watcher: u64,
    /// The owner wants the end: why, and with how much grace.
    stop: Option<(DownReason, Option<Duration>)>,
    out: Vec<Action<M, W, S>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The present incarnation is being placed.
    Starting,
    /// It takes messages.
    Up,
    /// It cannot be reached, and its end is about to be told.
    Silent,
    /// It handles what it has got, and ends for another one to be started elsewhere.
    Moving,
    /// It has ended, as far as is known, and the next may start when the gate is open and the time has come.
    Between { gate: Gate, not_before: Instant },
    /// There will be no other.
    Over(DownReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// The incarnation has ended, and its snapshots up to this one are on their way.
    Snapshots(u64),
    /// Its runner is lost, and it may serve until then.
    Doubt(Instant),
}

impl<M, W, S> Machine<M, W, S> {
    /// A child that is started from `from`, at once; the action for it is appended to `actions`.
    pub(crate) fn new(policy: Policy, from: S, actions: &mut Vec<Action<M, W, S>>) -> Self {
        let mut machine = Self {
            policy,
            phase: Phase::Starting,
            incarnation: Incarnation(0),
            leaving: false,
            from: Some(Arc::new(from)),
            snapshots: 0,
            restarts: VecDeque::new(),
            returned: VecDeque::new(),
            settled: true,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            watchers: BTreeMap::new(),
            next_watcher: 0,
            stop: None,
            out: Vec::new(),
        };
        machine.start();
        actions.append(&mut machine.out);
        machine
    }

    /// Takes in what happened at `now` and appends what is to be done about it to `actions`.
    pub(crate) fn on(&mut self, event: Event<M, S>, now: Instant, actions: &mut Vec<Action<M, W, S>>) {
        mem::swap(&mut self.out, actions);
        match event {
            Event::Message { message, bytes } => self.message(message, bytes),
            Event::Returned { incarnation, message, bytes } => self.returned(incarnation, message, bytes),
            Event::Settled(incarnation) => self.settled |= self.is_present(incarnation),
            Event::Handed(incarnation) => self.leaving &= !self.is_present(incarnation),
            Event::Started(incarnation) => self.started(incarnation),
            Event::StartFailed { incarnation, reason, doubt, hopeless } => {
                if self.is_present(incarnation) && self.phase == Phase::Starting {
                    let for_good = hopeless || incarnation == Incarnation(1);
                    match self.stop.take() {
                        Some((wanted, _)) => self.over(wanted),
                        None if for_good => self.over(reason),
                        None => self.ended(reason, doubt.map_or(Gate::Open, Gate::Doubt), now),
                    }
                }
            }
            Event::Ended { incarnation, reason, snapshots } => {
                // Its start may be told after its end, which overtakes it.
                if self.is_present(incarnation)
                    && matches!(self.phase, Phase::Starting | Phase::Up | Phase::Silent | Phase::Moving)
                {
                    let all = snapshots <= self.snapshots;
                    self.ended(reason, if all { Gate::Open } else { Gate::Snapshots(snapshots) }, now);
                }
            }
            Event::Silent(incarnation) => {
                if self.is_present(incarnation) && self.phase == Phase::Up {
                    self.phase = Phase::Silent;
                }
            }
            Event::NodeLost { incarnation, reason, until } => {
                if self.is_present(incarnation) {
                    self.node_lost(reason, until, now);
                }
            }
            Event::Gone(incarnation) => {
                if self.is_present(incarnation) {
                    self.open();
                }
            }
            Event::Snapshot { incarnation, from } => {
                if self.is_present(incarnation) {
                    self.snapshot(from);
                }
            }
            Event::Drain(incarnation) => {
                if self.is_present(incarnation) && self.stop.is_none() {
                    match self.phase {
                        Phase::Up => self.move_away(),
                        Phase::Starting => self.leaving = true,
                        _ => {}
                    }
                }
            }
            Event::Stop { reason, grace } => self.stop(reason, grace),
            Event::Tick => {}
        }
        self.start_if_due(now);
        mem::swap(&mut self.out, actions);
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        match self.phase {
            _ if !self.settled => None,
            Phase::Between { gate: Gate::Open, not_before } => Some(not_before),
            Phase::Between { gate: Gate::Doubt(until), not_before } => Some(until.max(not_before)),
            _ => None,
        }
    }

    /// The incarnation that takes messages now: [`Event::Message`] would have it delivered to this one.
    pub(crate) fn serving(&self) -> Option<Incarnation> {
        (self.phase == Phase::Up).then_some(self.incarnation)
    }

    /// Whether nothing returns from the present incarnation any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Why the child is gone for good, if it is.
    pub(crate) fn gone(&self) -> Option<&DownReason> {
        if let Phase::Over(reason) = &self.phase { Some(reason) } else { None }
    }

    /// Remembers a watcher. It comes back, with what it waits for, if the child is gone for good.
    pub(crate) fn watch(&mut self, watcher: W) -> Result<WatcherId, (W, DownReason)> {
        if let Phase::Over(reason) = &self.phase {
            return Err((watcher, reason.clone()));
        }
        self.next_watcher += 1;
        let id = WatcherId(self.next_watcher);
        self.watchers.insert(id, watcher);
        Ok(id)
    }

    /// A watcher wants to hear nothing any more.
    pub(crate) fn unwatch(&mut self, id: WatcherId) -> Option<W> {
        self.watchers.remove(&id)
    }

    fn is_present(&self, incarnation: Incarnation) -> bool {
        self.incarnation == incarnation
    }

    fn message(&mut self, message: M, bytes: usize) {
        let refusal = match (&self.phase, self.policy.between) {
            (Phase::Up, _) => {
                self.out.push(Action::Deliver { incarnation: self.incarnation, message });
                return;
            }
            (Phase::Over(reason), _) => Refusal::Gone(reason.clone()),
            (Phase::Starting, _) if self.incarnation == Incarnation(1) => {
                return self.queue(message, bytes, Policy::FIRST_QUEUE);
            }
            (_, Between::Queue(most)) => return self.queue(message, bytes, most),
            (_, Between::Refuse) => Refusal::Restarting,
        };
        self.out.push(Action::Refuse { message, refusal });
    }

    fn queue(&mut self, message: M, bytes: usize, most: usize) {
        if self.has_room(most) {
            self.waiting_bytes += bytes;
            self.waiting.push_back(message);
        } else {
            self.out.push(Action::Refuse { message, refusal: Refusal::Full });
        }
    }

    fn has_room(&self, most: usize) -> bool {
        self.returned.len() + self.waiting.len() < most && self.waiting_bytes < Policy::QUEUE_BYTES
    }

    fn returned(&mut self, incarnation: Incarnation, message: M, bytes: usize) {
        if self.phase == Phase::Up {
            self.phase = Phase::Silent;
        }
        let refusal = match (&self.phase, self.policy.between) {
            (Phase::Over(reason), _) => Refusal::Gone(reason.clone()),
            _ if !self.is_present(incarnation) => Refusal::Restarting,
            (Phase::Between { .. }, Between::Refuse) => Refusal::Restarting,
            (_, Between::Queue(most)) if !self.has_room(most) => Refusal::Full,
            // Without a queue it waits only for the word on its incarnation's end.
            _ => {
                self.waiting_bytes += bytes;
                return self.returned.push_back(message);
            }
        };
        self.out.push(Action::Refuse { message, refusal });
    }

    fn started(&mut self, incarnation: Incarnation) {
        if !self.is_present(incarnation) || self.phase != Phase::Starting {
            return;
        }
        self.phase = Phase::Up;
        if let Some((reason, grace)) = self.stop.clone() {
            self.out.push(Action::Stop { incarnation, reason, grace });
        }
        self.waiting_bytes = 0;
        self.settled = false;
        for message in self.take_waiting() {
            self.out.push(Action::Deliver { incarnation, message });
        }
        if self.leaving && self.stop.is_none() {
            self.move_away();
        }
    }

    /// The present incarnation ends, for another one to be started elsewhere.
    fn move_away(&mut self) {
        self.phase = Phase::Moving;
        self.out.push(Action::HandOver(self.incarnation));
    }

    /// All that waits, in order.
    fn take_waiting(&mut self) -> impl Iterator<Item = M> + use<M, W, S> {
        mem::take(&mut self.returned).into_iter().chain(mem::take(&mut self.waiting))
    }

    fn node_lost(&mut self, reason: DownReason, until: Instant, now: Instant) {
        match &mut self.phase {
            Phase::Up | Phase::Silent | Phase::Moving => self.ended(reason, Gate::Doubt(until), now),
            // It had ended before, and what it published last is lost.
            Phase::Between { gate: gate @ Gate::Snapshots(_), .. } => *gate = Gate::Open,
            // Whoever starts it sees the loss too.
            Phase::Starting | Phase::Between { .. } | Phase::Over(_) => {}
        }
    }

    fn open(&mut self) {
        if let Phase::Between { gate, .. } = &mut self.phase {
            *gate = Gate::Open;
        }
    }

    fn snapshot(&mut self, from: S) {
        if matches!(self.phase, Phase::Starting | Phase::Over(_)) {
            return;
        }
        self.from = Some(Arc::new(from));
        self.snapshots += 1;
        if let Phase::Between { gate: Gate::Snapshots(all), .. } = self.phase
            && all <= self.snapshots
        {
            self.open();
        }
    }

    fn stop(&mut self, reason: DownReason, grace: Option<Duration>) {
        let incarnation = self.incarnation;
        match self.phase {
            Phase::Between { .. } => self.over(reason),
            Phase::Over(_) => {}
            _ if self.stop.is_some() => {}
            Phase::Starting => {
                self.stop = Some((reason, grace));
                self.out.push(Action::Cancel(incarnation));
            }
            Phase::Up | Phase::Silent | Phase::Moving => {
                self.stop = Some((reason.clone(), grace));
                self.out.push(Action::Stop { incarnation, reason, grace });
            }
        }
    }

    /// The present incarnation has ended, as far as is known.
    fn ended(&mut self, reason: DownReason, gate: Gate, now: Instant) {
        if self.stop.is_some() || Policy::is_for_good(&reason) {
            return self.over(reason);
        }
        // With a runner that had to go in any case, one that was starting there is lost too.
        let left = self.leaving && matches!(reason, DownReason::NodeLost { .. });
        if self.phase == Phase::Moving || left {
            self.phase = Phase::Between { gate, not_before: now };
            return self.refuse_returned();
        }
        let (most, within) = self.policy.intensity;
        while self.restarts.front().is_some_and(|&at| now.saturating_duration_since(at) >= within) {
            self.restarts.pop_front();
        }
        if !self.policy.wants_back(&reason) || self.restarts.len() >= most as usize {
            return self.over(reason);
        }
        let delay = Policy::delay(self.restarts.len());
        self.restarts.push_back(now);
        self.phase = Phase::Between { gate, not_before: now.checked_add(delay).unwrap_or(now) };
        self.out.push(Action::Report { reason, restarts: self.restarts.len(), delay });
        self.refuse_returned();
    }

    /// What returned is not to wait for the next incarnation, if nothing is.
    fn refuse_returned(&mut self) {
        if self.policy.between == Between::Refuse {
            self.waiting_bytes = 0;
            for message in mem::take(&mut self.returned) {
                self.out.push(Action::Refuse { message, refusal: Refusal::Restarting });
            }
        }
    }

    fn start_if_due(&mut self, now: Instant) {
        let Phase::Between { gate, not_before } = self.phase else { return };
        let open = match gate {
            Gate::Open => true,
            Gate::Snapshots(_) => false,
            Gate::Doubt(until) => until <= now,
        };
        if open && self.settled && not_before <= now {
            self.start();
        }
    }

    fn start(&mut self) {
        let Some(from) = self.from.clone() else { return };
        self.phase = Phase::Starting;
        self.incarnation = Incarnation(self.incarnation.0 + 1);
        self.leaving = false;
        self.snapshots = 0;
        self.out.push(Action::Start { incarnation: self.incarnation, from });
    }

    fn over(&mut self, reason: DownReason) {
        self.phase = Phase::Over(reason.clone());
        self.from = None;
        self.waiting_bytes = 0;
        for message in self.take_waiting() {
            self.out.push(Action::Refuse { message, refusal: Refusal::Gone(reason.clone()) });
        }
        for watcher in mem::take(&mut self.watchers).into_values() {
            self.out.push(Action::Notify { watcher, reason: reason.clone() });
        }
    }
}
