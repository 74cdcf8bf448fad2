//! The pool, those who use it, those who harm it, and the oracle.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    process,
    rc::Rc,
    time::{Duration, Instant},
};

use actix::prelude::*;
use flame_actor::{CallError, Child, LinkConfig, Pool, pool::machine::Failure};
use rustix::process::Signal;

use super::{
    Harm, Length, Plan, Random, Report,
    witness::{Note, Scribe, Testify, Witness, chore},
};
use crate::support::{
    Fleet, Process, names_of_files, names_of_threads, open_files, resident_bytes, threads, until,
};

/// Files and threads that are made once and kept, whenever that is. What leaks with each runner is more in the end.
const ONCE: usize = 4;
/// The most runners at any time.
const MAX: u32 = 4;
/// How long a silent runner is not lost.
const IDLE: Duration = Duration::from_millis(2500);
/// The time that a call has, at most.
const LIMIT: Duration = Duration::from_secs(8);
/// How much later than at its deadline a call may end on a busy machine.
const LATE: Duration = Duration::from_secs(2);
const SHUTDOWN: Duration = Duration::from_secs(4);

pub(super) struct World {
    plan: Plan,
    random: Random,
    pool: Pool,
    fleet: Fleet,
    witness: Addr<Witness>,
    scribes: Vec<Subject>,
    /// Processes that are paused, each with who lets it go on.
    paused: Vec<(u32, tokio::task::JoinHandle<()>)>,
    shared: Rc<RefCell<Shared>>,
    under_way: Vec<tokio::task::JoinHandle<()>>,
    next: u64,
    files: usize,
    threads: usize,
    report: Report,
}

/// What calls that end leave.
#[derive(Default)]
struct Shared {
    outcomes: BTreeMap<String, u64>,
    /// Calls that returned, and the processes that they ran in.
    returned: BTreeMap<u64, u32>,
    /// Runners that were killed, or paused longer than is allowed.
    hit: BTreeSet<String>,
    problems: Vec<String>,
}

/// A placed actor, and how many messages were sent to it.
struct Subject {
    child: Child<Scribe>,
    sent: u64,
}

impl World {
    pub(super) async fn new(plan: &Plan) -> Self {
        // What is made once and kept is made before anything is counted.
        let first = Pool::builder("first").max(1).start().unwrap();
        let pid = first.call(crate::process_id::task()).await.unwrap();
        Process::of(pid).signal(Signal::KILL);
        while first.call(crate::process_id::task()).await.is_err() {}
        first.stop().await;
        drop(first);
        // The threads of its links end behind it: they must not count as what was there before.
        let is_of_links = |name: &String| name.starts_with("parent-");
        until("they have ended", || !names_of_threads(process::id()).iter().any(is_of_links)).await;
        let (files, threads) = (open_files(process::id()) + ONCE, threads(process::id()) + ONCE);

        let fleet = Fleet::new();
        let link = LinkConfig::default()
            .with_ping_interval(Duration::from_millis(400))
            .with_idle_timeout(IDLE)
            .with_lease(IDLE);
        let pool = Pool::builder("chaos")
            .max(MAX)
            .max_concurrency(4)
            .timeout(if plan.harm == Harm::Kills { Duration::from_secs(30) } else { LIMIT })
            .boot_timeout(Duration::from_secs(10))
            .shutdown_timeout(SHUTDOWN)
            .idle_shutdown_after(Duration::from_millis(700))
            .link(link)
            .backend(fleet.clone());
        Self {
            plan: plan.clone(),
            random: Random::new(plan.seed),
            pool: pool.start().unwrap(),
            fleet,
            witness: Witness::default().start(),
            scribes: Vec::new(),
            paused: Vec::new(),
            shared: Rc::default(),
            under_way: Vec::new(),
            next: 0,
            files,
            threads,
            report: Report { seed: plan.seed, ..Report::default() },
        }
    }

