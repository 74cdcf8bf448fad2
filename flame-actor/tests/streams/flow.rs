//! When a stream flows, and how much of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use bytes::Bytes;
use flame_actor::{ByteStream, task};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::support::{drain, nothing_left, polled_once, pool, soon, until};

/// Sends a line for each one it gets.
#[task]
async fn echo(mut lines: ByteStream) -> ByteStream {
    let (feed, stream) = ByteStream::channel();
    actix::spawn(async move {
        while let Some(Ok(line)) = lines.next().await {
            if feed.send(line).await.is_err() {
                return;
            }
        }
        feed.finish();
    });
    stream
}

#[actix::test]
async fn a_generators_stream_is_read_as_it_is_made_and_its_slot_stays_taken_until_it_ends() {
    let pool = pool("generator");
    let (feed, lines) = ByteStream::channel();
    let mut echoed = soon(pool.call(echo::task(lines))).await.unwrap();
    // Each comes back before the next is there.
    for line in ["one", "two", "three"] {
        feed.send(Bytes::from(line)).await.unwrap();
        assert_eq!(soon(echoed.next()).await.unwrap().unwrap(), line);
        assert_eq!(pool.inspect().held, 1, "the call has returned, its slot is taken");
    }
    feed.finish();
    assert!(soon(echoed.next()).await.is_none());
    nothing_left(&pool).await;
}

#[task]
async fn hold(stream: ByteStream) -> ByteStream {
    stream
}

#[actix::test]
async fn no_more_is_made_than_a_little_ahead_of_the_reader() {
    let pool = pool("ahead");
    let made = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&made);
    let chunks = stream::repeat_with(move || {
        counting.fetch_add(64 * 1024, Ordering::SeqCst);
        Ok::<_, String>(Bytes::from_static(&[1; 64 * 1024]))
    });
    let mut passed = soon(pool.call(hold::task(ByteStream::from_stream(chunks)))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(made.load(Ordering::SeqCst), 0, "nobody reads yet");
    soon(passed.next()).await.unwrap().unwrap();
    // Through the runner and back: two windows, and what is in hand.
    let mut before = 0;
    until("it stands still", || std::mem::replace(&mut before, made.load(Ordering::SeqCst)) == before).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ahead = made.load(Ordering::SeqCst);
    assert!((1_000_000..4_000_000).contains(&ahead), "{ahead} bytes were made");
    let read =
        passed.map_ok(|chunk| chunk.len() as u64).take(1000).try_fold(0, |a, b| async move { Ok(a + b) });
    let read = soon(read).await.unwrap();
    let ahead = made.load(Ordering::SeqCst) - read;
    assert!(ahead < 4_000_000, "{ahead} bytes were made ahead of {read}");
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_feed_waits_for_its_reader() {
    let (feed, stream) = ByteStream::channel();
    for _ in 0..8 {
        soon(feed.send(Bytes::from_static(b"x"))).await.unwrap();
    }
    let mut ninth = Box::pin(feed.send(Bytes::from_static(b"y")));
    assert!(polled_once(&mut ninth).await.is_none());
    let reading = actix::spawn(drain(stream));
    soon(ninth).await.unwrap();
    feed.finish();
    assert_eq!(reading.await.unwrap(), (b"xxxxxxxxy".to_vec(), None));
}

#[actix::test]
async fn many_streams_flow_at_once() {
    let pool = pool("many");
    let calls: Vec<_> = (0..40u8)
        .map(|n| {
            let chunks = stream::iter((0..20).map(move |_| Ok::<_, String>(Bytes::from(vec![n; 10_000]))));
            let calling = pool.call(echo::task(ByteStream::from_stream(chunks)));
            actix::spawn(async move { drain(calling.await.unwrap()).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        let (bytes, error) = soon(call).await.unwrap();
        assert_eq!((bytes.len(), error), (200_000, None));
        assert!(bytes.iter().all(|&byte| byte == n as u8));
    }
    nothing_left(&pool).await;
}
