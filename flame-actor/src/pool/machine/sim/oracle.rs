//! The judge: what each action may be, and what must be true after each event.

use std::time::{Duration, Instant};

use super::world::{Call, Failing, Life, Sim, Verdict, World};
use crate::pool::{
    machine::{
        Action, Affinity, Event, Failure, Inspection, PoolEvent, RequestId, ResourceClass, RetireReason,
        RunnerSeq,
    },
    policy::Load,
    settings::IdleShutdown,
};

impl World {
    /// Takes in an event and what the machine made of it.
    pub(super) fn judge(&mut self, event: Event, actions: Vec<Action>) -> Verdict {
        let waiting_before = self.waiting().count();
        if let Event::Resize(limits) = event {
            (self.limits, self.asleep) = (limits, self.asleep.min(limits.min()));
        }
        self.see(&event);
        let cancelled = if let Event::Cancel(request) = event { Some(request) } else { None };
        let mut reason = None;
        for action in actions {
            self.judge_action(action, &mut reason)?;
        }
        if let Some(id) = cancelled.filter(|id| self.calls.get(id).is_some_and(|call| call.granted.is_none()))
        {
            self.calls.remove(&id);
        }
        if let Event::Request(_) = event {
            let most = self.settings.max_queue().max(waiting_before);
            self.require(self.waiting().count() <= most, || "the queue is longer than max_queue".into())?;
        }
        self.judge_state(&self.machine.inspect(self.now))
    }

    /// All has gone well for ten minutes.
    pub(super) fn judge_rest(&self) -> Verdict {
        self.require(self.calls.is_empty(), || format!("{} calls never ended", self.calls.len()))?;
        if self.closing {
            return Ok(());
        }
        let (present, floor) = (self.present(), self.floor());
        self.require(present == self.runners.len() as u32, || {
            "runners that were to go are still there".into()
        })?;
        self.require(present >= floor, || format!("{present} runners, min is {floor}"))?;
        let goes_idle = self.settings.idle_shutdown() != IdleShutdown::Never;
        if goes_idle && self.spare() == 0 {
            self.require(present == floor, || format!("{present} runners idle, min is {floor}"))?;
        }
        Ok(())
    }

    /// What the world does to itself by an event, before the machine answers.
    fn see(&mut self, event: &Event) {
        match event {
            Event::Request(request) => {
                if !self.closing {
                    self.asleep = 0;
                }
                let call = Call { request: request.clone(), since: self.now, granted: None };
                self.calls.insert(request.id, call);
            }
            Event::Release { request, reusable } => {
                let runner = self.give_back(*request);
                self.calls.remove(request);
                if let Some(runner) = runner.filter(|_| !reusable) {
                    self.close(runner);
                }
            }
            Event::Requeue(request) => {
                self.give_back(*request);
            }
            Event::Joined(runner) => self.join(*runner),
            Event::BootFailed { runner, gone, .. } => self.boot_fails(*runner, *gone),
            Event::Lost(runner) => match self.life(*runner) {
                Some(Life::Booting) => self.boot_fails(*runner, false),
                Some(Life::Up | Life::Draining) => self.set_life(*runner, Life::Ending),
                _ => {}
            },
            Event::Gone(runner) => match self.life(*runner) {
                Some(Life::Booting) => self.boot_fails(*runner, true),
                _ => self.remove(*runner),
            },
            Event::Draining(runner) | Event::Condemn(runner) => {
                if let Event::Draining(_) = event {
                    self.join(*runner);
                }
                if self.life(*runner) == Some(Life::Up) {
                    self.set_life(*runner, Life::Draining);
                }
            }
            Event::Stalled(runner) => self.set_stalled(*runner, true),
            Event::Recovered(runner) => self.set_stalled(*runner, false),
            Event::IdleAnswer { runner, ask, .. } => {
                if self.asks.get(runner) == Some(ask) {
                    self.asks.remove(runner);
                }
            }
            Event::Permit => {
                self.permits += 1;
                self.permits_wanted -= 1;
            }
            Event::Shutdown => self.closing = true,
            Event::Cancel(_) | Event::Reclaim | Event::Resize(_) | Event::Tick => {}
        }
    }

