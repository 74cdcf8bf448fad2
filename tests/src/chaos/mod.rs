//! Seeded random steps against a pool of real processes: calls, casts, placings, cancels, kills, pauses, SIGTERM,
//! resizes. An oracle that sees only what users and backends see judges them.
//!
//! - Each call ends exactly once, by its deadline. Only a runner that was killed or paused is ever called lost, and
//!   what was told to go by SIGTERM loses no call.
//! - A handler runs at most once per message, a task at most once per call; messages of one sender to one actor are
//!   handled in order, and none is missing where nothing was lost.
//! - In the end nothing is left: no slot, process, thread or file; and the pool still works.
//!
//! What is done is the same for the same seed. When it happens is up to the machine.

mod random;
mod witness;
mod world;

use std::{collections::BTreeMap, fmt, time::Duration};

pub use random::Random;
use world::World;

use crate::support::Findings;

/// What is to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    seed: u64,
    length: Length,
    harm: Harm,
}

#[derive(Debug, Clone, Copy)]
enum Length {
    Steps(usize),
    Time(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Everything.
    Mixed,
    /// SIGKILL alone.
    Kills,
}

impl Plan {
    /// So many steps of everything.
    #[must_use]
    pub fn mixed(seed: u64, steps: usize) -> Self {
        Self { seed, length: Length::Steps(steps), harm: Harm::Mixed }
    }

    /// Everything, for this time.
    #[must_use]
    pub fn mixed_for(seed: u64, time: Duration) -> Self {
        Self { seed, length: Length::Time(time), harm: Harm::Mixed }
    }

    /// Calls and SIGKILLs for this time: no error but `RunnerLost` is allowed.
    #[must_use]
    pub fn kills(seed: u64, time: Duration) -> Self {
        Self { seed, length: Length::Time(time), harm: Harm::Kills }
    }
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Report {
    seed: u64,
    steps: usize,
    took: Duration,
    /// What was done, and what came of calls, by kind.
    counts: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<String, u64>,
    /// Resident megabytes over time.
    memory: Vec<u64>,
    problems: Vec<String>,
}

impl Findings for Report {
    fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} steps in {:.1} s", self.seed, self.steps, self.took.as_secs_f64())?;
        writeln!(f, "done: {:?}", self.counts)?;
        writeln!(f, "calls: {:?}", self.outcomes)?;
        write!(f, "memory of the parent, MiB over time: {:?}", self.memory)
    }
}

/// Does what is planned and judges it.
pub async fn run(plan: Plan) -> Report {
    let mut world = World::new(&plan).await;
    world.live().await;
    world.end().await
}
