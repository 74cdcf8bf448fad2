//! A task: run, answered, or cut off.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flame_transport::{Body, Owed};
use futures_util::FutureExt;

use super::{
    Busy, Host, enter,
    protocol::{StartFailure, cut},
    running::Running,
};
use crate::{
    context::Context,
    delivery::panics::words_of,
    remote::{Keeper, Peer, Unread},
    task::{EncodedOutput, References, RunFn, TaskRun},
};

/// A task that was ordered.
pub(super) struct Job {
    pub(super) host: Arc<Host>,
    pub(super) run: RunFn,
    pub(super) body: Unread,
    pub(super) owed: Owed,
    pub(super) peer: Arc<Peer>,
    pub(super) deadline: Option<Instant>,
    pub(super) running: Running,
    pub(super) busy: Busy,
    /// Known once it was decoded.
    pub(super) context: Context,
}

type Function = Box<dyn FnOnce() -> EncodedOutput + Send>;

impl Job {
    /// Runs the task on this arbiter, or, a plain function, on a thread that may block, and answers with its output.
    ///
    /// The work is cancelled at its next await when its time is over or nobody waits for it any more; a plain function
    /// cannot be, and its slot stays taken until it returns.
    pub(super) fn begin(mut self) {
        if self.owed.cancelled().now_or_never().is_some() {
            return;
        }
        if self.is_late() {
            return refuse(self.owed, &StartFailure::TimedOut);
        }
        let running = self.running.clone();
        match running.during(|| decode(&mut self)) {
            Ok((context, work)) => {
                self.context = context;
                self.go_on(work);
            }
            Err(failure) => refuse(self.owed, &failure),
        }
    }

    /// Nothing of it has run.
    pub(super) fn refuse(self, failure: &StartFailure) {
        refuse(self.owed, failure);
    }

    fn go_on(self, work: TaskRun<EncodedOutput>) {
        match work {
            TaskRun::Async(work) => drop(actix_rt::spawn(self.poll(work))),
            TaskRun::Blocking(work) => self.call_apart(work),
        }
    }

    async fn poll(self, mut work: Pin<Box<dyn Future<Output = EncodedOutput>>>) {
        let output = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| self.during(|| work.as_mut().poll(cx))));
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

    /// Has a plain function called on a thread that may block, or says that there is none.
    fn call_apart(self, work: Function) {
        let job = Arc::new(Mutex::new(Some((self, work))));
        let take =
            |job: &Mutex<Option<(Self, Function)>>| job.lock().unwrap_or_else(PoisonError::into_inner).take();
        let apart = Arc::clone(&job);
        let started = catch_unwind(AssertUnwindSafe(|| {
            drop(tokio::task::spawn_blocking(move || {
                if let Some((job, work)) = take(&apart) {
                    job.call(work);
                }
            }));
        }));
        // That is how it tells that the system gives it no thread.
        if let Err(panic) = started
            && let Some((job, _)) = take(&job)
        {
            refuse(job.owed, &StartFailure::Unable(cut(words_of(&*panic))));
        }
    }

    /// On a thread that may block: nothing of this needs an arbiter, so none that is blocked can hold it up.
    fn call(self, work: Function) {
        enter(Arc::clone(&self.host));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.during(work)));
        let outcome = outcome.map_err(|panic| panicked(&*panic));
        let outcome = if self.is_late() { Err(StartFailure::TimedOut) } else { outcome };
        self.answer(outcome);
    }

    fn answer(self, outcome: Result<EncodedOutput, StartFailure>) {
        let Self { owed, peer, busy, .. } = self;
        match outcome {
            Ok(EncodedOutput(Ok(encoded))) => match encoded.for_link(&peer) {
                Ok(sendable) => {
                    // What the output refers to on this node goes on being work.
                    sendable.keep(&(Arc::new(busy) as Keeper));
                    owed.reply(Body::Own(sendable.body.clone()));
                    return sendable.sent();
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

    /// Runs some of the task's code.
    fn during<R>(&self, code: impl FnOnce() -> R) -> R {
        self.running.during(|| self.context.enter(code))
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// The task, ready to run, and its context.
fn decode(job: &mut Job) -> Result<(Context, TaskRun<EncodedOutput>), StartFailure> {
    let Job { run, body, peer, deadline, .. } = job;
    let started = catch_unwind(AssertUnwindSafe(|| {
        let parts = body.parse().map_err(|_| "its references are gone".to_owned())?;
        let context = Context::decode(parts.context).map_err(|_| "its context is malformed".to_owned())?;
        let context = deadline.map_or_else(|| context.clone(), |deadline| context.with_deadline(deadline));
        let run = || run(parts.payload, References(parts.table), peer.max_message());
        let work = context.enter(run).map_err(|error| error.to_string())?;
        Ok((context, work))
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
