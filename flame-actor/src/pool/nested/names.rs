//! The pools of this process, by name.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Away, Site};
use crate::{
    host,
    pool::{Core, Handle},
};

/// No pool of this name is open in this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no pool called {name:?} is open in this process: start it first, and keep a handle on it")]
pub struct UnknownPool {
    /// The name.
    pub name: String,
}

/// The oldest first. Handles own their pools, so none is owned here.
static POOLS: Mutex<Vec<Weak<Handle>>> = Mutex::new(Vec::new());

/// Makes a pool known by its name.
pub(in crate::pool) fn enter(handle: &Arc<Handle>) {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(handle));
}

/// A handle on the pool of this name: of this process, or, on a runner, of its parent.
pub(in crate::pool) fn named(name: &str) -> Result<Arc<Handle>, UnknownPool> {
    if let Some(host) = host::here() {
        let away = Arc::new(Away::new(name, host));
        return Ok(Arc::new(Handle { site: Site::Away(away) }));
    }
    latest(name, |_| true).ok_or_else(|| UnknownPool { name: name.to_owned() })
}

/// The pool of this name that belongs to the same parent as the pool of the runner which asks for it.
pub(super) fn beside(of_runner: &Arc<Core>, name: &str) -> Option<Arc<Core>> {
    // Its own pool is there for it also while that drains.
    if of_runner.name() == name {
        return Some(Arc::clone(of_runner));
    }
    let handle = latest(name, |core| Arc::ptr_eq(&core.parent, &of_runner.parent))?;
    match &handle.site {
        Site::Here(core) => Some(Arc::clone(core)),
        Site::Away(_) => None,
    }
}

fn latest(name: &str, is_wanted: impl Fn(&Core) -> bool) -> Option<Arc<Handle>> {
    // Handles are dropped outside of the lock: the last one drains its pool.
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    pools.iter().rev().filter_map(Weak::upgrade).find(|handle| match &handle.site {
        Site::Here(core) => core.name() == name && core.is_open() && is_wanted(core),
        Site::Away(_) => false,
    })
}
