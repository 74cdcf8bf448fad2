//! Supervision: children that are started again when they end, on another runner if theirs is lost.
//!
//! | module | what it holds |
//! |---|---|
//! | `policy` | [`Restart`], [`Between`] |
//! | `machine` | what happens to a supervised child, as a pure state machine |

pub(crate) mod machine;
pub(crate) mod policy;

pub use policy::{Between, Restart};
