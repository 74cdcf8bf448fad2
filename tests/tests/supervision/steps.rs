//! Random steps against a supervised child on real processes: kills, pauses, panics, snapshots, moves.
//!
//! The oracle sees what the child reports of itself and when, by the clock that all processes share, and what its senders and
//! watchers hear: no incarnation handles anything once a later one has started, no message is handled twice, those of a
//! sender keep their order, each ask has one outcome, and each watcher hears once. `FLAME_STEPS=n` runs more steps,
//! `FLAME_SEED=n` other ones; a failure prints the seed.

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
use futures_util::FutureExt;
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
        world.look(&format!("seed {seed}, step {number}, {step}"));
    }
    world.end(&format!("seed {seed}")).await;
}

struct World {
    random: Random,
    pool: Pool,
    child: Child<Scribe>,
    deeds: UnboundedReceiver<Deed>,
    seen: Vec<Deed>,
    /// Where it started last; `None` when that was killed.
    serving: Option<Process>,
    /// Answers under way.
    asks: JoinSet<Result<u32, SendError>>,
    answered: usize,
    watches: Vec<Watch>,
    sent: [u64; 3],
}

impl World {
    async fn new(seed: u64) -> Self {
        let (scribe, deeds) = Scribe::new();
        let pool = builder("steps").start().unwrap();
        let placing = pool.place_child(scribe).restart(Restart::Permanent);
        let child = placing.intensity(100_000, Duration::from_millis(300)).await.unwrap();
        Self {
            random: Random::new(seed),
            pool,
            child,
            deeds,
            seen: Vec::new(),
            serving: None,
            asks: JoinSet::new(),
            answered: 0,
            watches: Vec::new(),
            sent: [0; 3],
        }
    }

    async fn step(&mut self) -> &'static str {
        match self.random.below(100) {
            0..45 => {
                let sender = self.random.below(3);
                for _ in 0..=self.random.below(5) {
                    self.send(sender);
                }
                // Some have been handled when the next step comes, and some have not.
                tokio::time::sleep(Duration::from_millis(self.random.below(40))).await;
                "send"
            }
            45..57 => {
                self.until_served().await;
                if self.random.below(2) == 0 {
                    // What waited for it has been handled when it goes, and else may be under way.
                    let _ = soon(self.child.send(Write { sender: 9, number: 0 })).await;
                }
                if let Some(process) = self.serving.take() {
                    process.signal(Signal::KILL);
                }
                "kill"
            }
            57..63 => {
                self.until_served().await;
                if let Some(process) = &self.serving {
                    process.signal(Signal::STOP);
                    // Some pauses are shorter than the lease, some longer.
                    let pause = if self.random.below(4) == 0 { 3500 } else { self.random.below(500) };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    process.signal(Signal::CONT);
                }
                "pause"
            }
            63..67 => {
                self.until_served().await;
                if let Some(process) = &self.serving {
                    process.signal(Signal::TERM);
                }
                "move"
            }
            67..72 => {
                self.child.do_send(Do::Panic("by chance".into()));
                "panic"
            }
            72..76 => {
                self.child.do_send(Do::Stop);
                "stop"
            }
            76..82 => {
                self.child.do_send(Do::Publish);
                "publish"
            }
            82..87 => {
                self.watches.push(self.child.watch());
                "watch"
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(self.random.below(100))).await;
                "wait"
            }
        }
    }

    fn send(&mut self, sender: u64) {
        let number = self.sent[sender as usize];
        self.sent[sender as usize] += 1;
        self.asks.spawn_local(self.child.send(Write { sender, number }));
    }

    async fn until_served(&mut self) {
        while self.serving.is_none() {
            let deed = soon(self.deeds.recv()).await.unwrap();
            self.see(deed);
        }
    }

    fn see(&mut self, deed: Deed) {
        if let Act::Started(_) = deed.act {
            self.serving = Some(Process::of(deed.pid));
        }
        self.seen.push(deed);
    }

    fn look(&mut self, at: &str) {
        while let Ok(deed) = self.deeds.try_recv() {
            self.see(deed);
        }
        while let Some(outcome) = self.asks.try_join_next() {
            self.hear(outcome.unwrap(), at);
        }
        for watch in &mut self.watches {
            let down = watch.now_or_never();
            assert!(down.is_none(), "{at}: {down:?}, and the child is permanent");
        }
    }

    fn hear(&mut self, outcome: Result<u32, SendError>, at: &str) {
        self.answered += 1;
        match outcome {
            Ok(_) | Err(SendError::NodeLost { .. } | SendError::NoReply) => {}
            Err(error) => panic!("{at}: {error:?}"),
        }
    }

    async fn end(mut self, at: &str) {
        // It serves, whatever happened to it.
        soon(async { while self.child.send(Write { sender: 9, number: 0 }).await.is_err() {} }).await;
        while let Some(outcome) = soon(self.asks.join_next()).await {
            self.hear(outcome.unwrap(), at);
        }
        self.look(at);
        let sent: u64 = self.sent.iter().sum();
        assert_eq!(self.answered as u64, sent, "{at}: each ask has one outcome");
        let Self { child, watches, pool, .. } = self;
        drop(child);
        for watch in watches {
            let Down { reason, .. } = soon(watch).await;
            assert_eq!(reason, DownReason::Stopped, "{at}");
        }
        until("no slot is held", || pool.inspect().held == 0).await;
        judge(self.seen, sent, at);
    }
}

/// Judges all that was done, in the order of time.
fn judge(mut deeds: Vec<Deed>, sent: u64, at: &str) {
    deeds.sort_by_key(|deed| deed.at);
    let (mut serving, mut starts) = (None, 0);
    let mut handled = HashSet::new();
    let mut last = BTreeMap::new();
    for Deed { pid, act, .. } in &deeds {
        match act {
            Act::Started(_) => {
                serving = Some(*pid);
                starts += 1;
            }
            Act::Wrote(9, _) => {}
            Act::Wrote(sender, number) => {
                assert_eq!(serving, Some(*pid), "{at}: {act:?} by {pid} after a later one has started");
                assert!(handled.insert((*sender, *number)), "{at}: {act:?} is handled twice");
                let before = last.insert(*sender, *number);
                assert!(before.is_none_or(|before| before < *number), "{at}: {act:?} after {before:?}");
            }
            Act::Stopping | Act::Stopped => {}
        }
    }
    println!("{sent} messages, {} of them handled, by {starts} incarnations", handled.len());
    assert!(starts > 10 && handled.len() > 50, "{at}: too little has happened to judge by");
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
