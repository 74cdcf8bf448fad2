//! A task: run, answered, or cut off.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flame_transport::{Body, Owed};
use futures_util::FutureExt;

use super::{
    Busy,
    protocol::{StartFailure, cut},
};
use crate::{
    delivery::panics::words_of,
    remote::{Keeper, Peer, parse},
    task::{EncodedOutput, References, RunFn, TaskRun},
};

/// Runs a task on this arbiter, or, a plain function, on a thread that may block, and answers with its output.
///
/// The work is cancelled at its next await when its time is over or nobody waits for it any more; a plain function
/// cannot be, and its slot stays taken until it returns.
pub(super) async fn run(
    run: RunFn,
    body: Bytes,
    owed: Owed,
    peer: Arc<Peer>,
    time: Option<Duration>,
    busy: Busy,
) {
    let limit = time.unwrap_or(Duration::MAX);
    let outcome = tokio::select! {
        biased;
        outcome = output(run, &body, &peer) => outcome,
        () = owed.cancelled() => return,
        () = sleep(limit) => Err(StartFailure::TimedOut),
    };
    match outcome {
        Ok(EncodedOutput(Ok(encoded))) => match encoded.for_link(&peer) {
            Ok(sendable) => {
                // What the output refers to on this node goes on being work.
                sendable.keep(&(Arc::new(busy) as Keeper));
                owed.reply(Body::Own(sendable.body.clone()));
                sendable.sent();
                return;
            }
            Err(_) => refuse(owed, &StartFailure::Unencodable("it refers to an unreachable actor".into())),
        },
        Ok(EncodedOutput(Err(error))) => refuse(owed, &StartFailure::Unencodable(error.to_string())),
        Err(failure) => refuse(owed, &failure),
    }
    drop(busy);
}

async fn output(run: RunFn, body: &Bytes, peer: &Arc<Peer>) -> Result<EncodedOutput, StartFailure> {
    let panicked = |panic: Box<dyn std::any::Any + Send>| StartFailure::Panicked(cut(words_of(&*panic)));
    let started = catch_unwind(AssertUnwindSafe(|| {
        let parts = parse(body, peer).map_err(|_| "its references are gone".to_owned())?;
        run(parts.payload, References(parts.table), peer.max_message()).map_err(|error| error.to_string())
    }));
    match started.map_err(panicked)?.map_err(StartFailure::Undecodable)? {
        TaskRun::Async(work) => AssertUnwindSafe(work).catch_unwind().await.map_err(panicked),
        TaskRun::Blocking(work) => match tokio::task::spawn_blocking(work).await {
            Ok(output) => Ok(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Err(panicked(panic)),
                Err(error) => Err(StartFailure::Panicked(error.to_string())),
            },
        },
    }
}

async fn sleep(time: Duration) {
    match tokio::time::Instant::now().checked_add(time) {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn refuse(owed: Owed, failure: &StartFailure) {
    owed.refuse(Body::Own(failure.encode()));
}
