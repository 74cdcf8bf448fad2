//! How a pool stops.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::prelude::*;
use flame_actor::{
    CallError, Pool, RemoteRecipient,
    backend::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance, LocalBackend},
    pool::machine::Failure,
    task,
};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::{Notify, watch};

use crate::support::{Log, Note, Notes, builder, soon, until, until_notes};

#[task]
async fn nothing() {}

/// Says that it runs, and is done when the log answers a second time.
#[task]
async fn slow(to: RemoteRecipient<Note>) -> u32 {
    to.send(Note(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    to.send(Note(2)).await.unwrap();
    7
}

#[task]
async fn endless(to: RemoteRecipient<Note>) {
    to.do_send(Note(1));
    std::future::pending::<()>().await;
}

#[actix::test]
async fn a_pool_that_stops_delivers_the_results_of_what_runs_and_fails_what_waits() {
    let pool = builder("drains").max_concurrency(1).start().unwrap();
    let log = Log::default().start();
    let running = actix_rt::spawn(pool.call(slow::task(log.clone().recipient().into())));
    until_notes(&log, &[1]).await;
    let waiting = actix_rt::spawn(pool.call(nothing::task()));
    until("it waits", || pool.inspect().waiting == 1).await;
    soon(pool.stop()).await;
    assert_eq!(running.await.unwrap().unwrap(), 7);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::NotPlaced(Failure::PoolClosed)) && !error.may_have_run(), "{error:?}");
    assert!(matches!(pool.call(nothing::task()).await, Err(CallError::NotPlaced(Failure::PoolClosed))));
    assert_eq!(log.send(Notes).await.unwrap(), [1, 2]);
}

#[actix::test]
async fn a_pool_whose_last_handle_is_dropped_drains_and_ends_its_runners() {
    let pool = builder("dropped").start().unwrap();
    let mut events = pool.subscribe();
    let log = Log::default().start();
    let running = actix_rt::spawn(pool.call(slow::task(log.clone().recipient().into())));
    until_notes(&log, &[1]).await;
    drop(pool);
    assert_eq!(soon(running).await.unwrap().unwrap(), 7);
    let mut last = None;
    while let Some(event) = soon(events.next()).await {
        last = Some(format!("{event:?}"));
    }
    assert!(last.as_ref().is_some_and(|event| event.starts_with("Shrunk")), "{last:?}");
}

#[actix::test]
async fn what_does_not_end_within_the_shutdown_timeout_is_lost_with_its_runner() {
    let pool = builder("cut").shutdown_timeout(Duration::from_millis(100)).timeout(None).start().unwrap();
    let log = Log::default().start();
    let running = actix_rt::spawn(pool.call(endless::task(log.clone().recipient().into())));
    until_notes(&log, &[1]).await;
    soon(pool.stop()).await;
    let error = soon(running).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)) && error.may_have_run(), "{error:?}");
}

#[actix::test]
async fn work_that_is_handed_over_as_its_pool_stops_either_runs_to_its_end_or_not_at_all() {
    for _ in 0..8 {
        let pool = builder("overtaken").start().unwrap();
        soon(pool.call(nothing::task())).await.unwrap();
        let log = Log::default().start();
        pool.cast(slow::task(log.clone().recipient().into()));
        soon(pool.stop()).await;
        assert_eq!(log.send(Notes).await.unwrap(), [1, 2]);
    }
}

#[actix::test]
async fn sigterm_to_the_parent_drains_the_pools_that_were_built_so_and_no_other() {
    let told = builder("told").stop_on_sigterm().start().unwrap();
    let untold = builder("untold").start().unwrap();
    let log = Log::default().start();
    let running = actix_rt::spawn(told.call(slow::task(log.clone().recipient().into())));
    until_notes(&log, &[1]).await;
    kill_process(getpid(), Signal::TERM).unwrap();
    soon(told.stopped()).await;
    assert_eq!(running.await.unwrap().unwrap(), 7);
    soon(untold.call(nothing::task())).await.unwrap();
}

/// Lets `held` go on: its runners are threads of this process.
static GO: Notify = Notify::const_new();

/// Says that it runs, and is done when it may go on.
#[task]
async fn held(to: RemoteRecipient<Note>) -> u32 {
    to.send(Note(1)).await.unwrap();
    GO.notified().await;
    7
}

/// Boots a runner whose exit is told before it has gone.
#[derive(Clone, Default)]
struct Hasty {
    runner: Arc<OnceLock<Arc<dyn Instance>>>,
    exit: watch::Sender<Option<ExitReason>>,
    heard: Arc<Notify>,
}

impl Backend for Hasty {
    fn name(&self) -> &str {
        "hasty"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let (booting, hasty) = (LocalBackend::new().boot(boot), self.clone());
        Box::pin(async move {
            hasty.runner.set(booting.await?).expect("one runner");
            Ok(Arc::new(hasty) as Arc<dyn Instance>)
        })
    }
}

impl Instance for Hasty {
    fn describe(&self) -> String {
        "hasty".to_owned()
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let (mut exit, heard) = (self.exit.subscribe(), Arc::clone(&self.heard));
        Box::pin(async move {
            let exit = exit.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            heard.notify_one();
            exit
        })
    }

    fn terminate(&self) {
        self.runner.get().unwrap().terminate();
    }

    fn kill(&self) {
        self.terminate();
    }
}

impl std::fmt::Debug for Hasty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasty")
    }
}

#[actix::test]
async fn what_a_runner_says_before_its_goodbye_counts_though_its_exit_is_heard_first() {
    // In order, and with a thread left behind.
    for exit in [ExitReason::Exited { code: 0 }, ExitReason::Unknown { detail: "a thread".to_owned() }] {
        let backend = Hasty::default();
        let pool = Pool::builder("hasty").max(1).backend(backend.clone()).start().unwrap();
        let log = Log::default().start();
        let running = actix_rt::spawn(pool.call(held::task(log.clone().recipient().into())));
        until_notes(&log, &[1]).await;
        backend.exit.send_replace(Some(exit));
        soon(backend.heard.notified()).await;
        GO.notify_one();
        assert_eq!(soon(running).await.unwrap().unwrap(), 7);
        soon(pool.stop()).await;
    }
}
