//! One short story for each promise of the machine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

mod growth;
mod lifetimes;
mod placing;

use super::*;
use crate::pool::settings::PoolOptions;

/// A machine, a clock, and the actions that were not looked at yet.
struct Pool {
    machine: Machine,
    start: Instant,
    now: Instant,
    actions: Vec<Action>,
}

impl Pool {
    fn new(options: PoolOptions) -> Self {
        let start = Instant::now();
        let mut pool = Self {
            machine: Machine::new(options.validate().unwrap(), 1),
            start,
            now: start,
            actions: Vec::new(),
        };
        pool.feed(Event::Tick);
        pool
    }

    fn feed(&mut self, event: Event) -> &mut Self {
        self.machine.on(event, self.now, &mut self.actions);
        self
    }

    fn request(&mut self, id: u64) -> &mut Self {
        self.feed(Event::Request(Request::new(RequestId(id))))
    }

    fn request_within(&mut self, id: u64, time: Duration) -> &mut Self {
        self.feed(Event::Request(Request { deadline: Some(self.now + time), ..Request::new(RequestId(id)) }))
    }

    fn keyed(&mut self, id: u64, affinity: Affinity) -> &mut Self {
        self.feed(Event::Request(Request { affinity: Some(affinity), ..Request::new(RequestId(id)) }))
    }

    fn of_class(&mut self, id: u64, class: u32) -> &mut Self {
        self.feed(Event::Request(Request { class: ResourceClass(class), ..Request::new(RequestId(id)) }))
    }

    fn join(&mut self, runner: u64) -> &mut Self {
        self.feed(Event::Joined(RunnerSeq(runner)))
    }

    fn gone(&mut self, runner: u64) -> &mut Self {
        self.feed(Event::Gone(RunnerSeq(runner)))
    }

    fn release(&mut self, id: u64) -> &mut Self {
        self.feed(Event::Release { request: RequestId(id), reusable: true })
    }

    fn boot_fails(&mut self, runner: u64) -> &mut Self {
        let error = BootFailure(Arc::new(std::io::Error::other("no such image")));
        self.feed(Event::BootFailed { runner: RunnerSeq(runner), error, gone: true })
    }

    /// Lets time pass, with each wake-up on time.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        while let Some(wake) = self.machine.next_wake().filter(|&wake| wake <= until) {
            self.now = self.now.max(wake);
            self.feed(Event::Tick);
            assert!(
                self.machine.next_wake().is_none_or(|wake| wake > self.now),
                "it wants to be woken for ever"
            );
        }
        self.now = until;
        self
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn boots(&mut self) -> Vec<u64> {
        let boot = |action| match action {
            Action::Boot { runner, .. } => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(boot).collect()
    }

    fn grants(&mut self) -> Vec<(u64, u64)> {
        let grant = |action| match action {
            Action::Grant { request, runner, .. } => Some((request.0, runner.0)),
            _ => None,
        };
        self.take().into_iter().filter_map(grant).collect()
    }

    fn retired(&mut self) -> Vec<u64> {
        let retired = |action| match action {
            Action::Retire(runner) => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(retired).collect()
    }

    fn cleared(&mut self) -> Vec<u64> {
        let cleared = |action| match action {
            Action::Clear(runner) => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(cleared).collect()
    }

    fn terminated(&mut self) -> Vec<u64> {
        let terminated = |action| match action {
            Action::Terminate(runner) => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(terminated).collect()
    }

    fn failures(&mut self) -> Vec<(u64, Failure)> {
        let failure = |action| match action {
            Action::Fail { request, failure } => Some((request.0, failure)),
            _ => None,
        };
        self.take().into_iter().filter_map(failure).collect()
    }

    fn verdict(&self) -> GrowthVerdict {
        self.machine.inspect(self.now).growth[0].1.clone()
    }
}

fn small(max: u32) -> PoolOptions {
    PoolOptions::new("p").max(max).max_concurrency(1)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
