//! Memory that is there a thousand times, or ten.

mod actors;
mod calls;
pub(crate) mod links;

use std::fs;

use flame_actor::{Child, Pool};

use super::{
    Row,
    resident::{Resident, Where},
};

/// How many actors are placed, and calls are open, at a time.
const MANY: u32 = 10_000;

pub(super) async fn run(rounds: usize) -> Vec<Row> {
    let mut sides = Vec::new();
    for _ in 0..rounds.min(3) {
        sides.push([links::run().await, actors::run().await, calls::run().await]);
    }
    let parts =
        [("link-parent", "link-runner"), ("actor-parent", "actor-runner"), ("call-parent", "call-runner")];
    let rows = parts.iter().enumerate().flat_map(|(n, (parent, runner))| {
        let figures = |side: fn(Sides) -> f64| sides.iter().map(|sides| side(sides[n])).collect();
        [Row::part(parent, figures(|sides| sides.parent)), Row::part(runner, figures(|sides| sides.runner))]
    });
    rows.collect()
}

/// Bytes on either side, of one of many.
#[derive(Debug, Clone, Copy)]
struct Sides {
    parent: f64,
    runner: f64,
}

/// A pool of one runner, and an actor there that says which process it is.
struct Pair {
    pool: Pool,
    resident: Child<Resident>,
    runner: u32,
}

impl Pair {
    async fn start() -> Self {
        let pool =
            Pool::builder("memory").max(1).max_concurrency(2 * MANY).timeout(None).start().expect("a pool");
        let resident = pool.place_child(Resident).await.expect("a child");
        let runner = resident.send(Where).await.expect("an answer");
        Self { pool, resident, runner }
    }

    /// Its own actor first, for which a pool that stops would wait.
    async fn stop(self) {
        drop(self.resident);
        self.pool.stop().await;
    }

    fn used(&self) -> Used {
        Used { parent: used(std::process::id()), runner: used(self.runner) }
    }
}

/// Bytes in use by either process.
struct Used {
    parent: u64,
    runner: u64,
}

impl Used {
    /// The share of each of `count`, if this was before they came, and `after` then.
    fn share(&self, after: &Self, count: u32) -> Sides {
        let share = |before, after| (after as f64 - before as f64) / f64::from(count);
        Sides { parent: share(self.parent, after.parent), runner: share(self.runner, after.runner) }
    }
}

/// The bytes of memory of its own that a process has touched.
fn used(process: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("Linux");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
