//! Messages between two processes: this project beside raw QUIC, raw TCP and actix within one process.
//!
//! ```sh
//! cargo bench -p flame-tests --bench messaging -- [--json] [--quick] [--mode pinned|free] [WORKLOAD…]
//! ```
//!
//! All systems run at once and take turns in slots of some 60 ms, so that a machine whose speed drifts slows all of
//! them. Each round gives a ratio of two systems; the median of the rounds is the result.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on ends"
)]

mod cpus;
mod duel;
mod exchange;
mod report;
mod systems;
mod workload;

use clap::Parser;

use duel::Mode;
use systems::System;
use workload::Workload;

/// Compares how fast messages go.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure; without any, everything.
    workloads: Vec<Workload>,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
    /// Few rounds, to see that it works; the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Only this mode; without it, both.
    #[arg(long)]
    mode: Option<Mode>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    // Runners and callers are copies of this executable.
    if let Some(runner) = flame_actor::runner() {
        cpus::take_place(cpus::CALLEE);
        return actix::System::new().block_on(runner.serve());
    }
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some(systems::CALLER), Some(system)) => return systems::call(&system),
        (Some(systems::CALLEE), Some(system)) => return systems::serve(&system),
        (Some(cpus::SPINNER), Some(cpu)) => return cpus::spin(&cpu),
        _ => {}
    }
    let Options { workloads, json, quick, mode, bench: _ } = Options::parse();
    let workloads = if workloads.is_empty() { Workload::ALL.to_vec() } else { workloads };
    let rounds = if quick { 3 } else { 25 };
    for mode in mode.map_or_else(|| Mode::ALL.to_vec(), |mode| vec![mode]) {
        let mut duel = duel::Duel::start(mode, &System::ALL);
        for &workload in &workloads {
            let outcome = duel.run(workload, rounds);
            if json { report::json(&outcome) } else { report::table(&outcome) }
        }
    }
}
