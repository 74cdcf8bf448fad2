//! What the tests share.

pub(crate) use flame_tests::support::{begun, is_alive, log_lines, signal, soon, until};
pub(crate) use flame_tests::tests;

use flame_actor::{Pool, PoolBuilder};

/// A pool of one runner, which is a child process.
pub(crate) fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1)
}
