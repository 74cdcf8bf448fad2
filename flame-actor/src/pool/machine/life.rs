//! The life of a runner: boot, join, idleness, drain, end.

use std::{sync::Arc, time::Duration, time::Instant};

use super::{
    Machine, Phase,
    event::{Action, BootCutShort, BootFailure, PoolEvent, RetireReason},
    fleet::{Door, Rest, Runner, State},
    later,
};
use crate::pool::ids::{ResourceClass, RunnerSeq};
use crate::pool::settings::{IdleShutdown, Limits};

/// How often, at the most, it is looked again at an idle runner that may not go.
const RECHECK: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn boot(&mut self, class: ResourceClass, now: Instant) {
        let until = later(now, self.settings.boot_timeout());
        let runner = self.fleet.add(class, now, until);
        self.arm(until);
        let runners = self.fleet.len();
        self.out.push(Action::Boot { runner, class, attempt: self.backoff.failures(class) });
        self.emit(PoolEvent::GrowStarted { runner, runners });
    }

    pub(super) fn joined(&mut self, seq: RunnerSeq, now: Instant) {
        let Some(runner) = self.fleet.get_mut(seq) else { return };
        let State::Booting { .. } = runner.state else { return };
        let (class, took) = (runner.class, now.saturating_duration_since(runner.born));
        runner.state = State::Up { door: Door::Open, rest: None };
        self.backoff.succeeded(class);
        let runners = self.fleet.len();
        self.emit(PoolEvent::Grown { runner: seq, runners, took });
        self.rest_or_retire(seq, now);
    }

    pub(super) fn boot_failed(&mut self, seq: RunnerSeq, error: BootFailure, gone: bool, now: Instant) {
        let Some(runner) = self.fleet.get(seq) else { return };
        let State::Booting { .. } = runner.state else {
            // A late report, of a boot that was given up: what it says of the instance still counts.
            if gone {
                self.gone(seq, now);
            }
            return;
        };
        let (failures, retry_in) = self.backoff.failed(runner.class, runner.born, error.clone(), now);
        self.look_for_hopeless = true;
        self.emit(PoolEvent::BootFailed { runner: seq, error, failures, retry_in });
        if gone {
            self.remove(seq);
        } else {
            self.end(seq, now);
        }
    }

    pub(super) fn lost(&mut self, seq: RunnerSeq, now: Instant) {
        match self.fleet.get(seq).map(|runner| &runner.state) {
            None | Some(State::Ending { .. }) => {}
            Some(State::Booting { .. }) => self.boot_failed(seq, cut_short(BootCutShort::Ended), false, now),
            Some(State::Up { .. } | State::Draining { .. }) => {
                self.report_loss(seq);
                self.end(seq, now);
            }
        }
    }

    pub(super) fn gone(&mut self, seq: RunnerSeq, now: Instant) {
        match self.fleet.get(seq).map(|runner| &runner.state) {
            None => {}
            Some(State::Booting { .. }) => self.boot_failed(seq, cut_short(BootCutShort::Ended), true, now),
            Some(State::Up { .. } | State::Draining { .. }) => {
                self.report_loss(seq);
                self.remove(seq);
            }
            Some(State::Ending { .. }) => self.remove(seq),
        }
    }

    /// The runner has told us that it goes; it need not be told.
    pub(super) fn draining(&mut self, seq: RunnerSeq, now: Instant) {
        // Whoever says so has joined, though we may hear of that later.
        self.joined(seq, now);
        self.drain(seq, RetireReason::Signalled, now);
    }

    pub(super) fn condemn(&mut self, seq: RunnerSeq, now: Instant) {
        self.retire(seq, RetireReason::Condemned, now);
    }

    pub(super) fn stalled(&mut self, seq: RunnerSeq, stalled: bool) {
        if let Some(runner) = self.fleet.get_mut(seq) {
            runner.stalled = stalled;
        }
    }

    /// What a runner does after a join or a piece of work: if that was its last, it rests, or goes if it should.
    pub(super) fn rest_or_retire(&mut self, seq: RunnerSeq, now: Instant) {
        let first_check = self.first_idle_check(now);
        let Some(runner) = self.fleet.get_mut(seq) else { return };
        if runner.busy() {
            return;
        }
        match &mut runner.state {
            State::Up { door: Door::Closed(reason), .. } => {
                let reason = *reason;
                self.retire(seq, reason, now);
            }
            State::Up { rest: rest @ None, .. } => {
                *rest = Some(Rest { since: now, check_at: first_check, asked: None });
                self.arm(first_check);
            }
            _ => {}
        }
    }

    pub(super) fn fire_timers(&mut self, now: Instant) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        let due: Vec<RunnerSeq> = self
            .fleet
            .iter()
            .filter(|(_, runner)| runner.due().is_some_and(|due| due <= now))
            .map(|(seq, _)| seq)
            .collect();
        for seq in due {
            match self.fleet.get(seq).map(|runner| &runner.state) {
                None => {}
                Some(State::Booting { .. }) => {
                    let limit = self.settings.boot_timeout();
                    self.boot_failed(seq, cut_short(BootCutShort::TimedOut(limit)), false, now);
                }
                Some(State::Up { .. }) => self.check_idle(seq, now),
                Some(State::Draining { .. }) => self.end(seq, now),
                Some(State::Ending { .. }) => self.leak(seq),
            }
        }
        self.timer = self.fleet.iter().filter_map(|(_, runner)| runner.due()).min();
    }

    pub(super) fn idle_answer(&mut self, seq: RunnerSeq, ask: u64, idle: bool, now: Instant) {
        let next = self.first_idle_check(now);
        let Some(Runner { state: State::Up { rest: Some(rest), .. }, .. }) = self.fleet.get_mut(seq) else {
            return;
        };
        if rest.asked != Some(ask) {
            return;
        }
        rest.asked = None;
        // Only the answer was missing, but `min` and the growth policy may have changed their minds meanwhile.
        if idle && self.may_go(seq, now) {
            self.retire_idle(seq, now);
        } else if let Some(Runner { state: State::Up { rest: Some(rest), .. }, .. }) = self.fleet.get_mut(seq)
        {
            *rest = Rest { since: now, check_at: next, asked: None };
            self.arm(next);
        }
    }

    pub(super) fn reclaim(&mut self, now: Instant) {
        let above_min = self.fleet.census(1, None).present() > self.floor();
        let idle = self.fleet.iter().find(|(_, runner)| runner.is_idle()).map(|(seq, _)| seq);
        if let (true, Some(seq)) = (above_min, idle) {
            self.retire(seq, RetireReason::MakeRoom, now);
        }
    }

    pub(super) fn resize(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        self.asleep = self.asleep.min(limits.min());
        if self.phase != Phase::Open {
            return;
        }
        self.close_surplus(now);
        self.reopen_surplus();
        // A runner that `min` kept may go now.
        for (_, runner) in self.fleet.iter_mut() {
            if let State::Up { rest: Some(rest), .. } = &mut runner.state {
                rest.check_at = Some(now);
            }
        }
        self.arm(Some(now));
    }

    pub(super) fn send_all_home(&mut self, now: Instant) {
        let all: Vec<RunnerSeq> = self.fleet.iter().map(|(seq, _)| seq).collect();
        for seq in all {
            match self.fleet.get(seq).map(|runner| &runner.state) {
                Some(State::Booting { .. }) => self.end(seq, now),
                _ => self.retire(seq, RetireReason::PoolStops, now),
            }
        }
    }

    /// Tells a runner that is up to finish what it has and to exit.
    pub(super) fn retire(&mut self, seq: RunnerSeq, reason: RetireReason, now: Instant) {
        if self.drain(seq, reason, now) {
            self.out.push(Action::Retire(seq));
        }
    }

    /// Whether the runner goes when its work has ended, so that what never ends by itself has to be placed elsewhere.
    pub(crate) fn is_leaving(&self, seq: RunnerSeq) -> bool {
        match self.fleet.get(seq).map(|runner| &runner.state) {
            // The one piece of work that it is used for may be a child.
            Some(State::Up { door: Door::Closed(reason), .. }) => *reason != RetireReason::SingleUse,
            Some(State::Draining { .. }) => true,
            _ => false,
        }
    }

    /// The least number of runners that are to be kept at the moment.
    pub(super) fn floor(&self) -> u32 {
        self.limits.min().saturating_sub(self.asleep)
    }

    fn drain(&mut self, seq: RunnerSeq, reason: RetireReason, now: Instant) -> bool {
        let until = later(now, self.settings.shutdown_timeout());
        let Some(runner) = self.fleet.get_mut(seq) else { return false };
        let State::Up { .. } = runner.state else { return false };
        runner.state = State::Draining { until };
        let busy = runner.busy();
        self.arm(until);
        self.unseat(seq);
        self.emit(PoolEvent::Retiring { runner: seq, reason });
        if busy {
            self.out.push(Action::Clear(seq));
        }
        true
    }

    fn end(&mut self, seq: RunnerSeq, now: Instant) {
        let until = later(now, self.settings.terminate_timeout());
        let Some(runner) = self.fleet.get_mut(seq) else { return };
        runner.state = State::Ending { until };
        self.arm(until);
        self.unseat(seq);
        self.out.push(Action::Terminate(seq));
    }

    fn remove(&mut self, seq: RunnerSeq) {
        if self.forget(seq) {
            let runners = self.fleet.len();
            self.emit(PoolEvent::Shrunk { runner: seq, runners });
        }
    }

    fn leak(&mut self, seq: RunnerSeq) {
        if self.forget(seq) {
            let runners = self.fleet.len();
            self.emit(PoolEvent::Leaked { runner: seq, runners });
        }
    }

    fn forget(&mut self, seq: RunnerSeq) -> bool {
        self.unseat(seq);
        let known = self.fleet.remove(seq).is_some();
        if known && self.settings.shared_cap() {
            // Not kept for the next boot: others may have waited longer for it.
            self.out.push(Action::ReturnPermits(1));
        }
        known
    }

    /// Not for a runner that left as it was told, with all its work done.
    fn report_loss(&mut self, seq: RunnerSeq) {
        let Some(runner) = self.fleet.get(seq) else { return };
        if runner.busy() || matches!(runner.state, State::Up { .. }) {
            let held = runner.held;
            self.emit(PoolEvent::Lost { runner: seq, held });
        }
    }

    fn first_idle_check(&self, now: Instant) -> Option<Instant> {
        self.idle_times().min().and_then(|time| later(now, time))
    }

    fn idle_times(&self) -> impl Iterator<Item = Duration> {
        [self.settings.idle_shutdown().time(), self.settings.min_idle_shutdown_after()].into_iter().flatten()
    }

    fn check_idle(&mut self, seq: RunnerSeq, now: Instant) {
        let may_go = self.may_go(seq, now);
        let next = self.next_idle_check(seq, now);
        let ask = self.asks + 1;
        let Some(Runner { state: State::Up { rest: Some(rest), .. }, .. }) = self.fleet.get_mut(seq) else {
            return;
        };
        if rest.asked.is_some() {
            rest.check_at = None;
        } else if !may_go {
            rest.check_at = next;
            self.arm(next);
        } else if let IdleShutdown::AfterCheck(_) = self.settings.idle_shutdown() {
            *rest = Rest { since: rest.since, check_at: None, asked: Some(ask) };
            self.asks = ask;
            self.out.push(Action::AskIdle { runner: seq, ask });
        } else {
            self.retire_idle(seq, now);
        }
    }

    fn retire_idle(&mut self, seq: RunnerSeq, now: Instant) {
        if !self.is_above_floor() {
            self.asleep += 1;
        }
        self.retire(seq, RetireReason::Idle, now);
    }

    /// Whether the runner has rested long enough, and neither `min` nor the growth policy wants it.
    fn may_go(&self, seq: RunnerSeq, now: Instant) -> bool {
        let time = match self.is_above_floor() {
            true => self.settings.idle_shutdown().time(),
            false => self.settings.min_idle_shutdown_after(),
        };
        let Some(runner) = self.fleet.get(seq) else { return false };
        let State::Up { rest: Some(rest), .. } = &runner.state else { return false };
        let rested = time.and_then(|time| later(rest.since, time)).is_some_and(|due| due <= now);
        rested && !self.growth_wants(seq)
    }

    fn is_above_floor(&self) -> bool {
        self.fleet.census(1, None).present() > self.floor()
    }

    fn next_idle_check(&self, seq: RunnerSeq, now: Instant) -> Option<Instant> {
        let State::Up { rest: Some(rest), .. } = &self.fleet.get(seq)?.state else { return None };
        let ahead = self.idle_times().filter_map(|time| later(rest.since, time)).filter(|&at| at > now).min();
        // It has rested long enough and is wanted at the moment; nothing tells when that ends.
        ahead.or_else(|| later(now, self.idle_times().min()?.max(RECHECK)))
    }

    /// `max` was lowered: first those go that do nothing, then those that boot, then those with the least work.
    fn close_surplus(&mut self, now: Instant) {
        while self.fleet.census(1, None).present() > self.limits.max() {
            let cost = |runner: &Runner| match runner.state {
                State::Booting { .. } => (1, 0),
                _ => (u32::from(runner.busy()) * 2, runner.held),
            };
            let present = |runner: &Runner| runner.is_open() || matches!(runner.state, State::Booting { .. });
            let cheapest = self.fleet.iter().rev().filter(|(_, r)| present(r)).min_by_key(|(_, r)| cost(r));
            match cheapest.map(|(seq, runner)| (seq, runner.is_open())) {
                Some((seq, true)) => self.close(seq, RetireReason::Resized, now),
                Some((seq, false)) => self.end(seq, now),
                None => return,
            }
        }
    }

    fn reopen_surplus(&mut self) {
        let mut room = self.limits.max().saturating_sub(self.fleet.census(1, None).present());
        for (seq, runner) in self.fleet.iter_mut() {
            if let State::Up { door: door @ Door::Closed(RetireReason::Resized), .. } = &mut runner.state
                && room > 0
            {
                *door = Door::Open;
                room -= 1;
                self.out.push(Action::Emit(PoolEvent::Reopened { runner: seq }));
            }
        }
    }
}

fn cut_short(error: BootCutShort) -> BootFailure {
    BootFailure(Arc::new(error))
}
