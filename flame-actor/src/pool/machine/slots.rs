//! Requests and slots: who gets one, who waits, who fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::{
    Machine, Phase,
    event::{Action, Failure, PoolEvent, Request, RetireReason, WaitPhase},
    fleet::{Door, State},
    later,
    queue::Entry,
};
use crate::pool::ids::{RequestId, ResourceClass, RunnerSeq};
use crate::pool::policy::{Candidate, Pack, Placement};

/// A granted request that was not given back yet.
pub(super) struct Held {
    entry: Entry,
    runner: RunnerSeq,
    in_place: bool,
}

impl Machine {
    pub(super) fn request(&mut self, request: Request, now: Instant) {
        if self.queue.contains(request.id) || self.held.contains_key(&request.id) {
            return;
        }
        self.arrivals += 1;
        let entry = Entry { request, arrival: self.arrivals, since: now };
        if self.phase == Phase::Open {
            self.asleep = 0;
        }
        if self.fails_at_once(&entry, now) {
            return;
        }
        let (id, max_queue) = (entry.request.id, self.settings.max_queue());
        if let Some(runner) = self.free_runner_for(&entry) {
            self.grant(entry, runner, now);
        } else if let Some(host) = self.host_in_place(&entry) {
            self.run_in_place(entry, host);
        } else if let Some(error) = self.hopeless(&entry, now) {
            self.fail(id, Failure::BootFailed { error });
        } else if self.queue.len() >= max_queue {
            self.fail(id, Failure::QueueFull { max_queue });
        } else {
            self.enqueue(entry);
        }
    }

    pub(super) fn cancel(&mut self, request: RequestId) {
        self.leave_queue(request);
    }

    pub(super) fn release(&mut self, request: RequestId, reusable: bool, now: Instant) {
        let Some(held) = self.held.remove(&request) else { return };
        self.give_back(&held, now);
        if !reusable {
            self.close(held.runner, RetireReason::NotReusable, now);
        }
    }

    pub(super) fn requeue(&mut self, request: RequestId, now: Instant) {
        let Some(held) = self.held.remove(&request) else { return };
        self.give_back(&held, now);
        let entry = held.entry;
        if self.fails_at_once(&entry, now) {
            return;
        }
        match self.host_in_place(&entry) {
            Some(host) => self.run_in_place(entry, host),
            // Not counted against `max_queue`, and served with the others by age: it was admitted once.
            None => {
                self.enqueue(entry);
                self.look_for_hopeless = true;
            }
        }
    }

    /// Gives every free slot that someone can use to the one who has waited longest for it.
    pub(super) fn serve(&mut self, now: Instant) {
        while !self.queue.is_empty() {
            let Some((request, runner)) = self.next_to_serve() else { return };
            let Some(entry) = self.leave_queue(request) else { return };
            self.grant(entry, runner, now);
        }
    }

    pub(super) fn fail_overdue(&mut self, now: Instant) {
        while let Some(request) = self.queue.overdue(now) {
            let class =
                self.queue.get(request).map_or_else(ResourceClass::default, |entry| entry.request.class);
            let failure = self.timeout(class);
            self.fail_waiting(request, failure);
        }
    }

    /// Fails those whom no boot can serve in time, wherever that may have changed.
    pub(super) fn fail_hopeless(&mut self, now: Instant) {
        if !std::mem::take(&mut self.look_for_hopeless) {
            return;
        }
        let classes: Vec<ResourceClass> = self.queue.open_heads().map(|(class, _)| class).collect();
        for class in classes {
            if self.backoff.waits_until(class, now).is_none() {
                continue;
            }
            let hopeless: Vec<RequestId> = self
                .queue
                .open_line(class)
                .filter(|entry| self.hopeless(entry, now).is_some())
                .map(|entry| entry.request.id)
                .collect();
            let Some(error) = self.backoff.of(class).map(|series| series.error.clone()) else { continue };
            for request in hopeless {
                self.fail_waiting(request, Failure::BootFailed { error: error.clone() });
            }
        }
    }

