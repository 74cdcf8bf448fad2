//! Faults that must be survived: real processes that are killed, stopped, starved and flooded.
//!
//! In each case: every call ends once and by its deadline, a handler runs at most once per message, nothing leaks, and
//! the parent stays up. Runners, and the parents that are to be harmed, are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod boots;
mod hosts;
mod kills;
mod limits;
mod load;
mod long;
mod pauses;
mod signals;

use std::{process::ExitCode, time::Duration};

use flame_actor::{CallError, Pool, PoolBuilder};

fn main() -> ExitCode {
    flame_tests::support::main(
        flame_tests::support::apps,
        [
            // The longest first, so that none of them is left to run alone.
            long::tests(),
            load::tests(),
            pauses::tests(),
            hosts::tests(),
            boots::tests(),
            kills::tests(),
            limits::tests(),
            signals::tests(),
        ],
    )
}

/// How soon a lost runner is noticed at the latest: the idle timeout of its link and 2 s.
const D: Duration = Duration::from_secs(6);

/// A pool of one runner, which is a child process.
fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1)
}

/// All that an error says, with what caused it.
fn words(error: &dyn std::error::Error) -> String {
    let words: Vec<String> =
        std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect();
    words.join(": ")
}

fn is_lost(outcome: &Result<u32, CallError>) -> bool {
    matches!(outcome, Err(CallError::RunnerLost(_)))
}
