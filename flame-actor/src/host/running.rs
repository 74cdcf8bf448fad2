//! Whether code of the user's runs just now.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether some code of the user's holds a thread at the moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<AtomicBool>);

impl Running {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Runs some of the user's code.
    pub(super) fn during<R>(&self, code: impl FnOnce() -> R) -> R {
        /// Also when it panics.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        self.0.store(true, Ordering::Release);
        let _over = Over(&self.0);
        code()
    }
}
