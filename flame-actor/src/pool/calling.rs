//! `call` and `cast`.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use flame_transport::{AskError, codec};
use serde::de::DeserializeOwned;

use super::{Core, Work, error::CallError, orders};
use crate::{
    host::protocol::{Order, StartFailure},
    registry::Registry,
    remote::{Keeper, SendError, decode_keeping, encode_whole, refers},
    task::Task,
};

/// A call under way. Dropping it cancels the work.
#[must_use = "a call runs when it is awaited; use cast for one whose output does not matter"]
pub struct Calling<O> {
    call: Pin<Box<dyn Future<Output = Result<O, CallError>> + Send>>,
}

impl<O: DeserializeOwned + Send + 'static> Calling<O> {
    pub(super) fn new<T: Task<Output = O>>(core: &Arc<Core>, task: &T) -> Self {
        let prepared = prepare(core, task);
        let core = Arc::clone(core);
        Self {
            call: Box::pin(async move {
                let (task, work) = prepared?;
                run(core, task, work).await
            }),
        }
    }
}

impl<O> Future for Calling<O> {
    type Output = Result<O, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.as_mut().poll(cx)
    }
}

impl<O> std::fmt::Debug for Calling<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}

/// Runs a task whose output nobody waits for.
pub(super) fn cast<T: Task>(core: &Arc<Core>, task: &T) {
    let calling = Calling::<T::Output>::new(core, task);
    core.parent.threads.control().spawn(async move {
        if let Err(error) = calling.await {
            tracing::warn!(target: "flame::dead_letter", task = T::NAME, %error, "a cast failed");
        }
    });
}

fn prepare<T: Task>(core: &Core, task: &T) -> Result<(u32, Work), CallError> {
    let registry = Registry::get().map_err(SendError::from)?;
    let number = registry.task::<T>().ok_or(CallError::NotRegistered)?;
    let body = encode_whole(task, core.link.max_message()).map_err(SendError::from)?;
    Ok((number, Work { body, limit: core.settings.timeout() }))
}

async fn run<O: DeserializeOwned>(core: Arc<Core>, task: u32, work: Work) -> Result<O, CallError> {
    let limit = work.limit;
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let attempt = attempt(&core, task, &work, deadline);
    let Some(deadline) = deadline else { return attempt.await };
    match tokio::time::timeout_at(deadline.into(), attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::Timeout { limit: limit.unwrap_or_default() }),
    }
}

async fn attempt<O: DeserializeOwned>(
    core: &Arc<Core>,
    task: u32,
    work: &Work,
    deadline: Option<Instant>,
) -> Result<O, CallError> {
    loop {
        let seat = core.seat(deadline).await.map_err(|failure| match failure {
            super::machine::Failure::Timeout { cause: None, .. } => {
                CallError::Timeout { limit: work.limit.unwrap_or_default() }
            }
            failure => CallError::NotPlaced(failure),
        })?;
        let (peer, boarding) = (Arc::clone(seat.peer()), seat.boarding.clone());
        let runner = peer.node().clone();
        let time = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let order = seat.order(&Order::Call { task, time }, work)?;
        // The slot is free when the runner has answered, also if nobody waits for that any more; but an output that refers to
        // what is on the runner has it until that is let go.
        let seat = Arc::new(Mutex::new(Some(seat)));
        let answered = Arc::clone(&seat);
        let sent = orders::send(&peer, order, move |outcome| {
            if !outcome.as_ref().is_ok_and(|body| refers(body)) {
                drop(vacate(&answered));
            }
        });
        let Some(asked) = sent? else {
            // Its link went before the task was sent: it is as if the seat had never been there.
            continue;
        };
        return match asked.await {
            Ok(body) => {
                let keeper = vacate(&seat).map(|seat| Arc::new(seat) as Keeper);
                Ok(decode_keeping(&body, &peer, keeper)?)
            }
            Err(AskError::Refused { body }) => {
                let failure = codec::decode(&body)
                    .unwrap_or_else(|error: codec::DecodeError| StartFailure::Undecodable(error.to_string()));
                Err(CallError::from_start(failure, runner, work.limit))
            }
            Err(lost) => Err(CallError::RunnerLost(core.loss_of(&boarding, lost.to_string()).await)),
        };
    }
}

fn vacate<S>(seat: &Mutex<Option<S>>) -> Option<S> {
    seat.lock().unwrap_or_else(PoisonError::into_inner).take()
}
