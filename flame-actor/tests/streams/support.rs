//! What the tests share.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flame_actor::{ByteStream, Pool, PoolBuilder, StreamError, backend::LocalBackend};
use futures_util::{StreamExt, stream};

pub(crate) fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1).backend(LocalBackend::new())
}

pub(crate) fn pool(name: &str) -> Pool {
    builder(name).start().unwrap()
}

/// Nothing here takes anything near this long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// What a future has to say when it is asked once.
pub(crate) async fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    futures_util::future::poll_immediate(future).await
}

/// Looks again until it is so. What another node does comes with no event here.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s: {what}");
}

/// Nothing is left of any stream: no slot and no export.
pub(crate) async fn nothing_left(pool: &Pool) {
    until("nothing is left", || pool.exports() == 0 && pool.inspect().held == 0).await;
}

/// Counts how many of something there are.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

pub(crate) struct Counted(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(&self.0))
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An endless stream whose source is counted while it is there.
pub(crate) fn endless(count: &Count) -> ByteStream {
    let alive = count.one();
    let chunks = stream::repeat_with(move || {
        let _alive = &alive;
        Ok::<_, StreamError>(Bytes::from_static(&[7; 16 * 1024]))
    });
    ByteStream::from_stream(chunks)
}

/// A stream with nothing in it yet, whose source is counted while it is there.
pub(crate) fn silent(count: &Count) -> ByteStream {
    let alive = count.one();
    ByteStream::from_stream(stream::once(async move {
        std::future::pending::<()>().await;
        drop(alive);
        Ok::<_, StreamError>(Bytes::new())
    }))
}

/// All that comes, and the error that ended it.
pub(crate) async fn drain(mut stream: ByteStream) -> (Vec<u8>, Option<StreamError>) {
    let mut all = Vec::new();
    soon(async move {
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => all.extend_from_slice(&chunk),
                Err(error) => return (all, Some(error)),
            }
        }
        (all, None)
    })
    .await
}

/// Bytes that tell where they are.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}
