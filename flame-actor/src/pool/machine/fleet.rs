//! The runners: what each is doing, and how many do what.

use std::{collections::BTreeMap, time::Instant};

use super::event::RetireReason;
use crate::pool::ids::{ResourceClass, RunnerSeq};

/// All instances that count, oldest first.
#[derive(Default)]
pub(super) struct Fleet {
    runners: BTreeMap<RunnerSeq, Runner>,
    last: u64,
}

/// One instance.
pub(super) struct Runner {
    pub(super) class: ResourceClass,
    /// When its boot began.
    pub(super) born: Instant,
    /// Slots in use.
    pub(super) held: u32,
    /// Requests that run in the slot of another one.
    pub(super) borrowed: u32,
    /// It answers to nothing at the moment.
    pub(super) stalled: bool,
    pub(super) state: State,
}

pub(super) enum State {
    /// Not joined yet; it has until then.
    Booting { until: Option<Instant> },
    /// It serves.
    Up { door: Door, rest: Option<Rest> },
    /// It was told to go and finishes its work; it has until then.
    Draining { until: Option<Instant> },
    /// Lost or terminated, and not confirmed gone; it leaks then.
    Ending { until: Option<Instant> },
}

/// Whether a runner that is up takes work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// It is retired as soon as its work has ended.
    Closed(RetireReason),
}

/// A runner without work.
pub(super) struct Rest {
    pub(super) since: Instant,
    /// When to see next whether it may be retired.
    pub(super) check_at: Option<Instant>,
    /// The question that its own check has not answered yet.
    pub(super) asked: Option<u64>,
}

/// How many runners and slots there are, of one class or all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    pub(super) booting: u32,
    /// Up with an open door.
    pub(super) serving: u32,
    /// On their way out.
    pub(super) leaving: u32,
    /// Slots in use on those that serve.
    pub(super) held: u64,
    pub(super) free: u64,
}

impl Census {
    /// Runners that serve or will.
    pub(super) fn present(&self) -> u32 {
        self.serving + self.booting
    }
}

impl Fleet {
    /// Adds a runner that boots.
    pub(super) fn add(&mut self, class: ResourceClass, now: Instant, until: Option<Instant>) -> RunnerSeq {
        self.last += 1;
        let seq = RunnerSeq(self.last);
        let state = State::Booting { until };
        self.runners.insert(seq, Runner { class, born: now, held: 0, borrowed: 0, stalled: false, state });
        seq
    }

    pub(super) fn get(&self, seq: RunnerSeq) -> Option<&Runner> {
        self.runners.get(&seq)
    }

    pub(super) fn get_mut(&mut self, seq: RunnerSeq) -> Option<&mut Runner> {
        self.runners.get_mut(&seq)
    }

    pub(super) fn remove(&mut self, seq: RunnerSeq) -> Option<Runner> {
        self.runners.remove(&seq)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (RunnerSeq, &Runner)> {
        self.runners.iter().map(|(&seq, runner)| (seq, runner))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (RunnerSeq, &mut Runner)> {
        self.runners.iter_mut().map(|(&seq, runner)| (seq, runner))
    }

    /// Instances as `max` counts them.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.runners.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn census(&self, slots: u32, class: Option<ResourceClass>) -> Census {
        let mut census = Census::default();
        for runner in self.runners.values().filter(|runner| class.is_none_or(|class| runner.class == class)) {
            match runner.state {
                State::Booting { .. } => census.booting += 1,
                State::Up { door: Door::Open, .. } => {
                    census.serving += 1;
                    census.held += u64::from(runner.held);
                    census.free += u64::from(runner.free(slots));
                }
                State::Up { .. } | State::Draining { .. } | State::Ending { .. } => census.leaving += 1,
            }
        }
        census
    }
}

impl Runner {
    /// Slots that can be given out.
    pub(super) fn free(&self, slots: u32) -> u32 {
        match self.state {
            State::Up { door: Door::Open, .. } if !self.stalled => slots.saturating_sub(self.held),
            _ => 0,
        }
    }

    /// Whether anything runs on it.
    pub(super) fn busy(&self) -> bool {
        self.held > 0 || self.borrowed > 0
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Up { door: Door::Open, .. })
    }

    /// Open, with nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.is_open() && !self.busy()
    }

    /// Whether work that is there may go on there.
    pub(super) fn hosts_work(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::Draining { .. })
    }

    /// When its timer fires.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Booting { until } | State::Draining { until } | State::Ending { until } => *until,
            State::Up { rest, .. } => rest.as_ref()?.check_at,
        }
    }
}