    fn join(&mut self, runner: RunnerSeq) {
        if self.life(runner) == Some(Life::Booting) {
            self.set_life(runner, Life::Up);
            let class = self.runners[&runner].class;
            self.failing.remove(&class);
        }
    }

    fn judge_action(&mut self, action: Action, reason: &mut Option<RetireReason>) -> Verdict {
        match action {
            Action::Grant { request, runner, in_place } => self.judge_grant(request, runner, in_place),
            Action::Fail { request, failure } => self.judge_failure(request, &failure),
            Action::Boot { runner, class, .. } => self.judge_boot(runner, class),
            Action::Clear(runner) => {
                let fair = self.runners.get(&runner).is_some_and(|sim| {
                    let goes = sim.closed || sim.life == Life::Draining || reason.is_some();
                    goes && sim.held + sim.borrowed > 0
                });
                self.require(fair, || format!("runner {runner} is cleared and need not be"))
            }
            Action::Retire(runner) => {
                let reason = reason.take();
                self.judge_retirement(runner, reason)
            }
            Action::Terminate(runner) => {
                let sim = self.runners.get(&runner);
                let fair = sim.is_some_and(|sim| sim.life != Life::Up);
                self.require(fair, || format!("a runner that serves is terminated: {sim:?}"))?;
                match self.life(runner) {
                    Some(Life::Booting) => {
                        let surplus = self.closing || self.present() > self.limits.max();
                        self.require(surplus, || "a boot is cut short".into())?;
                        self.set_life(runner, Life::Ending);
                    }
                    Some(Life::Draining) => {
                        let over = self.now >= self.since(runner) + self.settings.shutdown_timeout();
                        self.require(over, || "a drain is cut short".into())?;
                        self.set_life(runner, Life::Ending);
                    }
                    _ => {}
                }
                Ok(())
            }
            Action::AskIdle { runner, ask } => {
                self.asks.insert(runner, ask);
                self.judge_idle(runner)
            }
            Action::WantPermits(wanted) => {
                self.permits_wanted = wanted;
                Ok(())
            }
            Action::ReturnPermits(count) => {
                self.permits -= i64::from(count);
                Ok(())
            }
            Action::Emit(PoolEvent::Retiring { reason: why, .. }) => {
                *reason = Some(why);
                Ok(())
            }
            Action::Emit(PoolEvent::Closing { runner, .. }) => {
                self.close(runner);
                Ok(())
            }
            Action::Emit(PoolEvent::Reopened { runner }) => {
                if let Some(sim) = self.runners.get_mut(&runner) {
                    sim.closed = false;
                }
                Ok(())
            }
            // The others were seen as they happened.
            Action::Emit(PoolEvent::BootFailed { runner, .. })
                if self.life(runner) == Some(Life::Booting) =>
            {
                let over = self.now >= self.since(runner) + self.settings.boot_timeout();
                self.require(over, || "a boot is given up too early".into())?;
                self.boot_fails(runner, false);
                Ok(())
            }
            Action::Emit(PoolEvent::Leaked { runner, .. }) => {
                let over = self.life(runner) == Some(Life::Ending)
                    && self.now >= self.since(runner) + self.settings.terminate_timeout();
                self.require(over, || "a runner is called leaked too early".into())?;
                self.remove(runner);
                Ok(())
            }
            Action::Emit(_) => Ok(()),
            Action::Stopped => {
                let fair = self.closing && !self.stopped && self.runners.is_empty();
                self.stopped = true;
                self.require(fair, || "the pool says stopped and is not, or says so twice".into())
            }
        }
    }

