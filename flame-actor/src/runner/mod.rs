//! The runner's side: what a process does that was started as a runner.

pub(crate) mod guard;

pub use guard::RoleError;

// Only for the tests of this crate that need real processes; an app's role line is made from it.
#[doc(hidden)]
pub use guard::{Claimed, Guard, claim};
