//! What is outside the machine: callers, runners, a backend, a clock, and a shared cap. It knows what is true of
//! each request and runner, which the oracle compares with what the machine does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Step;
use crate::pool::{
    machine::{
        Action, Affinity, BootCutShort, BootFailure, Event, Key, Machine, Request, RequestId, ResourceClass,
        RunnerSeq,
    },
    settings::{Limits, PoolSettings},
};

pub(super) type Verdict = Result<(), String>;

pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) settings: PoolSettings,
    pub(super) limits: Limits,
    pub(super) start: Instant,
    pub(super) now: Instant,
    /// Not yet ended.
    pub(super) calls: BTreeMap<RequestId, Call>,
    pub(super) next_request: u64,
    /// That count against `max`.
    pub(super) runners: BTreeMap<RunnerSeq, Sim>,
    pub(super) keys: BTreeMap<(ResourceClass, Key), RunnerSeq>,
    pub(super) failing: BTreeMap<ResourceClass, Failing>,
    pub(super) last_runner: u64,
    pub(super) asks: BTreeMap<RunnerSeq, u64>,
    pub(super) asleep: u32,
    /// Of the shared cap: in hand, and asked for.
    pub(super) permits: i64,
    pub(super) permits_wanted: u32,
    pub(super) closing: bool,
    pub(super) stopped: bool,
    /// All that was decided, for comparing runs.
    pub(super) trace: Vec<String>,
}

pub(super) struct Call {
    pub(super) request: Request,
    pub(super) since: Instant,
    pub(super) granted: Option<(RunnerSeq, bool)>,
}

#[derive(Debug)]
pub(super) struct Sim {
    pub(super) class: ResourceClass,
    pub(super) life: Life,
    /// When this life began.
    pub(super) since: Instant,
    pub(super) held: u32,
    pub(super) borrowed: u32,
    pub(super) idle_since: Instant,
    pub(super) stalled: bool,
    /// It gets no more work, though it was not told to go yet.
    pub(super) closed: bool,
    pub(super) used: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Booting,
    Up,
    Draining,
    Ending,
}

/// Boots of a class that failed in a row.
pub(super) struct Failing {
    pub(super) rounds: u32,
    pub(super) round_began: Instant,
    pub(super) latest: Instant,
}

impl Sim {
    /// Open for work of its class, now or after a stall.
    pub(super) fn serves(&self) -> bool {
        self.life == Life::Up && !self.closed
    }

    pub(super) fn present(&self) -> bool {
        self.serves() || self.life == Life::Booting
    }
}

