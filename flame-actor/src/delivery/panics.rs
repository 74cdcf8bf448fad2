//! The words of panics, for those that nobody but tokio sees: in a future that a handler returned, which runs as a task
//! of its own.

use std::{any::Any, cell::RefCell, panic, sync::Once};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers the words of each panic on its own thread, in front of the hook that is there. Done once for the process.
pub(crate) fn remember() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let words = words_of(info.payload());
            // A panic while the slot is in use must not become another.
            let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(words)));
            before(info);
        }));
    });
}

/// The words of this thread's last panic, once.
pub(crate) fn take_last() -> Option<String> {
    LAST.take()
}

/// What was given to `panic!`.
pub(crate) fn words_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}
