//! The thread that talks to the API server.

use std::{
    future::Future,
    io,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

/// A runtime of the backend's own: a client's connections live on the runtime that made them, and the app's may end any
/// time. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Network {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("flame-k8s".into()).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Blocks the calling thread until the future is done on the network's; `None` if that takes too long.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (send, receive) = sync_channel(1);
        let task = self.handle.spawn(async move {
            let _ = send.send(future.await);
        });
        match receive.recv_timeout(limit) {
            Ok(done) => Some(done),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                task.abort();
                None
            }
        }
    }
}
