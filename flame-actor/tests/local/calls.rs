//! Calls and casts.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{CallError, task};
use serde::{Serialize, de::DeserializeOwned};

use crate::support::{Log, Note, Notes, builder, pool, soon, until};

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

#[task]
fn length(text: &str) -> Result<usize, String> {
    if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.len()) }
}

#[task(u32, String)]
async fn twice<T: Serialize + DeserializeOwned + Send + Clone + 'static>(value: T) -> Vec<T> {
    vec![value.clone(), value]
}

/// Says that it runs, and, should it ever get that far, that it has ended.
#[task]
async fn long(to: flame_actor::RemoteRecipient<Note>) {
    to.do_send(Note(1));
    tokio::time::sleep(Duration::from_secs(600)).await;
    to.do_send(Note(2));
}

#[task]
async fn note(to: flame_actor::RemoteRecipient<Note>, n: u64) {
    to.send(Note(n)).await.unwrap();
}

#[actix::test]
async fn a_call_returns_what_its_function_returns() {
    let pool = pool("calls");
    assert_eq!(pool.call(double::task(21)).await.unwrap(), double(21).await);
    assert_eq!(pool.call(length::task("four".to_owned())).await.unwrap(), Ok(4));
    assert_eq!(pool.call(length::task(String::new())).await.unwrap(), Err("empty".to_owned()));
    assert_eq!(pool.call(twice::task(7u32)).await.unwrap(), [7, 7]);
    assert_eq!(pool.call(twice::task("a".to_owned())).await.unwrap(), ["a", "a"]);
}

#[actix::test]
async fn a_call_that_takes_too_long_fails_on_time_and_frees_its_slot() {
    let pool = builder("timeouts").max_concurrency(1).timeout(Duration::from_millis(400)).start().unwrap();
    // Boots the runner, which on a busy machine takes its time.
    soon(pool.call(double::task(1)).timeout(Duration::from_secs(10))).await.unwrap();
    let log = Log::default().start();
    let start = Instant::now();
    let error = soon(pool.call(long::task(log.clone().recipient().into()))).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(soon(pool.call(double::task(4))).await.unwrap(), 8);
    assert_eq!(log.send(Notes).await.unwrap(), [1]);
}

#[actix::test]
async fn dropping_a_call_cancels_its_work_and_frees_its_slot() {
    let pool = builder("cancelled").max_concurrency(1).timeout(None).start().unwrap();
    let log = Log::default().start();
    {
        let mut call = std::pin::pin!(pool.call(long::task(log.clone().recipient().into())));
        let running = async {
            while log.send(Notes).await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut call => panic!("it takes ten minutes"),
            () = soon(running) => {}
        }
    }
    assert_eq!(soon(pool.call(double::task(4))).await.unwrap(), 8);
}

#[actix::test]
async fn a_call_that_is_dropped_while_it_waits_is_never_sent() {
    let pool = builder("waiting").max_concurrency(1).start().unwrap();
    let log = Log::default().start();
    let busy = pool.place_child(Log::default()).await.unwrap();
    {
        let mut call = std::pin::pin!(pool.call(note::task(log.clone().recipient().into(), 1)));
        let queued = until("it waits", || pool.inspect().waiting == 1);
        tokio::select! {
            biased;
            _ = &mut call => panic!("there is no slot"),
            () = queued => {}
        }
    }
    assert_eq!(pool.inspect().waiting, 0);
    drop(busy);
    soon(pool.call(note::task(log.clone().recipient().into(), 2))).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [2]);
}

#[actix::test]
async fn a_cast_runs_and_a_pool_that_stops_waits_for_it() {
    let pool = pool("casts");
    let log = Log::default().start();
    pool.cast(note::task(log.clone().recipient().into(), 5));
    until("it has a slot", || pool.inspect().held == 1 || pool.inspect().waiting == 0).await;
    for _ in 0..2000 {
        if log.send(Notes).await.unwrap() == [5] {
            soon(pool.stop()).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the cast never ran");
}

#[actix::test]
async fn many_calls_at_once_all_return() {
    let pool = builder("many").max(2).max_concurrency(8).start().unwrap();
    let calls: Vec<_> = (0..200).map(|n| pool.call(double::task(n))).collect();
    let calls: Vec<_> = calls.into_iter().map(actix_rt::spawn).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap().unwrap(), n as u64 * 2);
    }
    assert!(pool.inspect().runners.len() <= 2);
}
