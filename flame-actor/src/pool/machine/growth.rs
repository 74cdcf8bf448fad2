//! When to boot, for whom, and whose room to take.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::{
    Machine, Phase,
    event::{Action, RetireReason},
    fleet::Census,
};
use crate::pool::ids::{ResourceClass, RunnerSeq};
use crate::pool::policy::{Demand, Growth, Load};

/// The pool's part of a cap that it shares with others.
#[derive(Default)]
pub(super) struct Permits {
    /// Granted and not used yet.
    spare: u32,
    pub(super) on_order: u32,
}

impl Permits {
    pub(super) fn arrive(&mut self) {
        self.spare = self.spare.saturating_add(1);
        self.on_order = self.on_order.saturating_sub(1);
    }
}

/// Runners that a class should get.
#[derive(Clone, Copy, Default)]
pub(super) struct Need {
    class: ResourceClass,
    pub(super) runners: u32,
    /// Requests wait, and no runner of the class serves or boots.
    starved: bool,
    /// The arrival of the request that waits longest, if any does.
    oldest: Option<u64>,
    policy_panicked: bool,
}

impl Machine {
    /// Boots what is needed and possible: first for those whose requests wait longest, then spare runners, then
    /// `min`. Says whether a runner was sent away to make room.
    pub(super) fn grow(&mut self, now: Instant) -> bool {
        self.retry_at = None;
        let mut made_room = false;
        let mut wanted_permits = 0;
        if self.phase == Phase::Open {
            let mut leaving = self.fleet.census(1, None).leaving;
            let (first, more) = self.needs();
            for need in first.into_iter().chain(more) {
                if need.policy_panicked {
                    self.report_policy_panic();
                }
                let short = self.boot_for(need, now);
                if self.fleet.len() >= self.limits.max() {
                    made_room |= self.make_room(need, short, &mut leaving, now);
                } else {
                    wanted_permits = short.saturating_add(wanted_permits);
                }
            }
            let missing = self.floor().saturating_sub(self.fleet.census(1, None).present());
            let min = Need { runners: missing, ..Need::default() };
            wanted_permits = self.boot_for(min, now).saturating_add(wanted_permits);
            wanted_permits = wanted_permits.min(self.limits.max().saturating_sub(self.fleet.len()));
        }
        self.order_permits(wanted_permits);
        made_room
    }

    /// Whether the growth policy would boot a runner in place of this idle one.
    pub(super) fn growth_wants(&self, seq: RunnerSeq) -> bool {
        let slots = self.settings.max_concurrency();
        let Some((class, free)) = self.fleet.get(seq).map(|runner| (runner.class, runner.free(slots))) else {
            return false;
        };
        let mut census = self.fleet.census(slots, Some(class));
        census.serving = census.serving.saturating_sub(1);
        census.free = census.free.saturating_sub(u64::from(free));
        self.missing(class, census).0 > 0
    }

    /// How many boots of a class may start now: after failures none until the back-off has passed, then one at a
    /// time until one succeeds.
    pub(super) fn boots_allowed(&self, class: ResourceClass, now: Instant) -> u32 {
        if self.backoff.waits_until(class, now).is_some() {
            return 0;
        }
        match self.backoff.failures(class) {
            0 => u32::MAX,
            _ => u32::from(self.fleet.census(1, Some(class)).booting == 0),
        }
    }

    /// What a class should get, by its load and the growth policy.
    pub(super) fn need(&self, class: ResourceClass, oldest: Option<u64>) -> Need {
        let census = self.fleet.census(self.settings.max_concurrency(), Some(class));
        let starved = oldest.is_some() && census.present() == 0;
        let (missing, policy_panicked) = self.missing(class, census);
        Need { class, runners: missing.max(u32::from(starved)), starved, oldest, policy_panicked }
    }

