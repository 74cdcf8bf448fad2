//! Messages between two processes: this project beside raw QUIC, raw TCP and actix within one process.
//!
//! ```sh
//! cargo bench -p flame-tests --bench messaging -- [--json] [--quick] [--peers] [--mode pinned|free] [WORKLOAD…]
//! cargo bench -p flame-tests --bench messaging -- --plots FOLDER [--quick] [--mode pinned|free]
//! ```
//!
//! With `--peers`, what others have published takes part as well; it is built for that, which takes minutes.
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
//! | `curves` | throughput while load grows, drawn |
//! | `cpus`, `net` | where processes run, and how large their packets are |
//! | `machine` | where that was |
//! | `report` | what is printed |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on ends"
)]

mod cpus;
mod curves;
mod duel;
mod exchange;
mod machine;
mod measures;
mod net;
mod report;
mod systems;
mod workload;

use std::path::PathBuf;

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
    /// Also what others have published: ractor, telepathy, kameo and tarpc, built from `tests/peers`.
    #[arg(long)]
    peers: bool,
    /// Only this mode; without it, both.
    #[arg(long)]
    mode: Option<Mode>,
    /// Only draw how throughput goes as load grows, into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["workloads", "json", "peers"])]
    plots: Option<PathBuf>,
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
        (Some(measures::memory::ONE), Some(kind)) => return measures::memory::serve(&kind),
        (Some(measures::memory::links::LINKS), None) => return measures::memory::links::serve(),
        _ => {}
    }
    if let [Some(measures::MEASURE), Some(workload), Some(rounds)] =
        [1, 2, 3].map(|n| std::env::args().nth(n)).each_ref().map(Option::as_deref)
    {
        return measures::serve(workload, rounds);
    }
    let Options { workloads, json, quick, peers, mode, plots, bench: _ } = Options::parse();
    let rounds = if quick { 3 } else { 25 };
    if let Some(folder) = plots {
        return curves::draw(&folder, mode.unwrap_or(Mode::Pinned), rounds)
            .expect("a folder that can be written");
    }
    let workloads = if workloads.is_empty() { Workload::all() } else { workloads };
    let mut systems = System::ALL.to_vec();
    if peers {
        if let Err(error) = systems::peers::build() {
            eprintln!("{error}");
            std::process::exit(1);
        }
        systems.extend(System::PEERS);
    }
    let (alone, others): (Vec<_>, Vec<_>) = workloads.into_iter().partition(|workload| workload.is_alone());
    let (narrow, wide): (Vec<_>, Vec<_>) = others.into_iter().partition(|workload| workload.is_narrow());
    let print = if json { report::json } else { report::table };
    if !json {
        println!("{}", machine::words());
    }
    for mode in mode.map_or_else(|| Mode::ALL.to_vec(), |mode| vec![mode]) {
        for (workloads, narrow) in [(&wide, false), (&narrow, true)] {
            let mut duel = None;
            let playing = |system: &System| {
                let mut entries = workloads.iter().flat_map(|workload| workload.entries(&systems));
                entries.any(|entry| entry.system == *system)
            };
            let playing: Vec<_> = systems.iter().copied().filter(playing).collect();
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
