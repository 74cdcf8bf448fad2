//! The one thread that starts all runners of this process and reads what they print.

use std::{
    future,
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::runtime::{Builder, Handle};

use crate::backend::BootError;

/// The thread's runtime. Tasks spawned on it run on that thread alone.
///
/// The thread lives as long as the process. It must: the kernel counts the end of the *thread* that started a process
/// as the end of that process's parent and sends the parent-death signal. It belongs to no parent or pool of this
/// process, so any number may share it.
pub(super) fn handle() -> Result<Handle, BootError> {
    static SPAWNER: Mutex<Option<Handle>> = Mutex::new(None);
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*spawner {
        return Ok(handle.clone());
    }
    let failed = |source| BootError::Resources { what: "spawning thread", source };
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("flame-spawn".into())
        .spawn(move || runtime.block_on(future::pending::<()>()))
        .map_err(failed)?;
    *spawner = Some(handle.clone());
    Ok(handle)
}
