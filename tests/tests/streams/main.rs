//! The promises of streams, tracked results and contexts over child processes: real files, real memory, real signals.
//!
//! Runners, and parents that are killed or measured, are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod blocks;
mod context;
mod endings;
mod kills;
mod memory;
mod pressure;
mod runners;
mod tracked;
mod values;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    let apps = |name: &str, args: &[String]| match name {
        "measured" => flame_tests::support::run(memory::measured(args)),
        "endless" => flame_tests::support::run(kills::endless()),
        other => panic!("no such app: {other}"),
    };
    let tests = [
        memory::tests(),
        kills::tests(),
        runners::tests(),
        values::tests(),
        pressure::tests(),
        endings::tests(),
        tracked::tests(),
        context::tests(),
        blocks::tests(),
    ];
    flame_tests::support::main(apps, tests)
}
