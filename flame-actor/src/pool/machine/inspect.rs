//! The pool explains itself.

use std::{fmt, time::Duration, time::Instant};

use super::{
    Machine, Phase,
    event::{BootFailure, RetireReason},
    fleet::{Door, Runner, State},
};
use crate::pool::ids::{ResourceClass, RunnerSeq};
use crate::pool::settings::Limits;

/// What a pool has, does and waits for, at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// The limits in force.
    pub limits: Limits,
    /// The runners `min` keeps at the moment: fewer than `min` if some ended after `min_idle_shutdown_after`.
    pub kept: u32,
    /// Slots of one runner.
    pub max_concurrency: u32,
    /// Requests that wait.
    pub waiting: usize,
    /// Those of `waiting` that wait for the one runner that serves the key they require.
    pub pinned: usize,
    /// Requests that were granted and not released.
    pub held: usize,
    /// The instances that count against `max`, oldest first.
    pub runners: Vec<RunnerReport>,
    /// Why the pool boots or does not boot runners without resources, and of each class that has requests waiting.
    pub growth: Vec<(ResourceClass, GrowthVerdict)>,
}

/// One runner, as [`Inspection`] shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunnerReport {
    /// Which runner.
    pub runner: RunnerSeq,
    /// The resources it was booted for.
    pub class: ResourceClass,
    /// What it is doing.
    pub phase: RunnerPhase,
    /// Slots in use.
    pub held: u32,
    /// Nested requests that run in their caller's slot.
    pub in_place: u32,
    /// Time since its boot began.
    pub age: Duration,
}

/// What a runner is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunnerPhase {
    /// It has not joined yet.
    Booting,
    /// It serves and has work.
    Busy,
    /// It has had no work for this long.
    Idle(Duration),
    /// It is up and answers to nothing.
    Stalled,
    /// It gets no more work and is retired when its own is done.
    Closing(RetireReason),
    /// It was told to go.
    Draining,
    /// It is lost or was terminated, and is not confirmed gone.
    Ending,
}

/// Why the pool boots, or does not boot, more runners.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GrowthVerdict {
    /// Nothing waits for a runner that is not there.
    Enough,
    /// Runners boot, as many as are needed.
    Booting(u32),
    /// The pool has `max` instances.
    AtMax {
        /// Those of them that go, and make room then.
        leaving: u32,
    },
    /// The latest boots failed.
    BackingOff {
        /// Until the next is tried; zero while it is under way.
        retry_in: Duration,
        /// Boots that failed in a row.
        failures: u32,
        /// What the latest failed with.
        error: BootFailure,
    },
    /// So many boots wait for a permit of the cap that is shared with other pools.
    SharedCap(u32),
    /// Requests wait, and the growth policy wants no runner for them.
    HeldBack,
    /// The pool stops or has stopped.
    Closed,
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max, runners) = (self.limits.min(), self.limits.max(), self.runners.len());
        write!(f, "{runners} runners of {min} to {max} with {} slots each; ", self.max_concurrency)?;
        write!(f, "{} requests hold slots, {} wait", self.held, self.waiting)?;
        if self.pinned > 0 {
            write!(f, ", {} of them for the runner of their key", self.pinned)?;
        }
        for (class, verdict) in &self.growth {
            match class.0 {
                0 => write!(f, "\n  the pool {verdict}")?,
                class => write!(f, "\n  for resources {class} it {verdict}")?,
            }
        }
        self.runners.iter().try_for_each(|runner| write!(f, "\n  {runner}"))
    }
}

impl fmt::Display for RunnerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runner {}, {:.1?} old, {}", self.runner, self.age, self.phase)?;
        if self.class != ResourceClass::default() {
            write!(f, ", with resources {}", self.class.0)?;
        }
        match self.held + self.in_place {
            0 => Ok(()),
            _ if self.in_place > 0 => write!(f, ", {} slots in use, {} nested", self.held, self.in_place),
            _ => write!(f, ", {} slots in use", self.held),
        }
    }
}

impl fmt::Display for RunnerPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booting => f.write_str("boots"),
            Self::Busy => f.write_str("is busy"),
            Self::Idle(time) => write!(f, "has been idle for {time:.1?}"),
            Self::Stalled => f.write_str("is stalled"),
            Self::Closing(reason) => write!(f, "takes no more work ({reason:?})"),
            Self::Draining => f.write_str("drains"),
            Self::Ending => f.write_str("ends"),
        }
    }
}

