//! Messages between two processes: this project beside raw QUIC, raw TCP and actix within one process.
//!
//! ```sh
//! cargo bench -p flame-tests --bench messaging -- [--json] [--quick] [--mode pinned|free] [WORKLOAD…]
//! ```
//!
//! Of most workloads all systems run at once and take turns in slots of some 60 ms, so that a machine whose speed drifts slows
//! all of them. Each round gives a ratio of two systems; the median of the rounds is the result. Boots, bytes on the wire
//! and memory have a course of their own.
//!
//! | module | what it holds |
//! |---|---|
//! | `workload` | what is measured, and who is held against whom |
//! | `duel` | systems in turns |
//! | `systems` | the systems |
//! | `exchange` | what asks and tells are measured by, in any system |
//! | `measures` | what has a course of its own |
//! | `cpus`, `net` | where processes run, and how large their packets are |
//! | `report` | what is printed |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on ends"
)]

mod cpus;
mod duel;
mod exchange;
mod measures;
mod net;
mod report;
mod systems;
mod workload;

use clap::Parser;

use duel::{Duel, Mode};
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
        (Some(measures::memory::links::LINKS), None) => return measures::memory::links::serve(),
        _ => {}
    }
    if let [Some(measures::MEASURE), Some(workload), Some(rounds)] =
        [1, 2, 3].map(|n| std::env::args().nth(n)).each_ref().map(Option::as_deref)
    {
        return measures::serve(workload, rounds);
    }
    let Options { workloads, json, quick, mode, bench: _ } = Options::parse();
    let workloads = if workloads.is_empty() { Workload::all() } else { workloads };
    let (alone, others): (Vec<_>, Vec<_>) = workloads.into_iter().partition(|workload| workload.is_alone());
    let (narrow, wide): (Vec<_>, Vec<_>) = others.into_iter().partition(|workload| workload.is_narrow());
    let rounds = if quick { 3 } else { 25 };
    let print = if json { report::json } else { report::table };
    for mode in mode.map_or_else(|| Mode::ALL.to_vec(), |mode| vec![mode]) {
        for (workloads, narrow) in [(&wide, false), (&narrow, true)] {
            let mut duel = None;
            let playing = |system: &System| {
                let mut entries = workloads.iter().flat_map(|workload| workload.entries(&System::ALL));
                entries.any(|entry| entry.system == *system)
            };
            let playing: Vec<_> = System::ALL.into_iter().filter(playing).collect();
            for &workload in workloads {
                let duel = duel.get_or_insert_with(|| Duel::start(mode, narrow, &playing));
                print(&duel.run(workload, rounds));
            }
        }
        for &workload in &alone {
            measures::run(workload, mode, rounds).iter().for_each(print);
        }
    }
}