    pub(super) fn fail_waiting(&mut self, request: RequestId, failure: Failure) {
        if self.leave_queue(request).is_some() {
            self.fail(request, failure);
        }
    }

    /// The runner takes no more work: what is bound to it is not any more.
    pub(super) fn unseat(&mut self, runner: RunnerSeq) {
        self.keys.forget(runner);
        self.queue.unpin(runner);
        self.look_for_hopeless = true;
    }

    fn fails_at_once(&mut self, entry: &Entry, now: Instant) -> bool {
        let overdue = entry.request.deadline.is_some_and(|deadline| deadline <= now);
        if overdue {
            let failure = self.timeout(entry.request.class);
            self.fail(entry.request.id, failure);
        } else if self.phase != Phase::Open && self.host_in_place(entry).is_none() {
            self.fail(entry.request.id, Failure::PoolClosed);
        } else {
            return false;
        }
        true
    }

    fn run_in_place(&mut self, entry: Entry, seq: RunnerSeq) {
        if let Some(host) = self.fleet.get_mut(seq) {
            host.borrowed += 1;
            if let State::Up { rest, .. } = &mut host.state {
                *rest = None;
            }
        }
        self.hold(entry, seq, true);
    }

    /// The runner in whose slots a nested request may run if it would have to wait.
    fn host_in_place(&self, entry: &Entry) -> Option<RunnerSeq> {
        entry
            .request
            .origin
            .filter(|&origin| self.fleet.get(origin).is_some_and(|runner| runner.hosts_work()))
    }

    fn enqueue(&mut self, entry: Entry) {
        let class = entry.request.class;
        let bound = entry.required().and_then(|key| Some((key.clone(), self.keys.runner(class, key)?)));
        if let Some((key, runner)) = &bound {
            self.keys.enter(class, key, *runner);
        }
        self.queue.push(entry, bound.map(|(_, runner)| runner));
    }

    fn leave_queue(&mut self, request: RequestId) -> Option<Entry> {
        let (entry, pinned) = self.queue.take(request)?;
        if let (Some(runner), Some(key)) = (pinned, entry.key()) {
            self.keys.leave(entry.request.class, key, runner);
        }
        Some(entry)
    }

    fn fail(&mut self, request: RequestId, failure: Failure) {
        self.out.push(Action::Fail { request, failure });
    }

    fn timeout(&self, class: ResourceClass) -> Failure {
        let booting = self.fleet.census(1, Some(class)).booting > 0;
        let phase = if booting { WaitPhase::Booting } else { WaitPhase::Queued };
        Failure::Timeout { phase, cause: self.backoff.of(class).map(|series| series.error.clone()) }
    }

    /// The boot error, if no runner is up or booting for this request and none will be tried in its time.
    fn hopeless(&self, entry: &Entry, now: Instant) -> Option<super::BootFailure> {
        let class = entry.request.class;
        let retry_at = self.backoff.waits_until(class, now)?;
        let patience = entry.request.deadline.or_else(|| later(entry.since, self.settings.boot_timeout()))?;
        let too_late = patience <= retry_at && self.fleet.census(1, Some(class)).present() == 0;
        too_late.then(|| self.backoff.of(class).map(|series| series.error.clone()))?
    }

    /// Of all requests that a free slot could serve, the one that came first, and its runner.
    fn next_to_serve(&mut self) -> Option<(RequestId, RunnerSeq)> {
        let slots = self.settings.max_concurrency();
        let mut next: Option<((u64, RequestId), Option<RunnerSeq>)> = None;
        for (seq, runner) in self.fleet.iter().filter(|(_, runner)| runner.free(slots) > 0) {
            let pinned = self.queue.pinned_head(seq).map(|place| (place, Some(seq)));
            let open = self.queue.open_head(runner.class).map(|place| (place, None));
            for candidate in [pinned, open].into_iter().flatten() {
                if next.is_none_or(|(first, _)| candidate.0 < first) {
                    next = Some(candidate);
                }
            }
        }
        let ((_, request), runner) = next?;
        match runner {
            Some(runner) => Some((request, runner)),
            None => {
                // Cheap: the key of a request, if it has one, is counted, not copied.
                let entry = self.queue.get(request)?.clone();
                Some((request, self.pick(&entry)?))
            }
        }
    }

