//! References to actors of other processes: from runner to runner through the parent, and by name.
//!
//! Runners are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod actors;
mod beside;
mod names;
mod nested;
mod relays;

use std::process::ExitCode;

use flame_actor::{Pool, PoolBuilder};

fn main() -> ExitCode {
    flame_tests::support::main(apps, [relays::tests(), names::tests(), beside::tests(), nested::tests()])
}

/// What this executable is when a test starts it as an app.
fn apps(name: &str, args: &[String]) {
    match (name, args) {
        ("looks-up", [file]) => actix::System::new().block_on(names::look_up_in_a_runner(file)),
        other => panic!("no such app: {other:?}"),
    }
}

/// A pool of one runner, which is a child process.
fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1)
}

fn pool(name: &str) -> Pool {
    builder(name).start().unwrap()
}
