//! The long runs: a slow consumer with flat memory, and random kills.
//!
//! ```sh
//! cargo run --release -p flame-tests --bin soak                  # ten minutes each, one after the other
//! cargo run --release -p flame-tests --bin soak -- --seconds 60 --seed 7 --only kills
//! ```
//!
//! Says what it found, ends with PASS or FAIL, and with exit code 0 or 1.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::System;
use clap::{Parser, ValueEnum};
use flame_tests::{
    chaos::{self, Plan},
    slow,
    support::Findings,
};

/// Long runs against a pool of real processes.
#[derive(Parser)]
struct Options {
    /// How long each run takes.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The seed of the random steps; another one each time if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// One run alone.
    #[arg(long)]
    only: Option<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Run {
    /// A consumer that is slower than those who send to it.
    SlowConsumer,
    /// Runners killed at random under load.
    Kills,
    /// Everything that may happen, at random. Not among the two that run without this option.
    Mixed,
}

fn main() -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        System::new().block_on(runner.serve());
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let time = Duration::from_secs(options.seconds);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seed = options.seed.unwrap_or_else(now);
    let mut failed = false;
    for run in options.only.map_or(vec![Run::SlowConsumer, Run::Kills], |run| vec![run]) {
        println!("== {run:?}, {} s", options.seconds);
        let findings: Box<dyn Findings> = match run {
            Run::SlowConsumer => Box::new(System::new().block_on(slow::run(time))),
            Run::Kills => Box::new(System::new().block_on(chaos::run(Plan::kills(seed, time)))),
            Run::Mixed => Box::new(System::new().block_on(chaos::run(Plan::mixed_for(seed, time)))),
        };
        println!("{findings}");
        println!("{} problems", findings.problems().len());
        findings.problems().iter().take(50).for_each(|problem| println!("PROBLEM {problem}"));
        failed |= !findings.problems().is_empty();
    }
    println!("{}", if failed { "FAIL" } else { "PASS" });
    ExitCode::from(u8::from(failed))
}
