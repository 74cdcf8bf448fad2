//! What the tests across processes share.
//!
//! | module | what it holds |
//! |---|---|
//! | [`work`] | actors and tasks that are placed on runners |
//! | [`support`] | how a test runs, waits, and looks at processes |
//! | [`chaos`] | seeded random steps against a pool of real processes, and the oracle that judges them |
//! | [`scribe`] | an actor that tells what happens to it |
//! | [`slow`] | a consumer that is slower than who sends to it |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

pub mod chaos;
pub mod scribe;
pub mod slow;
pub mod support;
pub mod work;

pub use work::*;
