//! What is printed.

use clap::ValueEnum;
use serde_json::json;

use crate::{
    duel::{Mode, Outcome},
    systems::System,
    workload::Sample,
};

/// One object a line, for each system and each baseline.
pub(crate) fn json(outcome: &Outcome) {
    for (system, samples) in &outcome.samples {
        for (baseline, theirs) in &outcome.samples {
            if baseline == system || matches!(baseline, System::Flame | System::FlameColocated) {
                continue;
            }
            let line = json!({
                "workload": outcome.workload.to_string(),
                "system": system.name(),
                "mode": name(outcome.mode),
                "unit": outcome.workload.unit(),
                "median": median(samples.iter().map(|sample| sample.figure)),
                "p99": p99(samples),
                "rounds": samples.len(),
                "ratio_to": baseline.name(),
                "ratio": ratio(samples, theirs),
            });
            println!("{line}");
        }
    }
}

/// A line a system, with its ratio to raw QUIC.
pub(crate) fn table(outcome: &Outcome) {
    let quinn =
        outcome.samples.iter().find(|(system, _)| *system == System::Quinn).map(|(_, samples)| samples);
    for (system, samples) in &outcome.samples {
        println!(
            "{:8} {:6} {:15} {:>12.1} {:8} p99 {:>8} {:>6} x quinn",
            outcome.workload,
            name(outcome.mode),
            system.name(),
            median(samples.iter().map(|sample| sample.figure)),
            outcome.workload.unit(),
            p99(samples).map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1}")),
            quinn.map_or_else(|| "-".to_owned(), |quinn| format!("{:.2}", ratio(samples, quinn))),
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

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
