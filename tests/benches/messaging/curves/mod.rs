//! How throughput goes while load grows: curves, drawn.
//!
//! | module | what it holds |
//! |---|---|
//! | `duels` | systems that bear it in turns |
//! | `runners` | one pool that uses more and more runners |
//! | `chart` | a curve as SVG |

mod chart;
mod duels;
mod runners;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde_json::json;

use crate::{duel::Mode, report};

/// Throughput over load.
struct Curve {
    name: &'static str,
    title: &'static str,
    /// What the loads are, and how one is written.
    load: &'static str,
    write: fn(usize) -> String,
    unit: &'static str,
    loads: Vec<usize>,
    lines: Vec<Line>,
}

/// What one system has shown.
struct Line {
    system: &'static str,
    /// Of each load, one figure a round.
    figures: Vec<Vec<f64>>,
}

/// Measures the curves and puts them into `folder`, beside the numbers that they are drawn from.
pub(crate) fn draw(folder: &Path, mode: Mode, rounds: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut numbers = File::create(folder.join("curves.jsonl"))?;
    let [in_flight, sizes] = duels::run(mode, rounds);
    for curve in [in_flight, sizes, runners::run(rounds)] {
        chart::draw(&curve, &folder.join(curve.name).with_extension("svg")).map_err(io::Error::other)?;
        curve.tell(&mut numbers)?;
    }
    Ok(())
}

impl Curve {
    /// One object a line, for each system and load.
    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        for line in &self.lines {
            for (n, (load, figures)) in self.loads.iter().zip(&line.figures).enumerate() {
                let line = json!({
                    "curve": self.name,
                    "system": line.system,
                    "load": load,
                    "unit": self.unit,
                    "median": report::median(figures.iter().copied()),
                    "rounds": figures.len(),
                    "of_best_below": line.of_best_below(n),
                });
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

impl Line {
    /// In the median of the rounds, how much of the best figure of any smaller load the `n`th load has: from 1 upwards,
    /// throughput does not fall.
    fn of_best_below(&self, n: usize) -> Option<f64> {
        let (below, at) = (self.figures.get(..n)?, self.figures.get(n)?);
        let of_best = |(round, figure): (usize, &f64)| {
            let best =
                below.iter().filter_map(|figures| figures.get(round).copied()).max_by(f64::total_cmp)?;
            Some(figure / best)
        };
        let ratios: Option<Vec<f64>> = at.iter().enumerate().map(of_best).collect();
        ratios.map(|ratios| report::median(ratios.into_iter()))
    }

    /// The figure of each load.
    fn medians(&self) -> impl Iterator<Item = f64> {
        self.figures.iter().map(|figures| report::median(figures.iter().copied()))
    }
}