    /// All needs by rank; almost always there is one class only, and then nothing is allocated.
    fn needs(&self) -> (Option<Need>, Vec<Need>) {
        let default = ResourceClass::default();
        let oldest = self.queue.open_head(default).map(|(arrival, _)| arrival);
        let first = self.need(default, oldest);
        let others: Vec<(ResourceClass, u64)> = self
            .queue
            .open_heads()
            .filter(|&(class, _)| class != default)
            .map(|(class, (arrival, _))| (class, arrival))
            .collect();
        if others.is_empty() {
            return (Some(first), Vec::new());
        }
        let mut needs: Vec<Need> =
            others.into_iter().map(|(class, oldest)| self.need(class, Some(oldest))).chain([first]).collect();
        needs.sort_by_key(|need| need.oldest.unwrap_or(u64::MAX));
        (None, needs)
    }

    /// How many runners the policy misses in a class, and whether it panicked.
    fn missing(&self, class: ResourceClass, census: Census) -> (u32, bool) {
        let waiting = self.queue.demand(class);
        // Spare capacity is of the default class: other kinds of runners exist only while someone uses them.
        if waiting == 0 && class != ResourceClass::default() {
            return (0, false);
        }
        let load = Load {
            waiting,
            held: census.held,
            free: census.free,
            serving: census.serving,
            booting: census.booting,
            slots_per_runner: self.settings.max_concurrency(),
            min: self.floor(),
            max: self.limits.max(),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| self.settings.growth().runners(&load)));
        let panicked = answer.is_err();
        let runners = answer.unwrap_or_else(|_| Demand.runners(&load));
        (runners.saturating_sub(census.present()), panicked)
    }

    /// Boots for a need as far as back-off, `max` and permits go; returns how many are missing for want of the
    /// last two.
    fn boot_for(&mut self, need: Need, now: Instant) -> u32 {
        if need.runners == 0 {
            return 0;
        }
        let allowed = self.boots_allowed(need.class, now).min(need.runners);
        if let Some(retry_at) = self.backoff.waits_until(need.class, now) {
            self.retry_at = [self.retry_at, Some(retry_at)].into_iter().flatten().min();
        }
        let mut missing = allowed;
        while missing > 0 && self.fleet.len() < self.limits.max() && self.use_permit() {
            self.boot(need.class, now);
            missing -= 1;
        }
        missing
    }

    fn use_permit(&mut self) -> bool {
        if !self.settings.shared_cap() {
            return true;
        }
        let any = self.permits.spare > 0;
        self.permits.spare = self.permits.spare.saturating_sub(1);
        any
    }

    /// The pool is full and a class misses runners: idle runners of other classes go. If the class has none at all,
    /// and it is its turn, one that is busy takes no more work, so that it goes in the end.
    fn make_room(&mut self, need: Need, short: u32, leaving: &mut u32, now: Instant) -> bool {
        let mut made_room = false;
        if need.oldest.is_none() {
            return made_room;
        }
        let covered = short.min(*leaving);
        *leaving -= covered;
        for _ in covered..short {
            let others =
                || self.fleet.iter().filter(|(_, runner)| runner.class != need.class && runner.is_open());
            let idle = others().find(|(_, runner)| runner.is_idle()).map(|(seq, _)| seq);
            if let Some(seq) = idle {
                self.retire(seq, RetireReason::MakeRoom, now);
                made_room = true;
                continue;
            }
            if need.starved && covered == 0 {
                // Those whose own requests have waited longer stay open for them.
                let later =
                    |class| self.queue.open_head(class).is_none_or(|(first, _)| Some(first) > need.oldest);
                let least_busy = others()
                    .filter(|(_, runner)| later(runner.class))
                    .min_by_key(|(_, runner)| runner.held)
                    .map(|(seq, _)| seq);
                if let Some(seq) = least_busy {
                    self.close(seq, RetireReason::MakeRoom, now);
                    made_room = true;
                }
            }
            break;
        }
        made_room
    }

    fn order_permits(&mut self, wanted: u32) {
        if !self.settings.shared_cap() {
            return;
        }
        let spare = std::mem::take(&mut self.permits.spare);
        if spare > 0 {
            self.out.push(Action::ReturnPermits(spare));
        }
        if self.permits.on_order != wanted {
            self.permits.on_order = wanted;
            self.out.push(Action::WantPermits(wanted));
        }
    }
}
