//! The contract of a pool, row by row, over real processes.
//!
//! Runners, and the parents that get signals, are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod cancel;
mod casts;
mod draining;
mod errors;
mod growth;
mod keys;
mod options;
mod policies;
mod retry;

use std::process::ExitCode;

use flame_actor::{Pool, PoolBuilder};

fn main() -> ExitCode {
    flame_tests::support::main(
        flame_tests::support::apps,
        [
            draining::tests(),
            options::tests(),
            growth::tests(),
            policies::tests(),
            retry::tests(),
            keys::tests(),
            errors::tests(),
            cancel::tests(),
            casts::tests(),
        ],
    )
}

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
