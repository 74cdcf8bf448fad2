//! Random steps against a supervised child on real processes: kills, pauses, panics, snapshots, moves.
//!
//! The oracle sees what the child reports of itself, and what its senders and watchers hear: at most one incarnation
//! serves at a time, no message is handled twice, those of a sender keep their order, a snapshot is not lost, and each
//! watcher hears once. `FLAME_STEPS=n` runs more steps, `FLAME_SEED=n` other ones; a failure prints the seed.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use flame_actor::{Child, Down, DownReason, Pool, Restart, SendError, Watch};
use flame_tests::{
    chaos::Random,
    scribe::{Act, Deed, Do, Scribe, Write},
    support::{Process, soon, until},
    tests,
};
use rustix::process::Signal;
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};

use crate::builder;

tests![random_steps_keep_every_promise_of_supervision];

async fn random_steps_keep_every_promise_of_supervision() {
    let seed = number_from_env("FLAME_SEED").unwrap_or(4);
    let steps = number_from_env("FLAME_STEPS").unwrap_or(300);
    println!("seed {seed}, {steps} steps");
    let mut world = World::new(seed).await;
    for number in 0..steps {
        let step = world.step().await;
        world.judge(&format!("seed {seed}, step {number}, {step}"));
    }
    world.end(&format!("seed {seed}, at the end")).await;
}

struct World {
    random: Random,
    pool: Pool,
    child: Child<Scribe>,
    deeds: UnboundedReceiver<Deed>,
    /// Answers under way.
    asks: JoinSet<(u64, u64, Result<u32, SendError>)>,
    watches: Vec<Watch>,
    sent: [u64; 3],
    book: Book,
    trace: Vec<String>,
}

/// What was seen so far.
#[derive(Default)]
struct Book {
    /// The process that serves, as far as it is known.
    serving: Option<u32>,
    processes: Vec<(u32, Process)>,
    handled: HashSet<(u64, u64)>,
    last: BTreeMap<u64, u64>,
    answered: usize,
    starts: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (scribe, deeds) = Scribe::new();
        let pool = builder("steps").start().unwrap();
        let placing = pool.place_child(scribe).restart(Restart::Permanent);
        let child = placing.intensity(100_000, Duration::from_secs(1)).await.unwrap();
        Self {
            random: Random::new(seed),
            pool,
            child,
            deeds,
            asks: JoinSet::new(),
            watches: Vec::new(),
            sent: [0; 3],
            book: Book::default(),
            trace: Vec::new(),
        }
    }

    async fn step(&mut self) -> String {
        let kind = self.random.below(100);
        if (50..83).contains(&kind) {
            // Harm is done to one that serves.
            self.until_served(kind).await;
        }
        let serving = self.book.serving;
        let step = match kind {
            0..50 => {
                let sender = self.random.below(3);
                for _ in 0..=self.random.below(5) {
                    self.send(sender);
                }
                format!("sender {sender} sends")
            }
            50..58 => self.signal(serving, Signal::KILL),
            58..64 => {
                let step = self.signal(serving, Signal::STOP);
                // Some are shorter than the lease, some longer.
                tokio::time::sleep(Duration::from_millis(self.random.below(1800))).await;
                self.signal(serving, Signal::CONT);
                step
            }
            64..70 => {
                self.child.do_send(Do::Panic("by chance".into()));
                "panic".into()
            }
            70..74 => {
                self.child.do_send(Do::Stop);
                "stop".into()
            }
            74..80 => {
                self.child.do_send(Do::Publish);
                "publish".into()
            }
            80..83 => self.signal(serving, Signal::TERM),
            83..88 => {
                self.watches.push(self.child.watch());
                "watch".into()
            }
            _ => {
                let time = Duration::from_millis(self.random.below(120));
                tokio::time::sleep(time).await;
                format!("wait {time:?}")
            }
        };
        // Words under way arrive.
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.trace.push(step.clone());
        step
    }

    async fn until_served(&mut self, kind: u64) {
        while self.book.serving.is_none() {
            let deed = soon(self.deeds.recv()).await.unwrap();
            self.book.see(&deed, &format!("before a step of kind {kind}"), &self.trace);
        }
    }

    fn send(&mut self, sender: u64) {
        let number = self.sent[sender as usize];
        self.sent[sender as usize] += 1;
        let ask = self.child.send(Write { sender, number });
        self.asks.spawn_local(async move { (sender, number, ask.await) });
    }

    fn signal(&self, pid: Option<u32>, signal: Signal) -> String {
        let known = pid.and_then(|pid| self.book.processes.iter().find(|(known, _)| *known == pid));
        if let Some((_, process)) = known {
            process.signal(signal);
        }
        format!("{signal:?} to {pid:?}")
    }

    fn judge(&mut self, at: &str) {
        while let Ok(deed) = self.deeds.try_recv() {
            self.book.see(&deed, at, &self.trace);
        }
        while let Some(outcome) = self.asks.try_join_next() {
            self.book.hear(outcome.unwrap(), at);
        }
        for watch in &mut self.watches {
            let down = futures_util::FutureExt::now_or_never(watch);
            assert!(down.is_none(), "{at}: {down:?}, and the child is permanent");
        }
    }

    async fn end(&mut self, at: &str) {
        let last = soon(async {
            loop {
                if let Ok(pid) = self.child.send(Write { sender: 9, number: self.book.starts as u64 }).await {
                    return pid;
                }
                self.book.starts += 1;
            }
        })
        .await;
        while let Some(outcome) = soon(self.asks.join_next()).await {
            self.book.hear(outcome.unwrap(), at);
        }
        self.judge(at);
        assert_eq!(self.book.serving, Some(last), "{at}");
        let sent: u64 = self.sent.iter().sum();
        assert_eq!(self.book.answered as u64, sent, "{at}: each ask has one outcome");
        println!("{sent} messages, {} handled, {} incarnations", self.book.handled.len(), self.book.starts);
        assert!(self.book.handled.len() as u64 > sent / 3, "{at}: most were handled");
        let (scribe, _) = Scribe::new();
        let owner = std::mem::replace(&mut self.child, self.pool.place_child(scribe).await.unwrap());
        drop(owner);
        for watch in std::mem::take(&mut self.watches) {
            let Down { reason, .. } = soon(watch).await;
            assert_eq!(reason, DownReason::Stopped, "{at}");
        }
        until("one slot is held", || self.pool.inspect().held == 1).await;
    }
}

