//! The runner that a thread works for. With the in-process backend there are several in a process.

use std::{cell::RefCell, sync::Arc};

use super::Host;

thread_local! {
    static HERE: RefCell<Option<Arc<Host>>> = const { RefCell::new(None) };
}

/// Has this thread's code run for a runner from now on.
pub(crate) fn enter(host: Arc<Host>) {
    HERE.set(Some(host));
}

/// The runner that the calling code runs on; `None` in a parent, and on threads that the user's code started itself.
pub(crate) fn here() -> Option<Arc<Host>> {
    // Gone while the thread ends, when destructors of the user's may still ask.
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}
