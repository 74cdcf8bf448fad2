//! A stream of bytes that a task on the runner reads to its end.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flame_actor::{ByteStream, Pool, task};
use futures_util::{TryStreamExt, future, stream};

use crate::workload::Sample;

const CHUNK: usize = 64 << 10;

/// Reads it all; how many bytes there were.
#[task]
async fn drink(bytes: ByteStream) -> u64 {
    bytes.try_fold(0, |sum, chunk| future::ok(sum + chunk.len() as u64)).await.expect("a whole stream")
}

pub(super) async fn run(pool: &Pool, time: Duration) -> Sample {
    let start = Instant::now();
    let chunk = Bytes::from(vec![7; CHUNK]);
    let chunks =
        std::iter::from_fn(move || (start.elapsed() < time).then(|| Ok::<_, Infallible>(chunk.clone())));
    let bytes = ByteStream::from_stream(stream::iter(chunks));
    let drunk = pool.call(drink::task(bytes)).await.expect("an output");
    Sample { figure: drunk as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64(), p99: None }
}
