//! What can be said about one call or child.

use std::{
    task::Poll,
    time::{Duration, Instant},
};

use actix::prelude::*;
use flame_actor::{
    CallError, Calling, PlaceFailure, Pool, RemoteRecipient, WorkPhase,
    backend::{LocalBackend, Resources},
    current_runner,
    pool::machine::RunnerPhase,
    task,
};

use crate::support::{Log, Note, Notes, Recorded, builder, soon, until, until_notes};

#[task]
async fn where_am_i() -> String {
    current_runner().map_or_else(|| "the parent".to_owned(), |runner| runner.name().to_owned())
}

/// Says that it runs, then never ends.
#[task]
async fn endless(to: RemoteRecipient<Note>) {
    to.do_send(Note(1));
    std::future::pending::<()>().await;
}

#[task]
async fn note(to: RemoteRecipient<Note>, n: u64) {
    to.send(Note(n)).await.unwrap();
}

/// Says that it runs, and that it has ended.
#[task]
async fn until_noted(to: RemoteRecipient<Note>, n: u64) {
    to.send(Note(n)).await.unwrap();
    to.send(Note(n + 1)).await.unwrap();
}

/// Polls a call once.
async fn begin<O>(call: &mut std::pin::Pin<Box<Calling<O>>>)
where
    Calling<O>: Future,
{
    std::future::poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn idle_runners(pool: &Pool) -> usize {
    pool.inspect().runners.iter().filter(|runner| matches!(runner.phase, RunnerPhase::Idle(_))).count()
}

fn memory(bytes: u64) -> Resources {
    Resources::builder().memory(bytes).build().unwrap()
}

#[actix::test]
async fn a_calls_own_timeout_and_deadline_replace_the_pools() {
    let pool = builder("own-time").timeout(Duration::from_secs(600)).start().unwrap();
    soon(pool.call(where_am_i::task())).await.unwrap();
    let log = Log::default().start();
    let start = Instant::now();
    let limit = Duration::from_millis(300);
    let error =
        soon(pool.call(endless::task(log.clone().recipient().into())).timeout(limit)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { limit: l, phase: WorkPhase::Running, .. } if l == limit));
    assert_eq!(error.runner().map(|runner| runner.name()), Some("own-time-1"));
    assert!(error.may_have_run());
    let call = pool.call(endless::task(log.clone().recipient().into())).deadline(Instant::now() + limit);
    assert!(matches!(soon(call).await, Err(CallError::Timeout { .. })));
    assert!(start.elapsed() >= 2 * limit);
    let past = pool.call(where_am_i::task()).deadline(start);
    let error = soon(past).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }) && !error.may_have_run(), "{error:?}");
}

#[actix::test]
async fn a_call_that_times_out_in_the_queue_says_so_and_has_not_run() {
    let pool = builder("queue-time").max_concurrency(1).start().unwrap();
    let busy = pool.place_child(Log::default()).await.unwrap();
    let log = Log::default().start();
    let limit = Duration::from_millis(50);
    let call = pool.call(note::task(log.clone().recipient().into(), 1)).timeout(limit);
    let error = soon(call).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { phase: WorkPhase::Queued, runner: None, .. }), "{error:?}");
    assert!(!error.may_have_run());
    let error = soon(pool.place_child(Log(vec![7])).timeout(limit)).await.unwrap_err();
    assert!(matches!(error.reason, PlaceFailure::Timeout { phase: WorkPhase::Queued, .. }), "{error:?}");
    assert_eq!(error.actor.map(|log| log.0), Some(vec![7]));
    drop(busy);
    soon(pool.call(note::task(log.clone().recipient().into(), 2))).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [2]);
}

#[actix::test]
async fn work_with_the_same_key_goes_to_the_runner_that_serves_it() {
    let pool = Pool::builder("keys").max(2).min(2).max_concurrency(2).backend(LocalBackend::new());
    let pool = pool.placement(flame_actor::pool::policy::Spread).start().unwrap();
    until("both are up", || idle_runners(&pool) == 2).await;
    let home = soon(pool.call(where_am_i::task()).key("model")).await.unwrap();
    for _ in 0..4 {
        assert_eq!(soon(pool.call(where_am_i::task()).key("model")).await.unwrap(), home);
    }
    let first = soon(pool.place_child(Log::default()).key("model")).await.unwrap();
    let second = soon(pool.place_child(Log::default()).require_key("model")).await.unwrap();
    assert_eq!((first.runner().name(), second.runner().name()), (home.as_str(), home.as_str()));
    // The runner is full: a preference goes elsewhere at once, a requirement waits.
    assert_ne!(soon(pool.call(where_am_i::task()).key("model")).await.unwrap(), home);
    let limit = Duration::from_millis(100);
    let waiting = pool.call(where_am_i::task()).require_key("model").timeout(limit);
    assert!(matches!(soon(waiting).await, Err(CallError::Timeout { phase: WorkPhase::Queued, .. })));
    let waiting = actix_rt::spawn(pool.call(where_am_i::task()).require_key("model"));
    until("it waits for that runner alone", || pool.inspect().pinned == 1).await;
    drop(first);
    assert_eq!(soon(waiting).await.unwrap().unwrap(), home);
    drop(second);
}

