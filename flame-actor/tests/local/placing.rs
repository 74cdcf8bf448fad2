//! Placing actors: what the caller owns, what a failure gives back, what a slot is.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use actix::prelude::*;
use flame_actor::{
    DownReason, PlaceFailure, Pool, SendError,
    backend::{Backend, Boot, BootError, BoxFuture, Instance},
    remote,
};
use serde::{Deserialize, Serialize};

use crate::support::{Log, Note, Notes, builder, pool, soon, until};

#[actix::test]
async fn a_placed_actor_answers_from_its_runner() {
    let pool = pool("logs");
    let log = pool.place_child(Log(vec![1])).await.unwrap();
    assert_eq!(log.runner().name(), "logs-1");
    assert_eq!(log.node(), Some(log.runner()));
    log.do_send(Note(2));
    log.try_send(Note(3)).unwrap();
    log.send(Note(4)).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [1, 2, 3, 4]);
    assert!(format!("{:?}", log.addr()).contains("logs-1"));
}

/// A backend that boots nothing.
struct Broken(Arc<AtomicU32>);

impl Backend for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn boot(&self, _: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(BootError::other("no machine is left")) })
    }
}

#[actix::test]
async fn an_actor_that_cannot_be_placed_comes_back_with_the_reason() {
    let boots = Arc::new(AtomicU32::new(0));
    let pool =
        Pool::builder("broken").timeout(std::time::Duration::from_millis(300)).backend(Broken(boots.clone()));
    let pool = pool.start().unwrap();
    let error = soon(pool.place_child(Log(vec![1, 2, 3]))).await.unwrap_err();
    assert_eq!(error.actor.as_ref().map(|log| log.0.clone()), Some(vec![1, 2, 3]));
    assert!(matches!(error.reason, PlaceFailure::NotPlaced(_)), "{error:?}");
    let words = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let words: Vec<_> = words.map(ToString::to_string).collect();
    assert!(words.iter().any(|word| word.contains("no machine is left")), "{words:?}");
    // It backs off instead of spinning.
    assert!(boots.load(Ordering::SeqCst) < 10, "{boots:?}");
}

#[actix::test]
async fn a_placing_that_is_dropped_places_nothing() {
    let pool = pool("dropped");
    drop(pool.place_child(Log::default()));
    assert!(pool.inspect().runners.is_empty());
}

#[actix::test]
async fn an_address_is_there_at_once_and_messages_wait_for_the_actor() {
    let pool = pool("at-once");
    let log = pool.place_child(Log::default()).addr();
    for n in 0..100 {
        log.do_send(Note(n));
    }
    let notes = soon(log.send(Notes)).await.unwrap();
    assert_eq!(notes, (0..100).collect::<Vec<_>>());
}

/// A backend that never says how a boot went.
struct Hanging;

impl Backend for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    fn boot(&self, _: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        Box::pin(std::future::pending())
    }
}

#[actix::test]
async fn the_address_of_an_actor_that_never_starts_fails_with_the_reason() {
    let pool = Pool::builder("never").timeout(std::time::Duration::from_secs(1)).backend(Hanging);
    let pool = pool.start().unwrap();
    let mut placing = pool.place_child(Log::default());
    let log = placing.addr();
    let asked = log.send(Notes);
    let mut full = 0;
    for n in 0..2000 {
        full += u32::from(matches!(log.try_send(Note(n)), Err(SendError::Full)));
    }
    assert!(full > 0, "what waits is bounded");
    let error = soon(asked).await.unwrap_err();
    assert!(matches!(error, SendError::Gone(DownReason::NotStarted { .. })), "{error:?}");
    assert!(matches!(log.send(Notes).await, Err(SendError::Gone(DownReason::NotStarted { .. }))));
    assert!(soon(placing).await.unwrap_err().actor.is_some());
}

/// Tells when it starts and stops.
#[derive(Serialize, Deserialize)]
struct Watched {
    #[serde(with = "flame_actor::recipient")]
    owner: Recipient<Note>,
}

const STARTED: u64 = 1;
const STOPPED: u64 = 2;

impl Actor for Watched {
    type Context = Context<Self>;
    fn started(&mut self, _: &mut Context<Self>) {
        self.owner.do_send(Note(STARTED));
    }
    fn stopped(&mut self, _: &mut Context<Self>) {
        self.owner.do_send(Note(STOPPED));
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Hello;

#[remote]
impl Handler<Hello> for Watched {
    type Result = ();
    fn handle(&mut self, _: Hello, _: &mut Context<Self>) {}
}

/// The notes of a local log.
async fn notes(log: &Addr<Log>) -> Vec<u64> {
    log.send(Notes).await.unwrap()
}

async fn until_notes(log: &Addr<Log>, wanted: &[u64]) {
    for _ in 0..2000 {
        if notes(log).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{:?} and not {wanted:?}", notes(log).await);
}

#[actix::test]
async fn dropping_a_child_stops_it_on_its_runner() {
    let pool = pool("owned");
    let log = Log::default().start();
    let child = pool.place_child(Watched { owner: log.clone().recipient() }).await.unwrap();
    let address = child.addr();
    address.send(Hello).await.unwrap();
    drop(child);
    until_notes(&log, &[STARTED, STOPPED]).await;
    let error = soon(address.send(Hello)).await.unwrap_err();
    assert!(matches!(error, SendError::Gone(DownReason::Stopped)), "{error:?}");
}

#[actix::test]
async fn a_detached_child_lives_as_long_as_its_address() {
    let pool = pool("detached");
    let log = Log::default().start();
    let child = pool.place_child(Watched { owner: log.clone().recipient() }).await.unwrap();
    let address = child.detach();
    let clone = address.clone();
    drop(address);
    clone.send(Hello).await.unwrap();
    assert_eq!(notes(&log).await, [STARTED]);
    drop(clone);
    until_notes(&log, &[STARTED, STOPPED]).await;
}

#[actix::test]
async fn a_child_holds_its_slot_until_it_has_ended() {
    let pool = builder("slots").max_concurrency(1).start().unwrap();
    let first = pool.place_child(Log(vec![1])).await.unwrap();
    let mut second = std::pin::pin!(pool.place_child(Log(vec![2])));
    tokio::select! {
        biased;
        _ = &mut second => panic!("two children in one slot"),
        answer = first.send(Notes) => assert_eq!(answer.unwrap(), [1]),
    }
    until("the second waits", || pool.inspect().waiting == 1).await;
    drop(first);
    let second = soon(second).await.unwrap();
    assert_eq!(second.send(Notes).await.unwrap(), [2]);
    assert_eq!(second.runner().name(), "slots-1");
}

#[actix::test]
async fn a_pool_that_stops_ends_its_runners() {
    let pool = pool("stopping");
    let log = pool.place_child(Log::default()).await.unwrap();
    drop(log);
    soon(pool.stop()).await;
    assert!(pool.inspect().runners.is_empty());
    let error = soon(pool.place_child(Log(vec![9]))).await.unwrap_err();
    assert_eq!(error.actor.map(|log| log.0), Some(vec![9]));
}
