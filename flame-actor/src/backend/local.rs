//! Runners in the parent's own process, for tests and laptops.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt;
use tokio::sync::{oneshot, watch};

use super::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance};
use crate::{
    node::Threads,
    runner::{
        session::{self, Place},
        work_arbiters,
    },
};

/// Boots runners as threads of this process.
///
/// A runner of this backend is a node with threads, identity and link of its own: messages cross serde and QUIC as they do to
/// a pod, so that what works here works there. What differs: a handler or task that blocks for ever keeps its
/// thread beyond the runner's end (a warning of the log target `flame::runner` and the exit reason say so), a crash of the process is everybody's, and there are no signals, exit codes or
/// memory limits of a runner's own.
///
/// It needs no role line in `main`, so it is the backend for tests.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct LocalBackend {
    arbiters: Option<usize>,
}

impl LocalBackend {
    /// The backend.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many arbiters, each a thread, a runner has. Default: one for each CPU. At least 1.
    pub fn arbiters(mut self, arbiters: usize) -> Self {
        self.arbiters = Some(arbiters.max(1));
        self
    }
}

impl Backend for LocalBackend {
    fn name(&self) -> &str {
        "local"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let arbiters = self.arbiters.unwrap_or_else(work_arbiters);
        Box::pin(async move { start(boot, arbiters).map(|instance| instance as _).map_err(BootError::other) })
    }
}

#[derive(Debug)]
struct LocalInstance {
    name: String,
    /// Dropped to end the runner, also with the last handle.
    end: Mutex<Option<oneshot::Sender<()>>>,
    exit: watch::Receiver<Option<ExitReason>>,
}

fn start(boot: Boot, arbiters: usize) -> io::Result<Arc<LocalInstance>> {
    let name = boot.runner.name().to_owned();
    let threads = Arc::new(Threads::start(&name, arbiters)?);
    let (end, ended) = oneshot::channel();
    let (exited, exit) = watch::channel(None);
    let network = threads.network().clone();
    network.spawn(async move {
        let session = session::run(Arc::clone(&threads), boot.ticket, Place::Thread(ended));
        let reason = guarded(session).await;
        drop(threads);
        if let ExitReason::Unknown { detail } = &reason {
            tracing::warn!(target: "flame::runner", runner = %boot.runner, detail, "a runner in this process has ended");
        }
        exited.send_replace(Some(reason));
    });
    Ok(Arc::new(LocalInstance { name, end: Mutex::new(Some(end)), exit }))
}

async fn guarded(session: impl Future<Output = Result<session::Ended, session::ServeError>>) -> ExitReason {
    let detail = match std::panic::AssertUnwindSafe(session).catch_unwind().await {
        Ok(Ok(session::Ended { terminated: false, left_behind: 0 })) => {
            return ExitReason::Exited { code: 0 };
        }
        Ok(Ok(session::Ended { left_behind: 0, .. })) => "it was terminated".to_owned(),
        Ok(Ok(session::Ended { left_behind, .. })) => format!(
            "{left_behind} of its children and tasks could not be ended, and their threads are left behind"
        ),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    ExitReason::Unknown { detail }
}

impl Instance for LocalInstance {
    fn describe(&self) -> String {
        format!("threads of {} in this process", self.name)
    }

    fn pid(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let mut exit = self.exit.clone();
        Box::pin(async move {
            let reason = exit.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            reason.unwrap_or_else(|| ExitReason::Unknown { detail: "its threads are gone".to_owned() })
        })
    }

    fn terminate(&self) {
        drop(self.end.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn kill(&self) {
        self.terminate();
    }
}
