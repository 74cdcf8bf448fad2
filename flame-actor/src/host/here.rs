//! The runner that the calling code works for. With the in-process backend there are several in a process.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
};

use super::Host;

thread_local! {
    static HERE: RefCell<Option<Arc<Host>>> = const { RefCell::new(None) };
}

/// The one of a process that is a runner, for threads that the user's code has started itself.
static OF_PROCESS: OnceLock<Arc<Host>> = OnceLock::new();

/// Has this thread's code run for a runner from now on.
pub(crate) fn enter(host: Arc<Host>) {
    HERE.set(Some(host));
}

/// Has the code of this whole process run for a runner.
pub(crate) fn enter_process(host: Arc<Host>) {
    // A process is a runner once.
    let _ = OF_PROCESS.set(host);
}

/// The runner that the calling code runs on; `None` in a parent.
pub(crate) fn here() -> Option<Arc<Host>> {
    // Gone while the thread ends, when destructors of the user's may still ask.
    let here = HERE.try_with(|here| here.borrow().clone()).ok().flatten();
    here.or_else(|| OF_PROCESS.get().cloned())
}