    pub(super) async fn live(&mut self) {
        let start = Instant::now();
        let mut sampled = 0;
        loop {
            let over = match self.plan.length {
                Length::Steps(steps) => self.report.steps >= steps,
                Length::Time(time) => start.elapsed() >= time,
            };
            if over {
                break;
            }
            self.step().await;
            self.report.steps += 1;
            self.under_way.retain(|call| !call.is_finished());
            self.paused.retain(|(_, resume)| !resume.is_finished());
            let every = match self.plan.length {
                Length::Steps(_) => 1,
                Length::Time(time) => (time.as_secs() / 30).max(1),
            };
            if start.elapsed().as_secs() >= sampled {
                sampled += every;
                self.report.memory.push(resident_bytes(process::id()) >> 20);
            }
        }
        self.report.took = start.elapsed();
    }

    async fn step(&mut self) {
        let what = self.random.below(100);
        match self.plan.harm {
            // About thirty calls and one kill in a second: boots are a few tenths of that.
            Harm::Kills if what < 50 => self.call(None),
            Harm::Kills if what < 52 => self.kill(),
            Harm::Kills => self.wait(80).await,
            Harm::Mixed => match what {
                0..32 => self.call(None),
                32..38 => {
                    let patience = self.random.below(200);
                    self.call(Some(Duration::from_millis(patience)));
                }
                38..44 => self.cast(),
                44..50 => self.place().await,
                50..62 => self.write(),
                62..66 => self.let_go(),
                66..69 => self.kill(),
                69..72 => self.pause(),
                72..75 => self.tell_to_go(),
                75..77 => self.resize(),
                _ => self.wait(120).await,
            },
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.report.counts.entry(what).or_default() += 1;
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A call, given up after a time if there is one.
    fn call(&mut self, give_up_after: Option<Duration>) {
        self.count(if give_up_after.is_some() { "cancelled calls" } else { "calls" });
        let (id, ms) = (self.number(), self.random.below(300));
        let limit = if self.plan.harm == Harm::Kills { Duration::from_secs(30) } else { LIMIT };
        let (call, shared) = (
            self.pool.call(chore::task(id, ms, self.witness.clone().recipient().into())),
            Rc::clone(&self.shared),
        );
        self.under_way.push(actix::spawn(async move {
            let begun = Instant::now();
            let outcome = tokio::time::timeout(give_up_after.unwrap_or(limit + LATE), call).await;
            judge(
                &mut shared.borrow_mut(),
                id,
                limit,
                begun.elapsed(),
                give_up_after.is_some(),
                outcome.ok(),
            );
        }));
    }

    fn cast(&mut self) {
        self.count("casts");
        let (id, ms) = (self.number(), self.random.below(200));
        self.pool.cast(chore::task(id, ms, self.witness.clone().recipient().into()));
    }

    async fn place(&mut self) {
        if self.scribes.len() >= 4 {
            return;
        }
        self.count("placings");
        let scribe =
            Scribe { id: self.number(), witness: self.witness.clone().recipient().into(), handled: 0 };
        match tokio::time::timeout(LIMIT + LATE, self.pool.place_child(scribe)).await {
            Ok(Ok(child)) => self.scribes.push(Subject { child, sent: 0 }),
            Ok(Err(error)) => {
                let kind = format!("place {}", kind(&error.reason));
                *self.shared.borrow_mut().outcomes.entry(kind).or_default() += 1;
            }
            Err(_) => self.report.problems.push("a placing is overdue".into()),
        }
    }

    /// Messages to an actor, told and asked.
    fn write(&mut self) {
        if self.scribes.is_empty() {
            return;
        }
        self.count("messages");
        let nth = self.random.below(self.scribes.len() as u64) as usize;
        let many = 1 + self.random.below(20);
        let subject = &mut self.scribes[nth];
        for _ in 0..many {
            subject.sent += 1;
            subject.child.do_send(Note(subject.sent));
        }
        subject.sent += 1;
        let asked = subject.child.send(Note(subject.sent));
        // Its answer is not waited for in order.
        self.under_way.push(actix::spawn(async move { drop(tokio::time::timeout(LIMIT, asked).await) }));
    }

    fn let_go(&mut self) {
        if self.scribes.is_empty() {
            return;
        }
        self.count("actors let go");
        let nth = self.random.below(self.scribes.len() as u64) as usize;
        drop(self.scribes.swap_remove(nth));
    }

    fn victim(&mut self) -> Option<(String, u32)> {
        let all = self.fleet.by_name();
        self.random.choose(&all)
    }

    fn kill(&mut self) {
        let Some((name, pid)) = self.victim() else { return };
        self.count("kills");
        self.shared.borrow_mut().hit.insert(name);
        Process::of(pid).signal(Signal::KILL);
    }

    fn pause(&mut self) {
        let Some((name, pid)) = self.victim() else { return };
        self.count("pauses");
        // Shorter than the lease is no loss, but the next of the same runner's may add up to one.
        let long = self.random.one_in(2);
        let time = if long { IDLE * 2 } else { IDLE / 5 };
        if long || self.paused.iter().any(|(other, _)| *other == pid) {
            self.shared.borrow_mut().hit.insert(name);
        }
        let process = Process::of(pid);
        process.signal(Signal::STOP);
        let resume = async move {
            tokio::time::sleep(time).await;
            process.signal(Signal::CONT);
        };
        self.paused.push((pid, actix::spawn(resume)));
    }

    /// Loses no call, so it is no harm. Those that boot may die of it, which no call hears of either.
    fn tell_to_go(&mut self) {
        let Some((_, pid)) = self.victim() else { return };
        self.count("SIGTERMs");
        Process::of(pid).signal(Signal::TERM);
    }

    fn resize(&mut self) {
        self.count("resizes");
        let max = 1 + self.random.below(u64::from(MAX)) as u32;
        let min = self.random.below(u64::from(max) + 1) as u32;
        self.pool.resize(min, max).unwrap();
    }

    async fn wait(&mut self, below: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.below(below))).await;
    }