    /// Where a request that has just come can run at once.
    fn free_runner_for(&mut self, entry: &Entry) -> Option<RunnerSeq> {
        // Nobody is overtaken: those who wait would have the slot if it were free and of use to them.
        if self.phase == Phase::Open { self.pick(entry) } else { None }
    }

    fn pick(&mut self, entry: &Entry) -> Option<RunnerSeq> {
        let slots = self.settings.max_concurrency();
        let class = entry.request.class;
        let bound = entry.key().and_then(|key| self.keys.runner(class, key));
        if let Some(bound) = bound {
            if self.fleet.get(bound).is_some_and(|runner| runner.free(slots) > 0) {
                return Some(bound);
            }
            if entry.required().is_some() {
                return None;
            }
        }
        self.candidates.clear();
        self.candidates.extend(
            self.fleet
                .iter()
                .filter(|(_, runner)| runner.class == class && runner.free(slots) > 0)
                .map(|(seq, runner)| Candidate { runner: seq, held: runner.held, slots }),
        );
        let candidates = self.candidates.as_slice();
        if let [] | [_] = candidates {
            return candidates.first().map(|only| only.runner);
        }
        let answer = catch_unwind(AssertUnwindSafe(|| self.settings.placement().choose(candidates)));
        let chosen =
            answer.as_ref().ok().and_then(|&index| candidates.get(index)).map(|chosen| chosen.runner);
        let chosen = chosen.or_else(|| candidates.get(Pack.choose(candidates)).map(|chosen| chosen.runner));
        if answer.is_err() {
            self.report_policy_panic();
        }
        chosen
    }

    fn grant(&mut self, entry: Entry, seq: RunnerSeq, now: Instant) {
        if let Some(runner) = self.fleet.get_mut(seq) {
            runner.held += 1;
            if let State::Up { rest, .. } = &mut runner.state {
                *rest = None;
            }
        }
        if let Some(key) = entry.key().cloned() {
            let class = entry.request.class;
            if self.keys.enter(class, &key, seq) {
                for _ in 0..self.queue.pin(class, &key, seq) {
                    self.keys.enter(class, &key, seq);
                }
            }
        }
        self.hold(entry, seq, false);
        if self.settings.single_use() {
            self.close(seq, RetireReason::SingleUse, now);
        }
    }

    fn hold(&mut self, entry: Entry, runner: RunnerSeq, in_place: bool) {
        let request = entry.request.id;
        self.held.insert(request, Held { entry, runner, in_place });
        self.out.push(Action::Grant { request, runner, in_place });
    }

    fn give_back(&mut self, held: &Held, now: Instant) {
        if let (Some(key), false) = (held.entry.key(), held.in_place) {
            self.keys.leave(held.entry.request.class, key, held.runner);
        }
        let Some(runner) = self.fleet.get_mut(held.runner) else { return };
        let count = if held.in_place { &mut runner.borrowed } else { &mut runner.held };
        *count = count.saturating_sub(1);
        self.rest_or_retire(held.runner, now);
    }

    /// Closes the door: the runner is retired now, or when its work has ended.
    pub(super) fn close(&mut self, seq: RunnerSeq, reason: RetireReason, now: Instant) {
        let Some(runner) = self.fleet.get_mut(seq) else { return };
        let State::Up { door, rest } = &mut runner.state else { return };
        *door = Door::Closed(reason);
        *rest = None;
        let busy = runner.busy();
        self.unseat(seq);
        // That a single-use runner is used once needs no telling.
        if busy && reason != RetireReason::SingleUse {
            self.emit(PoolEvent::Closing { runner: seq, reason });
            self.out.push(Action::Clear(seq));
        }
        self.rest_or_retire(seq, now);
    }
}
