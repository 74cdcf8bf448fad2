//! A pool that stops when its process is told to go.

use std::{io, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};

use super::core::Core;

/// Has a pool drain at SIGTERM.
pub(super) fn watch(core: &Arc<Core>) -> io::Result<()> {
    let network = core.parent.threads.network();
    let mut terminated = {
        let _runtime = network.enter();
        signal(SignalKind::terminate())?
    };
    let (pool, mut stopped) = (Arc::downgrade(core), core.watch_stopped());
    network.spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {
                if let Some(pool) = pool.upgrade() {
                    tracing::info!(target: "flame::pool", pool = pool.name(), "SIGTERM: the pool stops");
                    pool.shut_down();
                }
            }
            // Also when the pool is gone.
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
    Ok(())
}