impl Book {
    fn see(&mut self, deed: &Deed, at: &str, trace: &[String]) {
        let Deed { pid, act } = deed;
        match act {
            Act::Started(_) => {
                self.starts += 1;
                // On the same runner only after the end of the last; on another only when that runner is gone, or it
                // has told of the end.
                if let Some(before) = self.serving.filter(|before| before != pid) {
                    let gone = self.processes.iter().find(|(known, _)| *known == before);
                    assert!(
                        gone.is_none_or(|(_, process)| process.is_gone()),
                        "{at}: {pid} starts while {before} may serve\n{}",
                        trace.join("\n")
                    );
                }
                self.serving = Some(*pid);
                if !self.processes.iter().any(|(known, _)| known == pid) {
                    self.processes.push((*pid, Process::of(*pid)));
                }
            }
            Act::Wrote(sender, number) => {
                assert_eq!(self.serving, Some(*pid), "{at}: {deed:?} of one that does not serve");
                assert!(self.handled.insert((*sender, *number)), "{at}: {deed:?} is handled twice");
                let last = self.last.insert(*sender, *number);
                assert!(last.is_none_or(|last| last < *number), "{at}: {deed:?} after {last:?}");
            }
            Act::Stopped => {
                if self.serving == Some(*pid) {
                    self.serving = None;
                }
            }
            Act::Stopping => {}
        }
    }

    fn hear(&mut self, (sender, number, outcome): (u64, u64, Result<u32, SendError>), at: &str) {
        self.answered += 1;
        match outcome {
            Ok(_) | Err(SendError::NodeLost { .. } | SendError::Gone(_) | SendError::NoReply) => {}
            Err(error) => panic!("{at}: message {number} of {sender}: {error:?}"),
        }
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
