//! Memory that is there a thousand times, or ten.

mod actors;
mod calls;
pub(crate) mod links;

use std::{
    env, fs,
    process::{Command, Stdio},
};

use flame_actor::{Child, Pool};
use serde::{Deserialize, Serialize};

use super::{
    Row,
    resident::{Resident, Where},
};
use crate::{cpus, net};

/// How many actors are placed, and calls are open, at a time.
const MANY: u32 = 10_000;

/// The argument that makes this executable measure one of [`KINDS`], once.
pub(crate) const ONE: &str = "memory-of";

const KINDS: [&str; 4] = ["link", NARROW, "actor", "call"];
/// A link with packets of a real network.
const NARROW: &str = "link-1452";

/// Each kind and round is a process: one would find the memory that another has left free.
pub(super) fn run(rounds: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let sides: Vec<_> = (0..rounds.min(3)).map(|_| one(kind)).collect();
        rows.push(Row::part(&format!("{kind}-parent"), sides.iter().map(|sides| sides.parent).collect()));
        rows.push(Row::part(&format!("{kind}-runner"), sides.iter().map(|sides| sides.runner).collect()));
    }
    rows
}

fn one(kind: &str) -> Sides {
    let mut command = Command::new(env::current_exe().expect("this executable"));
    if kind == NARROW {
        net::narrow(&mut command);
    }
    let output = command.args([ONE, kind]).stderr(Stdio::inherit()).output();
    let output = output.expect("a copy of this executable");
    assert!(output.status.success(), "{kind}: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("what it measured")
}

/// The process that measures one kind.
pub(crate) fn serve(kind: &str) {
    cpus::take_place(cpus::CALLER);
    let sides = actix::System::new().block_on(async {
        match kind {
            "link" | NARROW => links::run().await,
            "actor" => actors::run().await,
            _ => calls::run().await,
        }
    });
    println!("{}", serde_json::to_string(&sides).expect("JSON"));
}

/// Bytes on either side, of one of many.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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
