//! The bytes of messages, counted by a relay between a parent and its runner.
//!
//! What is counted is the payload of all UDP packets, in both directions: with QUIC's own headers, acknowledgements,
//! credit, and pings.

mod relay;

use std::{sync::Arc, sync::atomic::AtomicU64, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use flame_actor::{Child, Pool};
use futures_util::{StreamExt, stream};

use super::Row;
use crate::{
    exchange::Client,
    systems::flame::{Ask, Echo, Placed},
};

const MESSAGES: usize = 100_000;
/// Of an ask in flight with nothing beside it, each of whose packets carries one message.
const ALONE: usize = 5_000;
const PAYLOAD: usize = 64;

pub(super) async fn run(rounds: usize) -> Vec<Row> {
    let relayed = Arc::new(AtomicU64::new(0));
    let pool = Pool::builder("wire").max(1).backend(relay::Relayed::new(&relayed)).start().expect("a pool");
    let child = pool.place_child(Echo::default()).await.expect("a child");
    // MTU discovery has ended, and windows have grown.
    asks(&child, MESSAGES, 256).await;
    let (mut tell, mut ask, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let count = || relayed.load(Relaxed);
    let placed = Placed::new(child.addr());
    for _ in 0..rounds.min(5) {
        let before = count();
        for _ in 0..MESSAGES {
            placed.tell(&payload()).await;
        }
        placed.settle().await;
        tell.push((count() - before) as f64 / MESSAGES as f64 - PAYLOAD as f64);
        let before = count();
        asks(&child, MESSAGES, 256).await;
        ask.push((count() - before) as f64 / MESSAGES as f64 - 2.0 * PAYLOAD as f64);
        let before = count();
        asks(&child, ALONE, 1).await;
        alone.push((count() - before) as f64 / ALONE as f64 - 2.0 * PAYLOAD as f64);
    }
    drop((placed, child));
    pool.stop().await;
    vec![Row::part("tell", tell), Row::part("ask", ask), Row::part("ask-alone", alone)]
}

async fn asks(child: &Child<Echo>, count: usize, in_flight: usize) {
    let asks = stream::iter((0..count).map(|_| child.send(Ask(payload()))));
    asks.buffer_unordered(in_flight).for_each(async |answer| drop(answer.expect("an answer"))).await;
}

fn payload() -> Bytes {
    Bytes::from_static(&[7; PAYLOAD])
}