    /// Nothing more happens to the pool: what must come of it does.
    pub(super) async fn end(mut self) -> Report {
        for (_, resume) in self.paused.drain(..) {
            let _ = resume.await;
        }
        let all = futures_util::future::join_all(std::mem::take(&mut self.under_way));
        if tokio::time::timeout(Duration::from_secs(35), all).await.is_err() {
            self.report.problems.push("calls never ended".into());
        }
        self.ask_the_scribes().await;
        drop(std::mem::take(&mut self.scribes));
        if let Err(error) = self.pool.call(crate::process_id::task()).await {
            self.report.problems.push(format!("the pool does not work in the end: {error}"));
        }
        let pool = self.pool.clone();
        let idle = move || pool.inspect().held == 0 && pool.inspect().waiting == 0;
        self.wait_for("slots are left over", Duration::from_secs(10), idle).await;
        if tokio::time::timeout(SHUTDOWN + Duration::from_secs(15), self.pool.stop()).await.is_err() {
            self.report.problems.push(format!("the pool does not stop: {:?}", self.pool.inspect()));
        }
        self.hear_the_witness().await;
        self.look_for_leaks().await
    }

    /// Where nothing was lost, nothing is missing.
    async fn ask_the_scribes(&mut self) {
        for Subject { child, sent } in &mut self.scribes {
            *sent += 1;
            let answer = tokio::time::timeout(LIMIT, child.send(Note(*sent))).await;
            let runner = child.runner();
            let runner = runner.name();
            match answer {
                Ok(Ok(handled)) if handled == *sent => {}
                Ok(Ok(handled)) => {
                    self.report
                        .problems
                        .push(format!("an actor on {runner} handled {handled} of {sent} messages"));
                }
                // Its runner was harmed, or was told to go and ended its actors after the grace.
                _ if self.shared.borrow().hit.contains(runner) => {}
                _ if self.fleet.exits().contains_key(runner) => {}
                other => {
                    self.report.problems.push(format!("an actor on {runner} does not answer: {other:?}"))
                }
            }
        }
    }