#[actix::test]
async fn resources_reach_the_backend_and_their_runner_serves_no_other_work() {
    let backend = Recorded::default();
    let pool = Pool::builder("resources").max(3).backend(backend.clone()).resources(memory(1 << 21));
    let pool = pool.start().unwrap();
    let default = soon(pool.call(where_am_i::task())).await.unwrap();
    let large = soon(pool.call(where_am_i::task()).resources(memory(1 << 30))).await.unwrap();
    assert_ne!(default, large);
    assert_eq!(backend.boots(), [memory(1 << 21), memory(1 << 30)]);
    let child = soon(pool.place_child(Log::default()).resources(memory(1 << 30))).await.unwrap();
    assert_eq!(child.runner().name(), large);
    let same = pool.call(where_am_i::task()).resources(memory(1 << 21));
    assert_eq!(soon(same).await.unwrap(), default, "the pool's own resources need no runner of their own");
    assert_eq!(backend.boots().len(), 2);
}

#[actix::test]
async fn a_detached_call_goes_on_when_its_caller_has_gone_and_keeps_its_slot() {
    let pool = builder("detached-call").max_concurrency(1).start().unwrap();
    soon(pool.call(where_am_i::task())).await.unwrap();
    let log = Log::default().start();
    let mut call = Box::pin(pool.call(note::task(log.clone().recipient().into(), 5)).detached());
    begin(&mut call).await;
    drop(call);
    until_notes(&log, &[5]).await;
    drop(pool.call(note::task(log.clone().recipient().into(), 6)).detached());
    let mut call = Box::pin(pool.call(endless::task(log.clone().recipient().into())).detached());
    begin(&mut call).await;
    drop(call);
    until_notes(&log, &[5, 1]).await;
    assert_eq!(pool.inspect().held, 1);
    let limit = Duration::from_millis(50);
    let error = soon(pool.call(where_am_i::task()).timeout(limit)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { phase: WorkPhase::Queued, .. }), "{error:?}");
}

#[actix::test]
async fn a_call_whose_runner_is_lost_is_made_again_only_if_it_may() {
    let backend = Recorded::default();
    let pool = Pool::builder("retry").max(1).backend(backend.clone()).start().unwrap();
    let log = Log::default().start();
    let call = actix_rt::spawn(pool.call(endless::task(log.clone().recipient().into())));
    until_notes(&log, &[1]).await;
    backend.kill(0);
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)) && error.may_have_run(), "{error:?}");
    assert_eq!(error.runner().map(|runner| runner.name()), Some("retry-1"));
    // Twice lost, and once forgiven.
    let call = actix_rt::spawn(pool.call(endless::task(log.clone().recipient().into())).retry(1));
    until_notes(&log, &[1, 1]).await;
    backend.kill(1);
    until_notes(&log, &[1, 1, 1]).await;
    backend.kill(2);
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)), "{error:?}");
    assert_eq!(log.send(Notes).await.unwrap(), [1, 1, 1]);
}

#[actix::test]
async fn a_cast_takes_its_place_before_it_returns_and_needs_no_runtime() {
    let pool = builder("casts-now").max_concurrency(1).max_queue(1).start().unwrap();
    let busy = pool.place_child(Log::default()).await.unwrap();
    let log = Log::default().start();
    let to = RemoteRecipient::from(log.clone().recipient());
    let (casting, handle) = (pool.clone(), to.clone());
    std::thread::spawn(move || {
        casting.cast(note::task(handle.clone(), 1));
        assert_eq!(casting.inspect().waiting, 1);
        // Beyond `max_queue`: a dead letter, and nothing that waits elsewhere.
        casting.call(note::task(handle, 2)).timeout(None).cast();
        assert_eq!(casting.inspect().waiting, 1);
    })
    .join()
    .unwrap();
    drop(busy);
    until_notes(&log, &[1]).await;
    until("the slot is free", || pool.inspect().held == 0).await;
    assert_eq!(pool.inspect().waiting, 0);
    drop(to);
}

#[actix::test]
async fn a_pool_that_stops_drains_the_cast_that_runs() {
    let pool = builder("cast-drain").start().unwrap();
    soon(pool.call(where_am_i::task())).await.unwrap();
    let log = Log::default().start();
    pool.cast(until_noted::task(log.clone().recipient().into(), 1));
    soon(pool.stop()).await;
    assert_eq!(log.send(Notes).await.unwrap(), [1, 2]);
}
