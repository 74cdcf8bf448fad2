//! What has a course of its own, where `duel` has turns of a fixed time. Each is one process, so that none finds what
//! another has left.
//!
//! | module | what it measures |
//! |---|---|
//! | `cold` | the first reply of a child on an empty pool |
//! | `scale` | a pool that grows |
//! | `recover` | a child that comes back |
//! | `wire` | bytes on the wire |
//! | `memory` | memory of links, actors and calls |

mod cold;
pub(crate) mod memory;
mod recover;
mod resident;
mod scale;
mod wire;

use std::{
    env,
    process::{Command, Stdio},
    time::Instant,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    cpus,
    duel::Mode,
    report::Outcome,
    workload::{Sample, Workload},
};

/// The argument that makes this executable measure something.
pub(crate) const MEASURE: &str = "measure";

/// One figure a round, of one part of what is measured.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    /// What it is a part of, if not the whole.
    part: Option<String>,
    system: String,
    figures: Vec<f64>,
}

impl Row {
    fn whole(system: &str, figures: Vec<f64>) -> Self {
        Self { part: None, system: system.to_owned(), figures }
    }

    fn part(part: &str, figures: Vec<f64>) -> Self {
        Self { part: Some(part.to_owned()), system: "flame".to_owned(), figures }
    }
}

/// Has a process measure it; the whole and its parts, in turn.
pub(crate) fn run(workload: Workload, mode: Mode, rounds: usize) -> Vec<Outcome> {
    let _spinners = mode.spinners();
    let mut command = Command::new(env::current_exe().expect("this executable"));
    command.args([MEASURE, &workload.to_string(), &rounds.to_string()]).stderr(Stdio::inherit());
    mode.place(&mut command);
    let output = command.output().expect("a copy of this executable");
    assert!(output.status.success(), "{workload}: {}", output.status);
    let rows = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut outcomes: Vec<Outcome> = Vec::new();
    for row in rows {
        let Row { part, system, figures } = serde_json::from_slice(row).expect("a row");
        let name = part.map_or_else(|| workload.to_string(), |part| format!("{workload}-{part}"));
        let samples = figures.into_iter().map(|figure| Sample { figure, p99: None }).collect();
        match outcomes.iter_mut().find(|outcome| outcome.workload == name) {
            Some(outcome) => outcome.samples.push((system, samples)),
            None => outcomes.push(Outcome {
                workload: name,
                unit: workload.unit().to_owned(),
                mode,
                samples: vec![(system, samples)],
            }),
        }
    }
    outcomes
}

/// The process that measures; prints a row a line.
pub(crate) fn serve(workload: &str, rounds: &str) {
    cpus::take_place(cpus::CALLER);
    let workload = Workload::from_str(workload, false).expect("a workload");
    let rounds = rounds.parse().expect("a number");
    let rows = actix::System::new().block_on(async {
        match workload {
            Workload::Cold => cold::run(rounds).await,
            Workload::Scale => scale::run(rounds).await,
            Workload::Recover => recover::run(rounds).await,
            Workload::Wire => wire::run(rounds).await,
            Workload::Memory => memory::run(rounds),
            _ => unreachable!("{workload} is a matter of turns"),
        }
    });
    for row in rows {
        println!("{}", serde_json::to_string(&row).expect("JSON"));
    }
}

/// Milliseconds since then.
fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