impl fmt::Display for GrowthVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enough => f.write_str("does not grow: nothing waits for another runner"),
            Self::Booting(runners) => write!(f, "grows: {runners} booting"),
            Self::AtMax { leaving: 0 } => f.write_str("does not grow: max instances exist"),
            Self::AtMax { leaving } => {
                write!(f, "does not grow yet: max instances exist, {leaving} of them about to go")
            }
            Self::BackingOff { retry_in, failures, error } => {
                write!(f, "boots fail ({failures} in a row), next try in {retry_in:?}: {error}")
            }
            Self::SharedCap(wanted) => write!(f, "does not grow yet: {wanted} boots wait for the shared cap"),
            Self::HeldBack => f.write_str("does not grow: the growth policy wants no more runners"),
            Self::Closed => f.write_str("does not grow: the pool is closed"),
        }
    }
}

impl Inspection {
    /// Of a pool that is the parent's.
    pub(in crate::pool) fn unknown() -> Self {
        Self {
            limits: Limits::NONE,
            kept: 0,
            max_concurrency: 0,
            waiting: 0,
            pinned: 0,
            held: 0,
            runners: Vec::new(),
            growth: Vec::new(),
        }
    }
}

impl Machine {
    /// What the pool has, does and waits for. Looks at every runner; allocates.
    #[must_use]
    pub fn inspect(&self, now: Instant) -> Inspection {
        let default = ResourceClass::default();
        let waiting = self.queue.open_heads().map(|(class, _)| class).filter(|&class| class != default);
        let classes: Vec<ResourceClass> = [default].into_iter().chain(waiting).collect();
        Inspection {
            limits: self.limits,
            kept: self.floor(),
            max_concurrency: self.settings.max_concurrency(),
            waiting: self.queue.len(),
            pinned: self.queue.pinned_len(),
            held: self.held.len(),
            runners: self.fleet.iter().map(|(seq, runner)| report(seq, runner, now)).collect(),
            growth: classes.into_iter().map(|class| (class, self.verdict(class, now))).collect(),
        }
    }

    fn verdict(&self, class: ResourceClass, now: Instant) -> GrowthVerdict {
        if self.phase != Phase::Open {
            return GrowthVerdict::Closed;
        }
        let oldest = self.queue.open_head(class).map(|(arrival, _)| arrival);
        let slots = self.settings.max_concurrency();
        let (all, own) = (self.fleet.census(slots, None), self.fleet.census(slots, Some(class)));
        let mut missing = self.need(class, oldest).runners;
        if class == ResourceClass::default() {
            missing = missing.max(self.floor().saturating_sub(all.present()));
        }
        let failing = self.backoff.of(class).filter(|_| missing > 0 || own.booting > 0);
        match failing {
            Some(series) => GrowthVerdict::BackingOff {
                retry_in: series.retry_at.saturating_duration_since(now),
                failures: series.failures,
                error: series.error.clone(),
            },
            None if missing == 0 && own.booting > 0 => GrowthVerdict::Booting(own.booting),
            None if missing == 0 && oldest.is_some() && own.free == 0 => GrowthVerdict::HeldBack,
            None if missing == 0 => GrowthVerdict::Enough,
            None if self.fleet.len() >= self.limits.max() => GrowthVerdict::AtMax { leaving: all.leaving },
            None => GrowthVerdict::SharedCap(self.permits.on_order),
        }
    }
}

fn report(seq: RunnerSeq, runner: &Runner, now: Instant) -> RunnerReport {
    let phase = match &runner.state {
        State::Booting { .. } => RunnerPhase::Booting,
        State::Up { door: Door::Closed(reason), .. } => RunnerPhase::Closing(*reason),
        State::Up { .. } if runner.stalled => RunnerPhase::Stalled,
        State::Up { rest: Some(rest), .. } => RunnerPhase::Idle(now.saturating_duration_since(rest.since)),
        State::Up { rest: None, .. } => RunnerPhase::Busy,
        State::Draining { .. } => RunnerPhase::Draining,
        State::Ending { .. } => RunnerPhase::Ending,
    };
    RunnerReport {
        runner: seq,
        class: runner.class,
        phase,
        held: runner.held,
        in_place: runner.borrowed,
        age: now.saturating_duration_since(runner.born),
    }
}
