//! A slow reader slows the source, in whichever process that is.

use std::time::Duration;

use flame_actor::{ByteStream, ItemStream, task};
use flame_tests::{
    support::{soon, until},
    tests,
};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use crate::work::{Meter, metered, no_source, nothing_left, pool, zeros};

tests![
    a_source_in_the_parent_makes_little_more_than_its_reader_on_a_runner_reads,
    a_source_on_a_runner_makes_little_more_than_its_reader_in_the_parent_reads,
];

/// A window of each link, and what is in hand.
const AHEAD: u64 = 3 << 20;

/// Several windows at a time.
const STEP: u64 = 8 << 20;

/// Reads as much as it is told each time.
#[task]
async fn read_as_told(mut stream: ByteStream, mut told: ItemStream<u64>) -> u64 {
    let mut read = 0;
    while let Some(Ok(more)) = told.next().await {
        let mut part = AsyncReadExt::take(&mut stream, more);
        read += tokio::io::copy(&mut part, &mut tokio::io::sink()).await.unwrap();
    }
    read
}

async fn a_source_in_the_parent_makes_little_more_than_its_reader_on_a_runner_reads() {
    let pool = pool("reads");
    let meter = Meter::new();
    let (tell, told) = ItemStream::channel();
    let reading = actix::spawn(pool.call(read_as_told::task(meter.endless(), told)));
    assert_eq!(until_it_stands(0, async || meter.bytes()).await, 0, "nobody reads yet");
    for step in 1..=3 {
        tell.send(STEP).await.unwrap();
        let made = until_it_stands(step * STEP, async || meter.bytes()).await;
        assert!(made < step * STEP + AHEAD, "{made} bytes for the {step} × {STEP} that were read");
    }
    tell.finish();
    assert_eq!(soon(reading).await.unwrap().unwrap(), 3 * STEP);
    nothing_left(&pool).await;
    until("the source is gone", || meter.sources() == 0).await;
}

async fn a_source_on_a_runner_makes_little_more_than_its_reader_in_the_parent_reads() {
    let pool = pool("makes");
    let mut stream = soon(pool.call(zeros::task())).await.unwrap();
    let made = async || pool.call(metered::task()).await.unwrap().1;
    assert_eq!(until_it_stands(0, made).await, 0, "nobody reads yet");
    for step in 1..=3 {
        let mut part = AsyncReadExt::take(&mut stream, STEP);
        assert_eq!(soon(tokio::io::copy(&mut part, &mut tokio::io::sink())).await.unwrap(), STEP);
        let made = until_it_stands(step * STEP, made).await;
        assert!(made < step * STEP + AHEAD, "{made} bytes for the {step} × {STEP} that were read");
    }
    drop(stream);
    nothing_left(&pool).await;
    no_source(&pool).await;
}

/// How much was made once it is that much at least, and no more comes.
async fn until_it_stands(least: u64, made: impl AsyncFn() -> u64) -> u64 {
    soon(async {
        loop {
            let before = made().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if before >= least && made().await == before {
                return before;
            }
        }
    })
    .await
}