impl World {
    pub(super) fn new(settings: &PoolSettings, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            machine: Machine::new(settings.clone(), seed),
            settings: settings.clone(),
            limits: settings.limits(),
            start,
            now: start,
            calls: BTreeMap::new(),
            next_request: 1,
            runners: BTreeMap::new(),
            keys: BTreeMap::new(),
            failing: BTreeMap::new(),
            last_runner: 0,
            asks: BTreeMap::new(),
            asleep: 0,
            permits: 0,
            permits_wanted: 0,
            closing: false,
            stopped: false,
            trace: Vec::new(),
        }
    }

    /// The pool starts.
    pub(super) fn begin(&mut self) -> Verdict {
        self.feed(Event::Tick)
    }

    pub(super) fn step(&mut self, step: Step) -> Verdict {
        let anyone = |_: &Sim| true;
        match step {
            Step::Wait { ms } => self.wait_until(self.now + Duration::from_millis(ms)),
            Step::Oversleep { ms } => {
                self.now += Duration::from_millis(ms);
                Ok(())
            }
            Step::Request { deadline, key, class, nested } => {
                let id = RequestId(self.next_request);
                self.next_request += 1;
                let key = key.map(|(require, key)| (require, Key::from(key.to_string())));
                self.feed(Event::Request(Request {
                    id,
                    deadline: deadline.map(|ms| self.now + Duration::from_millis(ms)),
                    affinity: key.map(
                        |(require, key)| {
                            if require { Affinity::Require(key) } else { Affinity::Prefer(key) }
                        },
                    ),
                    class: ResourceClass(class),
                    origin: nested.and_then(|nth| {
                        self.nth(nth, |sim| sim.held > 0 && matches!(sim.life, Life::Up | Life::Draining))
                    }),
                }))
            }
            Step::Cancel(nth) => {
                let ids: Vec<RequestId> = self.calls.keys().copied().collect();
                self.feed_some(choose(&ids, nth).map(Event::Cancel))
            }
            Step::Release { nth, reusable } => {
                let request = choose(&self.granted(), nth);
                self.feed_some(request.map(|request| Event::Release { request, reusable }))
            }
            Step::Requeue(nth) => self.feed_some(choose(&self.granted(), nth).map(Event::Requeue)),
            Step::Join(nth) => {
                let runner = self.nth(nth, |sim| sim.life == Life::Booting);
                self.feed_some(runner.map(Event::Joined))
            }
            Step::BootFails { nth, gone } => {
                let runner = self.nth(nth, |sim| sim.life == Life::Booting);
                let error = BootFailure(Arc::new(BootCutShort::Ended));
                self.feed_some(runner.map(|runner| Event::BootFailed { runner, error, gone }))
            }
            Step::Lose(nth) => {
                let runner = self.nth(nth, anyone);
                self.feed_some(runner.map(Event::Lost))
            }
            Step::LoseAndRequeue(nth) => {
                let Some(runner) = self.nth(nth, |sim| sim.life == Life::Up) else { return Ok(()) };
                let there: Vec<RequestId> = self
                    .calls
                    .iter()
                    .filter(|(_, call)| call.granted.is_some_and(|(on, _)| on == runner))
                    .map(|(&id, _)| id)
                    .collect();
                self.feed(Event::Lost(runner))?;
                there.into_iter().try_for_each(|id| self.feed(Event::Requeue(id)))
            }
            Step::Gone(nth) => {
                // Mostly of those that go, as in life.
                let leaving = self.nth(nth, |sim| matches!(sim.life, Life::Draining | Life::Ending));
                let runner = leaving.or_else(|| self.nth(nth, anyone).filter(|_| nth.is_multiple_of(5)));
                self.feed_some(runner.map(Event::Gone))
            }
            Step::Sigterm(nth) => {
                let runner = self.nth(nth, anyone);
                self.feed_some(runner.map(Event::Draining))
            }
            Step::Condemn(nth) => {
                let runner = self.nth(nth, anyone);
                self.feed_some(runner.map(Event::Condemn))
            }
            Step::Stall(nth) => {
                let runner = self.nth(nth, |sim| sim.life == Life::Up);
                self.feed_some(runner.map(Event::Stalled))
            }
            Step::Recover(nth) => {
                let runner = self.nth(nth, |sim| sim.stalled);
                self.feed_some(runner.map(Event::Recovered))
            }
            Step::Answer { nth, idle } => {
                let asks: Vec<(RunnerSeq, u64)> =
                    self.asks.iter().map(|(&runner, &ask)| (runner, ask)).collect();
                let answer = choose(&asks, nth);
                self.feed_some(answer.map(|(runner, ask)| Event::IdleAnswer { runner, ask, idle }))
            }
            Step::Permit => self.feed_some((self.permits_wanted > 0).then_some(Event::Permit)),
            Step::Reclaim => self.feed_some(self.settings.shared_cap().then_some(Event::Reclaim)),
            Step::Resize { min, max } => self.feed(Event::Resize(Limits::new(min, max).unwrap())),
            Step::Stale { kind, id } => self.feed_some(self.stale(kind, id)),
            Step::Tick => self.feed(Event::Tick),
            Step::Shutdown => self.feed(Event::Shutdown),
        }
    }

    /// From here on all goes well: what must come of it does, or the pool is stuck.
    pub(super) fn come_to_rest(&mut self) -> Verdict {
        self.let_all_go_well()?;
        self.judge_rest()?;
        self.feed(Event::Shutdown)?;
        self.let_all_go_well()?;
        self.require(self.stopped && self.runners.is_empty(), || "the pool did not stop".into())
    }

    pub(super) fn granted(&self) -> Vec<RequestId> {
        self.calls.iter().filter(|(_, call)| call.granted.is_some()).map(|(&id, _)| id).collect()
    }

    pub(super) fn require(&self, holds: bool, complaint: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { Err(format!("{:?}: {}", self.now - self.start, complaint())) }
    }

    fn let_all_go_well(&mut self) -> Verdict {
        let give_up = self.now + Duration::from_secs(600);
        let end_of_calm = |world: &Self| world.now >= give_up;
        for _ in 0..5000 {
            if let Some(event) = self.good_news() {
                self.feed(event)?;
                continue;
            }
            match self.machine.next_wake() {
                Some(wake) if !end_of_calm(self) => self.wait_until(wake)?,
                _ => return Ok(()),
            }
        }
        self.require(false, || "it never comes to rest".into())
    }

    fn good_news(&self) -> Option<Event> {
        let first =
            |wanted: fn(&Sim) -> bool| self.runners.iter().find(|(_, sim)| wanted(sim)).map(|(&seq, _)| seq);
        first(|sim| sim.stalled && sim.life == Life::Up)
            .map(Event::Recovered)
            .or_else(|| first(|sim| sim.life == Life::Booting).map(Event::Joined))
            .or_else(|| self.granted().first().map(|&request| Event::Release { request, reusable: true }))
            .or_else(|| first(|sim| matches!(sim.life, Life::Draining | Life::Ending)).map(Event::Gone))
            .or_else(|| {
                self.asks.first_key_value().map(|(&runner, &ask)| Event::IdleAnswer {
                    runner,
                    ask,
                    idle: true,
                })
            })
            .or_else(|| (self.permits_wanted > 0).then_some(Event::Permit))
    }

    fn wait_until(&mut self, until: Instant) -> Verdict {
        while let Some(wake) = self.machine.next_wake().filter(|&wake| wake <= until) {
            self.now = self.now.max(wake);
            self.feed(Event::Tick)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn feed_some(&mut self, event: Option<Event>) -> Verdict {
        event.map_or(Ok(()), |event| self.feed(event))
    }

    fn feed(&mut self, event: Event) -> Verdict {
        let mut actions: Vec<Action> = Vec::new();
        self.machine.on(event.clone(), self.now, &mut actions);
        self.trace.extend(actions.iter().map(|action| format!("{action:?}")));
        self.judge(event, actions)
    }

    fn stale(&self, kind: usize, id: u64) -> Option<Event> {
        let (runner, request) = (RunnerSeq(id), RequestId(id));
        let known = self.runners.contains_key(&runner) || self.calls.contains_key(&request);
        let late_join = self.runners.get(&runner).is_some_and(|sim| sim.life != Life::Booting);
        if late_join && kind.is_multiple_of(2) {
            return Some(Event::Joined(runner));
        }
        let error = BootFailure(Arc::new(BootCutShort::Ended));
        (!known).then(|| match kind % 9 {
            0 => Event::Release { request, reusable: false },
            1 => Event::Requeue(request),
            2 => Event::Cancel(request),
            3 => Event::Joined(runner),
            4 => Event::Lost(runner),
            5 => Event::Gone(runner),
            6 => Event::BootFailed { runner, error, gone: false },
            7 => Event::Draining(runner),
            _ => Event::IdleAnswer { runner, ask: id, idle: true },
        })
    }

    fn nth(&self, nth: usize, wanted: impl Fn(&Sim) -> bool) -> Option<RunnerSeq> {
        let all: Vec<RunnerSeq> =
            self.runners.iter().filter(|(_, sim)| wanted(sim)).map(|(&seq, _)| seq).collect();
        choose(&all, nth)
    }

    /// Runners in service, or about to be, as `min` counts them.
    pub(super) fn present(&self) -> u32 {
        self.runners.values().filter(|sim| sim.present()).count() as u32
    }

    pub(super) fn floor(&self) -> u32 {
        self.limits.min().saturating_sub(self.asleep)
    }

    pub(super) fn bound_to(&self, request: &Request) -> Option<RunnerSeq> {
        let key = request.affinity.as_ref()?.key();
        self.keys.get(&(request.class, key.clone())).copied()
    }

    /// The slots that a class waits for and new runners could give.
    pub(super) fn demand(&self, class: ResourceClass) -> u64 {
        let mut keyed: BTreeMap<&Key, u64> = BTreeMap::new();
        let mut anywhere = 0;
        for call in self.waiting().filter(|call| call.request.class == class) {
            match &call.request.affinity {
                Some(Affinity::Require(_)) if self.bound_to(&call.request).is_some() => {}
                Some(Affinity::Require(key)) => *keyed.entry(key).or_default() += 1,
                _ => anywhere += 1,
            }
        }
        let slots = u64::from(self.settings.max_concurrency());
        anywhere + keyed.values().map(|&same_key| same_key.min(slots)).sum::<u64>()
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(|call| call.granted.is_none())
    }

    pub(super) fn waiting_classes(&self) -> BTreeSet<ResourceClass> {
        self.waiting().map(|call| call.request.class).collect()
    }
}

fn choose<T: Copy>(all: &[T], nth: usize) -> Option<T> {
    if all.is_empty() { None } else { all.get(nth % all.len()).copied() }
}
