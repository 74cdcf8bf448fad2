//! The promises of pools over child processes: real processes, real signals.
//!
//! Runners are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod health;
mod logs;
mod losses;
mod runners;
mod support;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if let Some(runner) = flame_actor::runner() {
        actix::System::new().block_on(runner.serve());
        return;
    }
    support::capture_logs();
    let tests = [health::tests(), logs::tests(), losses::tests(), runners::tests()];
    let trials: Vec<Trial> = tests.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
