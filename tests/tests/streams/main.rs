//! The promises of streams and tracked results over child processes: real files, real memory, real signals.
//!
//! Runners, and parents that are killed or measured, are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod kills;
mod memory;
mod runners;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    let apps = |name: &str, args: &[String]| match name {
        "measured" => flame_tests::support::run(memory::measured(args)),
        "endless" => flame_tests::support::run(kills::endless()),
        other => panic!("no such app: {other}"),
    };
    flame_tests::support::main(apps, [memory::tests(), kills::tests(), runners::tests()])
}
