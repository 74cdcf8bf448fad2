//! Those who wait for one end.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Notify;
use crate::remote::DownReason;

/// Those who wait for one end, each under a number and with a `T`, and told once.
pub(crate) struct Vigil<T = ()>(Mutex<State<T>>);

struct State<T> {
    last: u64,
    waiting: HashMap<u64, (T, Notify)>,
    end: Option<DownReason>,
}

impl<T> Default for Vigil<T> {
    fn default() -> Self {
        Self(Mutex::new(State { last: 0, waiting: HashMap::new(), end: None }))
    }
}

impl<T> Vigil<T> {
    /// Someone comes to wait. `None` if there is nothing to wait for any more, and it was told so.
    pub(crate) fn add(&self, about: T, notify: Notify) -> Option<u64> {
        let mut state = self.state();
        match state.end.clone() {
            None => {
                state.last += 1;
                let number = state.last;
                state.waiting.insert(number, (about, notify));
                Some(number)
            }
            Some(reason) => {
                drop(state);
                notify.tell(reason);
                None
            }
        }
    }

    /// Looks at what someone came with.
    pub(crate) fn with<R>(&self, number: u64, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.state().waiting.get_mut(&number).map(|(about, _)| look(about))
    }

    /// Someone goes, to be told by whoever takes it, or not at all.
    pub(crate) fn take(&self, number: u64) -> Option<(T, Notify)> {
        self.state().waiting.remove(&number)
    }

    /// It has come. The first reason stands.
    pub(crate) fn end(&self, reason: &DownReason) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        state.end = Some(reason.clone());
        let waiting = std::mem::take(&mut state.waiting);
        // Told outside of the lock: it may lead anywhere.
        drop(state);
        waiting.into_values().for_each(|(_, notify)| notify.tell(reason.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
