//! What the tests have done on runners.

use std::{
    process::Stdio,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use flame_actor::{ByteStream, Pool, StreamError, task};
use flame_tests::support::{soon, until};
use futures_util::{StreamExt, stream};
use tokio::process::Command;

/// A pool of one runner, which is a process.
pub(crate) fn pool(name: &str) -> Pool {
    Pool::builder(name).max(1).start().unwrap()
}

/// Nothing is left of any stream: no slot and no export.
pub(crate) async fn nothing_left(pool: &Pool) {
    until("nothing is left", || pool.exports() == 0 && pool.inspect().held == 0).await;
}

/// All that comes, and the error that ended it.
pub(crate) async fn drain(mut stream: ByteStream) -> (Vec<u8>, Option<StreamError>) {
    let mut all = Vec::new();
    while let Some(chunk) = soon(stream.next()).await {
        match chunk {
            Ok(chunk) => all.extend_from_slice(&chunk),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

/// Bytes that tell where they are.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}

/// What is known of endless sources.
#[derive(Default)]
pub(crate) struct Meter {
    sources: AtomicUsize,
    bytes: AtomicU64,
}

/// Of those on a runner: each test has its own.
static OF_RUNNER: Meter = Meter { sources: AtomicUsize::new(0), bytes: AtomicU64::new(0) };

impl Meter {
    pub(crate) fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// How many sources there are.
    pub(crate) fn sources(&self) -> usize {
        self.sources.load(Ordering::SeqCst)
    }

    /// How much they have made.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Makes zeros for ever.
    pub(crate) fn endless(&'static self) -> ByteStream {
        struct Source(&'static Meter);
        impl Drop for Source {
            fn drop(&mut self) {
                self.0.sources.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.sources.fetch_add(1, Ordering::SeqCst);
        let source = Source(self);
        let chunks = stream::repeat_with(move || {
            let source = &source;
            source.0.bytes.fetch_add(16 << 10, Ordering::SeqCst);
            Ok::<_, StreamError>(Bytes::from_static(&[0; 16 << 10]))
        });
        ByteStream::from_stream(chunks)
    }
}

/// Zeros for ever, from the runner.
#[task]
pub(crate) async fn zeros() -> ByteStream {
    OF_RUNNER.endless()
}

/// No source is left on the runner: what it is told last comes after the slot is free.
pub(crate) async fn no_source(pool: &Pool) {
    soon(async { while pool.call(metered::task()).await.unwrap().0 > 0 {} }).await;
}

/// How many sources there are on the runner, and how much they have made.
#[task]
pub(crate) async fn metered() -> (usize, u64) {
    (OF_RUNNER.sources(), OF_RUNNER.bytes())
}

/// The process that runs it.
#[task]
pub(crate) async fn process_id() -> u32 {
    std::process::id()
}

/// What it gets, as it comes.
#[task]
pub(crate) async fn pass(stream: ByteStream) -> ByteStream {
    stream
}

/// What a program prints for ever, and the program's process.
#[task]
pub(crate) async fn yes() -> (u32, ByteStream) {
    let mut program = Command::new("yes").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let (pid, output) = (program.id().unwrap(), program.stdout.take().unwrap());
    (pid, ByteStream::new(Held(output, program)))
}

/// A reader that has its program with it: both go together.
struct Held<R, P>(R, P);

impl<R: tokio::io::AsyncRead + Unpin, P: Unpin> tokio::io::AsyncRead for Held<R, P> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}