    fn judge_grant(&mut self, id: RequestId, runner: RunnerSeq, in_place: bool) -> Verdict {
        let (now, slots) = (self.now, self.settings.max_concurrency());
        let Some(call) = self.calls.get(&id) else {
            return self.require(false, || format!("{id:?} is granted late"));
        };
        let request = call.request.clone();
        self.require(call.granted.is_none(), || format!("{id:?} is granted twice"))?;
        self.require(request.deadline.is_none_or(|at| at > now), || {
            format!("{id:?} is granted past its deadline")
        })?;
        let Some(sim) = self.runners.get(&runner) else {
            return self.require(false, || "a slot of a runner that is gone".into());
        };
        if in_place {
            let fair = request.origin == Some(runner) && matches!(sim.life, Life::Up | Life::Draining);
            self.require(fair, || format!("{id:?} runs in the place of a stranger"))?;
        } else {
            let fair = sim.serves() && !sim.stalled && sim.class == request.class && !self.closing;
            self.require(fair, || format!("{id:?} goes to a runner that is not for it: {sim:?}"))?;
            self.require(sim.held < slots, || format!("runner {runner} is over-committed"))?;
            self.require(!(sim.used && self.settings.single_use()), || {
                "a single-use runner serves twice".into()
            })?;
            if let Some(bound) = self.bound_to(&request) {
                let free = self.runners.get(&bound).is_some_and(|sim| sim.held < slots && !sim.stalled);
                let must = matches!(request.affinity, Some(Affinity::Require(_))) || free;
                self.require(!must || bound == runner, || format!("{id:?} goes past the runner of its key"))?;
            }
            self.judge_order(id, runner)?;
        }
        if let Some(sim) = self.runners.get_mut(&runner) {
            if in_place {
                sim.borrowed += 1
            } else {
                sim.held += 1
            }
            sim.used |= !in_place;
        }
        if let (Some(affinity), false) = (&request.affinity, in_place) {
            self.keys.entry((request.class, affinity.key().clone())).or_insert(runner);
        }
        if self.settings.single_use() && !in_place {
            self.close(runner);
        }
        self.asks.remove(&runner);
        if let Some(call) = self.calls.get_mut(&id) {
            call.granted = Some((runner, in_place));
        }
        Ok(())
    }

    /// First come, first served: nobody who came before could have used this slot. (Numbers are in order of arrival.)
    fn judge_order(&self, id: RequestId, runner: RunnerSeq) -> Verdict {
        let class = self.calls[&id].request.class;
        let passed_over = self.waiting().find(|other| {
            other.request.id < id
                && other.request.class == class
                && match &other.request.affinity {
                    Some(Affinity::Require(_)) => {
                        self.bound_to(&other.request).is_none_or(|bound| bound == runner)
                    }
                    _ => true,
                }
        });
        self.require(passed_over.is_none(), || {
            format!("{id:?} is served before {:?}", passed_over.map(|call| call.request.id))
        })
    }

    fn judge_failure(&mut self, id: RequestId, failure: &Failure) -> Verdict {
        let others_waiting = self.waiting().count() - 1;
        let Some(call) = self.calls.remove(&id) else {
            return self.require(false, || format!("{id:?} fails late"));
        };
        self.require(call.granted.is_none(), || format!("{id:?} fails and has a slot"))?;
        let fair = match failure {
            Failure::QueueFull { max_queue } => others_waiting >= *max_queue,
            Failure::Timeout { .. } => call.request.deadline.is_some_and(|at| at <= self.now),
            Failure::PoolClosed => self.closing,
            // A matter of names, which the machine knows nothing of.
            Failure::NoSuchPool { .. } => false,
            Failure::BootFailed { .. } => {
                let class = call.request.class;
                let hope = self.runners.values().any(|sim| sim.class == class && sim.present());
                let failing = self.failing.get(&class);
                let retry_at = failing.map(|failing| failing.round_began + full_delay(failing.rounds));
                !hope && retry_at.is_some_and(|retry_at| self.patience(&call) <= retry_at)
            }
        };
        self.require(fair, || format!("{id:?} fails without reason: {failure}"))
    }

