//! What is printed.

use clap::ValueEnum;
use serde_json::json;

use crate::{duel::Mode, workload::Sample};

/// What the rounds of one workload have shown.
pub(crate) struct Outcome {
    pub(crate) workload: String,
    pub(crate) unit: String,
    pub(crate) mode: Mode,
    /// Of each who took part, ourselves first, one sample a round.
    pub(crate) samples: Vec<(String, Vec<Sample>)>,
}

/// What others are held against, wherever it takes part.
const LIMIT: &str = "quinn";
/// Who is held against others, and nobody against them.
const OURS: [&str; 2] = ["flame", "flame-colocated"];

/// One object a line, for each system and each baseline; for the system alone where there is no baseline.
pub(crate) fn json(outcome: &Outcome) {
    for (system, samples) in &outcome.samples {
        let baselines =
            outcome.samples.iter().filter(|(name, _)| name != system && !OURS.contains(&name.as_str()));
        let ratios: Vec<_> =
            baselines.map(|(name, theirs)| (Some(name), Some(ratio(samples, theirs)))).collect();
        let ratios = if ratios.is_empty() { vec![(None, None)] } else { ratios };
        for (baseline, ratio) in ratios {
            let line = json!({
                "workload": outcome.workload,
                "system": system,
                "mode": name(outcome.mode),
                "unit": outcome.unit,
                "median": median(samples.iter().map(|sample| sample.figure)),
                "p99": p99(samples),
                "rounds": samples.len(),
                "ratio_to": baseline,
                "ratio": ratio,
            });
            println!("{line}");
        }
    }
}

/// A line a system, with its ratio to raw QUIC, or to what is there in its place.
pub(crate) fn table(outcome: &Outcome) {
    let limit = outcome.samples.iter().find(|(name, _)| name == LIMIT);
    let baseline = limit.or(outcome.samples.get(1..).and_then(<[_]>::last));
    for (system, samples) in &outcome.samples {
        println!(
            "{:18} {:6} {:15} {:>12.1} {:8} p99 {:>8} {}",
            outcome.workload,
            name(outcome.mode),
            system,
            median(samples.iter().map(|sample| sample.figure)),
            outcome.unit,
            p99(samples).map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1}")),
            baseline.map_or_else(String::new, |(name, theirs)| {
                format!("{:>6.2} x {name}", ratio(samples, theirs))
            }),
        );
    }
}

fn name(mode: Mode) -> String {
    mode.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn ratio(ours: &[Sample], theirs: &[Sample]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.figure / theirs.figure))
}

fn p99(samples: &[Sample]) -> Option<f64> {
    let all: Option<Vec<f64>> = samples.iter().map(|sample| sample.p99).collect();
    all.map(|all| median(all.into_iter()))
}

pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
