//! Results that refer to what is on their runner keep it up, in the one slot of their call.

use std::time::Duration;

use actix::Actor;
use flame_actor::{ByteStream, ItemStream, Pool, RemoteAddr, task};
use flame_tests::{
    Add, Counter,
    support::{is_alive, soon, until},
    tests,
};
use futures_util::{StreamExt, stream};

use crate::work::{drain, nothing_left, process_id};

tests![
    a_result_with_addresses_and_streams_keeps_its_runner_up_in_one_slot_until_the_last_is_dropped,
    a_tracked_result_keeps_its_slot_from_others,
];

/// Three actors on the runner, bytes and items.
#[task]
async fn open() -> (Vec<RemoteAddr<Counter>>, ByteStream, ItemStream<u64>) {
    let counters = (0..3).map(|n| Counter(n).start().into()).collect();
    (counters, ByteStream::new(&b"contents"[..]), ItemStream::new(stream::iter(0..3)))
}

async fn a_result_with_addresses_and_streams_keeps_its_runner_up_in_one_slot_until_the_last_is_dropped() {
    let idle = Duration::from_millis(50);
    let pool = Pool::builder("tracked").max(1).idle_shutdown_after(idle).start().unwrap();
    let (mut counters, bytes, items) = soon(pool.call(open::task())).await.unwrap();
    let runner = soon(pool.call(process_id::task())).await.unwrap();
    let last = counters.pop().unwrap();
    let clone = last.clone();
    for held in [
        Box::new((counters, last)) as Box<dyn std::any::Any>,
        Box::new(drain(bytes).await),
        Box::new(soon(items.collect::<Vec<_>>()).await),
    ] {
        drop(held);
        // Many idle times.
        tokio::time::sleep(idle * 5).await;
        assert_eq!((pool.inspect().held, is_alive(runner)), (1, true));
    }
    assert_eq!(soon(clone.send(Add(3))).await.unwrap(), 5);
    drop(clone);
    nothing_left(&pool).await;
    until("the runner goes when it is idle", || !is_alive(runner)).await;
}

async fn a_tracked_result_keeps_its_slot_from_others() {
    let pool = Pool::builder("full").max(1).max_concurrency(1).start().unwrap();
    let (counters, bytes, items) = soon(pool.call(open::task())).await.unwrap();
    drop((counters, bytes));
    let mut next = Box::pin(pool.call(process_id::task()));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut next).await.is_err());
    drop(items);
    soon(next).await.unwrap();
    // One that nobody takes holds nothing.
    pool.cast(open::task());
    soon(pool.call(process_id::task())).await.unwrap();
    nothing_left(&pool).await;
}