    fn judge_boot(&mut self, runner: RunnerSeq, class: ResourceClass) -> Verdict {
        self.require(runner.0 > self.last_runner, || "a runner's number is used again".into())?;
        self.require((self.runners.len() as u32) < self.limits.max(), || "more than max runners".into())?;
        self.require(!self.closing, || "a boot after the end".into())?;
        if let Some(failing) = self.failing.get(&class) {
            let at = failing.round_began + full_delay(failing.rounds) / 2;
            self.require(self.now >= at, || "a boot before the back-off has passed".into())?;
            let alone = !self.runners.values().any(|sim| sim.class == class && sim.life == Life::Booting);
            self.require(alone, || "several boots at once while they fail".into())?;
        }
        let needed = self.missing(class) > 0 || self.present() < self.floor();
        let starved =
            self.demand(class) > 0 && !self.runners.values().any(|s| s.class == class && s.present());
        self.require(needed || starved, || format!("a boot that nobody needs, {class:?}"))?;
        self.last_runner = runner.0;
        let sim = Sim {
            class,
            life: Life::Booting,
            since: self.now,
            held: 0,
            borrowed: 0,
            idle_since: self.now,
            stalled: false,
            closed: false,
            used: false,
        };
        self.runners.insert(runner, sim);
        Ok(())
    }

    fn judge_retirement(&mut self, runner: RunnerSeq, reason: Option<RetireReason>) -> Verdict {
        let Some(sim) = self.runners.get(&runner) else {
            return self.require(false, || "a ghost is retired".into());
        };
        let busy = sim.held > 0 || sim.borrowed > 0;
        match reason {
            None => return self.require(false, || "a retirement without an event".into()),
            // Told from outside to go, with whatever work it has: the world knows already.
            Some(RetireReason::Condemned) => return Ok(()),
            Some(RetireReason::PoolStops) => self.require(self.closing, || "retired for a stop".into())?,
            Some(RetireReason::Idle) => {
                self.judge_idle(runner)?;
                if self.present() <= self.floor() {
                    let allowed = self.settings.min_idle_shutdown_after().is_some();
                    self.require(allowed, || "min is not kept".into())?;
                    self.asleep += 1;
                }
            }
            Some(RetireReason::SingleUse) => {
                self.require(sim.used && self.settings.single_use(), || "used, but not".into())?;
            }
            Some(_) => {}
        }
        let may_work = reason == Some(RetireReason::PoolStops);
        self.require(may_work || !busy, || {
            format!("runner {runner} is retired ({reason:?}) with work on it")
        })?;
        let up = self.life(runner) == Some(Life::Up);
        self.require(up, || "a runner is retired that is not up".into())?;
        self.set_life(runner, Life::Draining);
        Ok(())
    }

    fn judge_idle(&self, runner: RunnerSeq) -> Verdict {
        let sim = &self.runners[&runner];
        let time = if self.present() > self.floor() {
            self.settings.idle_shutdown().time()
        } else {
            self.settings.min_idle_shutdown_after()
        };
        // An answer may come after the runner has become one that `min` needs for longer.
        let rested = time.is_some_and(|time| self.now >= sim.idle_since + time);
        self.require(rested && sim.held == 0 && sim.borrowed == 0, || {
            format!("runner {runner} was not idle enough")
        })
    }

