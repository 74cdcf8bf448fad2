//! Why a placed actor ended, and who is told.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    remote::{DownReason, cut},
    watch::{EndWatch, Notify, vigil::Vigil},
};

/// Why a placed actor ended, known once it has.
#[derive(Clone, Default)]
pub(crate) struct Fate(Arc<State>);

#[derive(Default)]
struct State {
    reason: Mutex<Option<DownReason>>,
    vigil: Vigil,
}

impl Fate {
    /// The first reason stands.
    pub(crate) fn set(&self, reason: DownReason) {
        // It has to fit into a notice.
        let reason = match reason {
            DownReason::Panicked { message } => DownReason::Panicked { message: cut(message) },
            other => other,
        };
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    pub(crate) fn get(&self) -> DownReason {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(DownReason::Stopped)
    }

    /// Has someone told when the actor has ended.
    pub(crate) fn watch(&self, notify: Notify) -> EndWatch {
        let Some(number) = self.0.vigil.add((), notify) else { return Box::new(|| {}) };
        let fate = Arc::downgrade(&self.0);
        Box::new(move || {
            if let Some(fate) = fate.upgrade() {
                drop(fate.vigil.take(number));
            }
        })
    }

    /// The actor has ended.
    pub(crate) fn end(&self) {
        self.0.vigil.end(&self.get());
    }
}