    async fn hear_the_witness(&mut self) {
        let testimony = self.witness.send(Testify).await.unwrap();
        let mut shared = self.shared.borrow_mut();
        self.report.problems.extend(testimony.complaints);
        // Also of those whose runner was lost: what a task tells goes ahead of its answer, and credit is never short here.
        for (call, runner) in &shared.returned {
            if !testimony.ran.contains_key(call) {
                self.report.problems.push(format!(
                    "call {call} returned from process {runner}, and nothing was heard of it before"
                ));
            }
        }
        self.report.problems.append(&mut shared.problems);
        self.report.outcomes = std::mem::take(&mut shared.outcomes);
    }

    async fn look_for_leaks(mut self) -> Report {
        let fleet = self.fleet.clone();
        self.wait_for("processes are left over", Duration::from_secs(5), || fleet.live() == 0).await;
        if self.fleet.most() > MAX as usize {
            self.report.problems.push(format!("{} instances at once, max is {MAX}", self.fleet.most()));
        }
        let left: Vec<u32> = crate::support::children(process::id());
        if !left.is_empty() {
            self.report.problems.push(format!("children are left over: {left:?}"));
        }
        let (files, thread_count) = (self.files, self.threads);
        let mut report = std::mem::take(&mut self.report);
        // All that holds the pool or an actor of it.
        drop(self);
        let same = move || open_files(process::id()) <= files && threads(process::id()) <= thread_count;
        let end = Instant::now() + Duration::from_secs(10);
        while !same() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let now = (open_files(process::id()), threads(process::id()));
        if now.0 > files {
            let names = names_of_files(process::id());
            report.problems.push(format!("{} files are open, {files} were before: {names:?}", now.0));
        }
        if now.1 > thread_count {
            report.problems.push(format!("there are {} threads, {thread_count} were before", now.1));
        }
        report.counts.insert("boots", fleet.boots() as u64);
        report
    }

    async fn wait_for(&mut self, problem: &str, time: Duration, is_so: impl Fn() -> bool) {
        let end = Instant::now() + time;
        while !is_so() {
            if Instant::now() >= end {
                self.report.problems.push(format!("{problem}: {:?}", self.pool.inspect()));
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A call has ended, or is given up.
fn judge(
    shared: &mut Shared,
    id: u64,
    limit: Duration,
    took: Duration,
    may_be_given_up: bool,
    outcome: Option<Result<(u64, u32), CallError>>,
) {
    let name = match &outcome {
        None => "cancelled".to_owned(),
        Some(Ok(_)) => "returned".to_owned(),
        Some(Err(error)) => kind(error),
    };
    *shared.outcomes.entry(name).or_default() += 1;
    let problem = match outcome {
        None if may_be_given_up => None,
        None => Some(format!("is there {took:?} after it began, its limit is {limit:?}")),
        Some(Ok((answer, pid))) => {
            shared.returned.insert(id, pid);
            (answer != id).then(|| format!("got the answer of call {answer}"))
        }
        Some(Err(CallError::RunnerLost(loss))) => (!shared.hit.contains(loss.runner.name()))
            .then(|| format!("says that {} is lost, to which nothing was done: {loss}", loss.runner)),
        Some(Err(CallError::Timeout { .. })) => {
            (took < limit).then(|| format!("says that its time is over after {took:?}"))
        }
        // Boots were killed again and again, and the call's time was over, or would have been.
        Some(Err(CallError::NotPlaced(failure)))
            if limit == LIMIT
                && matches!(
                    failure,
                    Failure::BootFailed { .. } | Failure::Timeout { cause: Some(_), .. }
                ) =>
        {
            None
        }
        Some(Err(error)) => Some(format!("failed: {error:?}")),
    };
    shared.problems.extend(problem.map(|problem| format!("call {id} {problem}")));
}

/// The name of an error.
fn kind(error: &impl std::fmt::Debug) -> String {
    let words = format!("{error:?}");
    words.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