    fn judge_state(&self, inspection: &Inspection) -> Verdict {
        let now = self.now;
        let wake = self.machine.next_wake();
        self.require(wake.is_none_or(|wake| wake > now), || "it asks to be woken at once, for ever".into())?;
        self.require(inspection.waiting == self.waiting().count(), || "it counts other waiters".into())?;
        self.require(inspection.held == self.granted().len(), || "it counts other grants".into())?;
        let theirs: Vec<RunnerSeq> = inspection.runners.iter().map(|report| report.runner).collect();
        let ours: Vec<RunnerSeq> = self.runners.keys().copied().collect();
        self.require(theirs == ours, || format!("it has runners {theirs:?}, there are {ours:?}"))?;
        if self.settings.shared_cap() {
            let (permits, live) = (self.permits, self.runners.len());
            self.require(permits == live as i64, || format!("{permits} permits in hand for {live} runners"))?;
        }
        for call in self.waiting() {
            self.judge_waiter(call)?;
        }
        for (seq, sim) in &self.runners {
            let limit = match sim.life {
                Life::Booting => self.settings.boot_timeout(),
                Life::Draining => self.settings.shutdown_timeout(),
                Life::Ending => self.settings.terminate_timeout(),
                Life::Up => continue,
            };
            self.require(sim.since + limit > now, || format!("runner {seq} is overdue: {sim:?}"))?;
        }
        if !self.closing {
            self.judge_growth()?;
        }
        Ok(())
    }

    fn judge_waiter(&self, call: &Call) -> Verdict {
        let (id, class, slots) = (call.request.id, call.request.class, self.settings.max_concurrency());
        self.require(!self.closing, || format!("{id:?} waits for a closed pool"))?;
        self.require(call.request.deadline.is_none_or(|at| at > self.now), || format!("{id:?} is overdue"))?;
        let required = matches!(call.request.affinity, Some(Affinity::Require(_)));
        let bound = self.bound_to(&call.request).filter(|_| required);
        let chance = self.runners.iter().find(|&(&seq, sim)| {
            sim.serves()
                && !sim.stalled
                && sim.class == class
                && sim.held < slots
                && bound.is_none_or(|bound| bound == seq)
        });
        self.require(chance.is_none(), || format!("{id:?} waits beside a free slot: {chance:?}"))?;
        let hope = self.runners.values().any(|sim| sim.class == class && sim.present());
        if let (false, Some(failing)) = (hope, self.failing.get(&class)) {
            let earliest_retry = failing.round_began + full_delay(failing.rounds) / 2;
            let hopeless = self.now < earliest_retry && self.patience(call) <= earliest_retry;
            self.require(!hopeless, || format!("{id:?} is not told that boots fail"))?;
        }
        Ok(())
    }

    /// Nobody waits for a runner that could boot, and `min` is restored.
    fn judge_growth(&self) -> Verdict {
        let room = (self.runners.len() as u32) < self.limits.max();
        let mut classes = self.waiting_classes();
        classes.insert(ResourceClass::default());
        for class in classes {
            let booting =
                self.runners.values().filter(|s| s.class == class && s.life == Life::Booting).count();
            let held_back = self.failing.get(&class).is_some_and(|failing| {
                booting > 0 || self.now < failing.round_began + full_delay(failing.rounds)
            });
            let missing = self.missing(class)
                + if class == ResourceClass::default() {
                    self.floor().saturating_sub(self.present())
                } else {
                    0
                };
            if missing == 0 || held_back {
                continue;
            }
            let growing = !room || self.permits_wanted > 0;
            self.require(growing, || format!("{class:?} misses {missing} runners, and there is room"))?;
            let starved = !self.runners.values().any(|sim| sim.class == class && sim.present());
            let oldest =
                |class| self.waiting().find(|call| call.request.class == class && self.is_open(call));
            let turn = oldest(class).map(|call| call.request.id);
            let victims = self.runners.values().any(|sim| {
                let later = || oldest(sim.class).is_none_or(|call| Some(call.request.id) > turn);
                sim.class != class && sim.serves() && later()
            });
            let leaving = self.runners.values().any(|sim| !sim.present());
            let served = self.demand(class) == 0 || !starved || !victims || room || leaving;
            self.require(served, || format!("{class:?} starves, and nobody makes room"))?;
        }
        Ok(())
    }

