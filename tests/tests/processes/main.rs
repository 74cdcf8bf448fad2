//! The promises of pools over child processes: real processes, real signals.
//!
//! Runners are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod answers;
#[path = "../../../flame-actor/tests/local/chat_room/after.rs"]
mod chat_room;
mod colocated;
mod health;
mod logs;
mod losses;
mod nested;
mod runners;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let no_apps = |name: &str, _: &[String]| panic!("no such app: {name}");
    flame_tests::support::main(
        no_apps,
        [
            answers::tests(),
            colocated::tests(),
            health::tests(),
            logs::tests(),
            losses::tests(),
            nested::tests(),
            runners::tests(),
        ],
    )
}
