//! Results that refer to what is on their runner keep it up, in the one slot of their call.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{ByteStream, RemoteAddr, remote, task};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::support::{builder, drain, nothing_left, polled_once, soon, until};

#[derive(Default)]
struct Cell(u64);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

impl Actor for Cell {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Add> for Cell {
    type Result = u64;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

/// Three actors on the runner, and a stream.
#[task]
async fn open() -> (Vec<RemoteAddr<Cell>>, ByteStream) {
    let cells = (0..3).map(|_| Cell::default().start().into()).collect();
    (cells, ByteStream::new(&b"contents"[..]))
}

#[task]
async fn nothing() {}

#[actix::test]
async fn a_result_with_addresses_and_streams_holds_one_slot_until_the_last_of_them_is_dropped() {
    let pool = builder("tracked").idle_shutdown_after(Duration::from_millis(50)).start().unwrap();
    let (mut cells, stream) = soon(pool.call(open::task())).await.unwrap();
    assert_eq!(pool.inspect().held, 1);
    // Many idle times later its runner is still there.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let last = cells.pop().unwrap();
    let clone = last.clone();
    drop((cells, last));
    assert_eq!(soon(clone.send(Add(2))).await.unwrap(), 2);
    assert_eq!(drain(stream).await, (b"contents".to_vec(), None));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((pool.inspect().held, soon(clone.send(Add(3))).await.unwrap()), (1, 5));
    drop(clone);
    nothing_left(&pool).await;
    until("the runner goes when it is idle", || pool.inspect().runners.is_empty()).await;
}

#[actix::test]
async fn a_result_that_nobody_takes_or_that_refers_to_nothing_holds_no_slot() {
    let pool = builder("untracked").max_concurrency(1).start().unwrap();
    soon(pool.call(nothing::task())).await.unwrap();
    nothing_left(&pool).await;
    pool.cast(open::task());
    for _ in 0..20 {
        let mut calling = Box::pin(pool.call(open::task()));
        let _ = polled_once(&mut calling).await;
        drop(calling);
    }
    // The only slot is free again each time.
    soon(pool.call(nothing::task())).await.unwrap();
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_tracked_result_keeps_its_slot_from_others() {
    let pool = builder("full").max_concurrency(1).start().unwrap();
    let (cells, stream) = soon(pool.call(open::task())).await.unwrap();
    drop(cells);
    let mut next = Box::pin(pool.call(nothing::task()));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut next).await.is_err());
    drop(stream);
    soon(next).await.unwrap();
    nothing_left(&pool).await;
}

/// Gives back what it was given.
#[task]
async fn back(cell: RemoteAddr<Cell>) -> RemoteAddr<Cell> {
    cell
}

#[actix::test]
async fn a_result_that_refers_to_the_callers_own_actors_or_to_a_child_holds_no_slot() {
    let pool = builder("own").start().unwrap();
    let mine: RemoteAddr<Cell> = Cell::default().start().into();
    let returned = soon(pool.call(back::task(mine))).await.unwrap();
    nothing_left(&pool).await;
    drop(returned);
}

#[actix::test]
async fn a_pool_that_stops_waits_for_a_tracked_stream_to_be_read() {
    let pool = builder("draining").start().unwrap();
    let (cells, mut stream) = soon(pool.call(open::task())).await.unwrap();
    drop(cells);
    let stopping = pool.clone();
    let stopped = actix::spawn(async move { stopping.stop().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!stopped.is_finished());
    assert_eq!(soon(stream.next()).await.unwrap().unwrap(), "contents");
    assert!(soon(stream.next()).await.is_none());
    soon(stopped).await.unwrap();
}