    /// Runners that the policies in use here want for a class beyond those that are there, within `max`.
    fn missing(&self, class: ResourceClass) -> u32 {
        let waiting = self.demand(class);
        if waiting == 0 && class != ResourceClass::default() {
            return 0;
        }
        let slots = self.settings.max_concurrency();
        let own = || self.runners.values().filter(|sim| sim.class == class && sim.present());
        let free =
            own().filter(|sim| sim.serves() && !sim.stalled).map(|sim| u64::from(slots - sim.held)).sum();
        let booting = own().filter(|sim| sim.life == Life::Booting).count() as u32;
        let load = Load { free, booting, slots_per_runner: slots, ..Load::default() };
        let present = own().count() as u32;
        (present + load.missing_for(waiting + u64::from(self.spare())))
            .min(self.limits.max())
            .saturating_sub(present)
    }

    /// Whether any runner of its class could serve the call.
    fn is_open(&self, call: &Call) -> bool {
        let required = matches!(call.request.affinity, Some(Affinity::Require(_)));
        !required || self.bound_to(&call.request).is_none()
    }

    fn spare(&self) -> u32 {
        self.settings.growth().runners(&Load { slots_per_runner: 1, ..Load::default() })
    }

    /// When a request would rather have the boot error.
    fn patience(&self, call: &Call) -> Instant {
        call.request.deadline.unwrap_or(call.since + self.settings.boot_timeout())
    }

    fn give_back(&mut self, request: RequestId) -> Option<RunnerSeq> {
        let (runner, in_place) = self.calls.get_mut(&request)?.granted.take()?;
        let sim = self.runners.get_mut(&runner)?;
        if in_place {
            sim.borrowed -= 1
        } else {
            sim.held -= 1
        }
        sim.idle_since = self.now;
        Some(runner)
    }

    fn boot_fails(&mut self, runner: RunnerSeq, gone: bool) {
        let Some(sim) = self.runners.get(&runner) else { return };
        if sim.life == Life::Booting {
            let (class, began, now) = (sim.class, sim.since, self.now);
            let failing =
                self.failing.entry(class).or_insert(Failing { rounds: 0, round_began: began, latest: began });
            if failing.rounds == 0 || began > failing.latest {
                failing.rounds += 1;
                failing.round_began = now;
            }
            failing.latest = now;
            self.set_life(runner, Life::Ending);
        }
        if gone {
            self.remove(runner);
        }
    }

    fn close(&mut self, runner: RunnerSeq) {
        if let Some(sim) = self.runners.get_mut(&runner) {
            sim.closed = true;
        }
        self.keys.retain(|_, bound| *bound != runner);
    }

    fn set_life(&mut self, runner: RunnerSeq, life: Life) {
        let now = self.now;
        if let Some(sim) = self.runners.get_mut(&runner) {
            (sim.life, sim.since, sim.idle_since) = (life, now, now);
        }
        self.asks.remove(&runner);
        self.keys.retain(|_, bound| *bound != runner);
    }

    fn set_stalled(&mut self, runner: RunnerSeq, stalled: bool) {
        if let Some(sim) = self.runners.get_mut(&runner) {
            sim.stalled = stalled;
        }
    }

    fn remove(&mut self, runner: RunnerSeq) {
        self.runners.remove(&runner);
        self.asks.remove(&runner);
        self.keys.retain(|_, bound| *bound != runner);
    }

    fn life(&self, runner: RunnerSeq) -> Option<Life> {
        self.runners.get(&runner).map(|sim| sim.life)
    }

    fn since(&self, runner: RunnerSeq) -> Instant {
        self.runners[&runner].since
    }
}

fn full_delay(rounds: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << (rounds - 1).min(16)).min(Duration::from_secs(30))
}
