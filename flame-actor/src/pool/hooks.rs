//! The callbacks of a pool.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::machine::PoolEvent;

/// What the user wants called when the pool grows and shrinks.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) grow_start: Option<Hook>,
    pub(super) grow_end: Option<Hook>,
    pub(super) shrink: Option<Hook>,
}

pub(super) type Hook = Box<dyn Fn(&PoolEvent) + Send + Sync>;

impl Hooks {
    /// Calls the one that the event is for. One that panics harms nothing.
    pub(super) fn call(&self, event: &PoolEvent) {
        let hook = match event {
            PoolEvent::GrowStarted { .. } => &self.grow_start,
            PoolEvent::Grown { .. } | PoolEvent::BootFailed { .. } => &self.grow_end,
            PoolEvent::Shrunk { .. } | PoolEvent::Leaked { .. } => &self.shrink,
            _ => &None,
        };
        if let Some(hook) = hook
            && catch_unwind(AssertUnwindSafe(|| hook(event))).is_err()
        {
            tracing::error!(target: "flame::pool", ?event, "a callback of the pool panicked");
        }
    }
}
