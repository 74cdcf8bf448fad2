//! Those who wait for one end.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Notify;
use crate::remote::DownReason;

/// Those who wait for one end, each under a number, and told once.
#[derive(Default)]
pub(crate) struct Vigil(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Notify>,
    end: Option<DownReason>,
}

impl Vigil {
    /// Someone comes to wait. `None` if there is nothing to wait for any more, and it was told so.
    pub(crate) fn add(&self, notify: Notify) -> Option<u64> {
        let mut state = self.state();
        match state.end.clone() {
            None => {
                state.last += 1;
                let number = state.last;
                state.waiting.insert(number, notify);
                Some(number)
            }
            Some(reason) => {
                drop(state);
                notify.tell(reason);
                None
            }
        }
    }

    /// Someone goes, to be told by whoever takes it, or not at all.
    pub(crate) fn take(&self, number: u64) -> Option<Notify> {
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
        waiting.into_values().for_each(|notify| notify.tell(reason.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
