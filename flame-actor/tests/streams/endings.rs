//! Dropping either end ends the other, and the work behind it.

use bytes::Bytes;
use flame_actor::{ByteStream, StreamClosed, StreamError, task};
use futures_util::{StreamExt, stream};

use crate::support::{Count, drain, endless, nothing_left, pool, silent, soon, until};

#[task]
async fn pass(stream: ByteStream) -> ByteStream {
    stream
}

#[task]
async fn ignore(_stream: ByteStream) {}

/// Reads so many chunks and returns.
#[task]
async fn taste(mut stream: ByteStream, chunks: usize) {
    for _ in 0..chunks {
        stream.next().await.unwrap().unwrap();
    }
}

#[actix::test]
async fn a_reader_that_goes_ends_the_source_whether_it_flows_stands_or_never_began() {
    let pool = pool("readers");
    let count = Count::default();
    soon(pool.call(ignore::task(endless(&count)))).await.unwrap();
    soon(pool.call(taste::task(endless(&count), 3))).await.unwrap();
    let mut flowing = soon(pool.call(pass::task(endless(&count)))).await.unwrap();
    soon(flowing.next()).await.unwrap().unwrap();
    drop(flowing);
    let unread = soon(pool.call(pass::task(endless(&count)))).await.unwrap();
    drop(unread);
    let mut standing = soon(pool.call(pass::task(silent(&count)))).await.unwrap();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), standing.next()).await.is_err());
    assert_eq!(count.now(), 1, "what nobody reads any more is gone, what is read is there");
    drop(standing);
    until("the sources are gone", || count.now() == 0).await;
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_call_that_is_dropped_ends_the_streams_in_its_arguments() {
    let pool = pool("dropped");
    let count = Count::default();
    let mut calling = Box::pin(pool.call(taste::task(endless(&count), usize::MAX)));
    let started = tokio::time::timeout(std::time::Duration::from_millis(300), &mut calling).await;
    assert!(started.is_err());
    drop(calling);
    until("the source is gone", || count.now() == 0).await;
    drop(pool.call(taste::task(endless(&count), 1)));
    assert_eq!(count.now(), 0, "one that was never sent");
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_call_that_is_dropped_while_it_is_handed_over_ends_the_streams_in_its_arguments() {
    let pool = pool("handed-over");
    soon(pool.call(taste::task(endless(&Count::default()), 1))).await.unwrap();
    // At any moment of its way: before it leaves, before the runner has looked at it, and after.
    for moment in 0..100 {
        let count = Count::default();
        let mut calling = Box::pin(pool.call(taste::task(endless(&count), usize::MAX)));
        let patience = std::time::Duration::from_micros(moment * 20);
        assert!(tokio::time::timeout(patience, &mut calling).await.is_err());
        drop(calling);
        until("the source is gone", || count.now() == 0).await;
    }
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_feeder_hears_that_its_reader_has_gone() {
    let pool = pool("feeders");
    let (feed, stream) = ByteStream::channel();
    soon(pool.call(ignore::task(stream))).await.unwrap();
    assert_eq!(soon(feed.closed()).await, StreamClosed::Dropped);
    assert_eq!(soon(feed.send(Bytes::from_static(b"x"))).await, Err(StreamClosed::Dropped));
    let (feed, stream) = ByteStream::channel();
    let tasting = actix::spawn(pool.call(taste::task(stream, 1)));
    let closed = soon(async {
        loop {
            if let Err(closed) = feed.send(Bytes::from(vec![0; 100_000])).await {
                return closed;
            }
        }
    })
    .await;
    assert_eq!(closed, StreamClosed::Dropped);
    soon(tasting).await.unwrap().unwrap();
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_reader_has_what_was_made_and_then_the_producers_words() {
    let pool = pool("words");
    let (feed, stream) = ByteStream::channel();
    let passed = soon(pool.call(pass::task(stream))).await.unwrap();
    feed.send(Bytes::from_static(b"so far")).await.unwrap();
    feed.fail("the tape broke");
    let failed = StreamError::Failed { message: "the tape broke".into() };
    assert_eq!(drain(passed).await, (b"so far".to_vec(), Some(failed)));

    let chunks = stream::iter([Ok(Bytes::from_static(b"so far")), Err("disk on fire")]);
    let passed = soon(pool.call(pass::task(ByteStream::from_stream(chunks)))).await.unwrap();
    let failed = StreamError::Failed { message: "disk on fire".into() };
    assert_eq!(drain(passed).await, (b"so far".to_vec(), Some(failed)));
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_producer_that_goes_unfinished_is_not_taken_for_the_end() {
    let pool = pool("unfinished");
    let (feed, stream) = ByteStream::channel();
    let passed = soon(pool.call(pass::task(stream))).await.unwrap();
    drop(feed);
    assert_eq!(drain(passed).await, (Vec::new(), Some(StreamError::GivenUp)));
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_panic_in_a_source_is_its_streams_failure_and_harms_nobody_else() {
    let pool = pool("panics");
    let chunks = stream::once(async { panic!("out of paint") });
    let broken = ByteStream::from_stream(chunks.map(Ok::<Bytes, String>));
    let passed = soon(pool.call(pass::task(broken))).await.unwrap();
    let (_, error) = drain(passed).await;
    let Some(StreamError::Failed { message }) = error else { panic!("{error:?}") };
    assert!(message.contains("out of paint"), "{message}");
    let count = Count::default();
    soon(pool.call(taste::task(endless(&count), 3))).await.unwrap();
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_pool_that_stops_ends_the_streams_that_are_left() {
    let pool = crate::support::builder("stops")
        .shutdown_timeout(std::time::Duration::from_millis(200))
        .start()
        .unwrap();
    let count = Count::default();
    let (feed, stream) = ByteStream::channel();
    let mut fed = soon(pool.call(pass::task(stream))).await.unwrap();
    feed.send(Bytes::from_static(b"x")).await.unwrap();
    soon(fed.next()).await.unwrap().unwrap();
    let mut flowing = soon(pool.call(pass::task(endless(&count)))).await.unwrap();
    soon(flowing.next()).await.unwrap().unwrap();
    soon(pool.stop()).await;
    let error = soon(async {
        loop {
            if let Some(Err(error)) = flowing.next().await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(&error, StreamError::NodeLost { node, .. } if node.name() == "stops-1"), "{error:?}");
    let closed = soon(feed.closed()).await;
    assert!(matches!(&closed, StreamClosed::NodeLost { node, .. } if node.name() == "stops-1"), "{closed:?}");
    assert!(matches!(soon(fed.next()).await, Some(Err(StreamError::NodeLost { .. }))));
    until("the source is gone", || count.now() == 0).await;
    nothing_left(&pool).await;
}
