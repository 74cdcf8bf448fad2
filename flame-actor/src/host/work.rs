//! A task: run, answered, or cut off.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use flame_transport::{Body, Owed};
use futures_util::FutureExt;

use super::{
    Busy, Host, enter,
    ledger::Running,
    protocol::{StartFailure, cut},
};
use crate::{
    delivery::panics::words_of,
    remote::{Peer, parse},
    task::{EncodedOutput, References, RunFn, TaskRun},
};

/// A task that was ordered.
pub(super) struct Job {
    pub(super) host: Arc<Host>,
    pub(super) run: RunFn,
    pub(super) body: Bytes,
    pub(super) owed: Owed,
    pub(super) peer: Arc<Peer>,
    pub(super) deadline: Option<Instant>,
    pub(super) running: Running,
    pub(super) busy: Busy,
}

impl Job {
    /// Runs the task on this arbiter, or, a plain function, on a thread that may block, and answers with its output.
    ///
    /// The work is cancelled at its next await when its time is over or nobody waits for it any more; a plain function
    /// cannot be, and its slot stays taken until it returns.
    pub(super) fn begin(self) {
        if self.owed.cancelled().now_or_never().is_some() {
            return;
        }
        if self.is_late() {
            return refuse(self.owed, &StartFailure::TimedOut);
        }
        match self.running.during(|| decode(self.run, &self.body, &self.peer)) {
            Ok(TaskRun::Async(work)) => drop(actix_rt::spawn(self.poll(work))),
            Ok(TaskRun::Blocking(work)) => drop(tokio::task::spawn_blocking(move || self.call(work))),
            Err(failure) => refuse(self.owed, &failure),
        }
    }

    async fn poll(self, mut work: Pin<Box<dyn Future<Output = EncodedOutput>>>) {
        let output = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| self.running.during(|| work.as_mut().poll(cx))));
            polled.map_or_else(|panic| Err(panicked(&*panic)).into(), |output| output.map(Ok))
        });
        let outcome = tokio::select! {
            biased;
            outcome = output => outcome,
            () = self.owed.cancelled() => return,
            () = sleep_until(self.deadline) => Err(StartFailure::TimedOut),
        };
        // The task's own end, whatever there is of it, before its answer.
        drop(work);
        self.answer(outcome);
    }

    /// On a thread that may block: nothing of this needs an arbiter, so none that is blocked can hold it up.
    fn call(self, work: Box<dyn FnOnce() -> EncodedOutput + Send>) {
        enter(Arc::clone(&self.host));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.running.during(work)));
        let outcome = outcome.map_err(|panic| panicked(&*panic));
        let outcome = if self.is_late() { Err(StartFailure::TimedOut) } else { outcome };
        self.answer(outcome);
    }

    fn answer(self, outcome: Result<EncodedOutput, StartFailure>) {
        let Self { owed, peer, busy, .. } = self;
        match outcome {
            Ok(EncodedOutput(Ok(encoded))) => match encoded.for_link(&peer) {
                Ok(sendable) => {
                    owed.reply(Body::Own(sendable.body.clone()));
                    sendable.sent();
                }
                Err(_) => {
                    refuse(owed, &StartFailure::Unencodable("it refers to an unreachable actor".into()))
                }
            },
            Ok(EncodedOutput(Err(error))) => refuse(owed, &StartFailure::Unencodable(error.to_string())),
            Err(failure) => refuse(owed, &failure),
        }
        // After the answer: a runner that is told to go does so when nothing is left.
        drop(busy);
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

fn decode(run: RunFn, body: &Bytes, peer: &Arc<Peer>) -> Result<TaskRun<EncodedOutput>, StartFailure> {
    let started = catch_unwind(AssertUnwindSafe(|| {
        let parts = parse(body, peer).map_err(|_| "its references are gone".to_owned())?;
        run(parts.payload, References(parts.table), peer.max_message()).map_err(|error| error.to_string())
    }));
    started.map_err(|panic| panicked(&*panic))?.map_err(StartFailure::Undecodable)
}

fn panicked(panic: &(dyn Any + Send)) -> StartFailure {
    StartFailure::Panicked(cut(words_of(panic)))
}

async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

fn refuse(owed: Owed, failure: &StartFailure) {
    owed.refuse(Body::Own(failure.encode()));
}
