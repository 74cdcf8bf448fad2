//! A child is placed on an empty pool: its runner boots, joins, starts it, and it replies.

use std::time::Instant;

use bytes::Bytes;
use flame_actor::{Pool, pool::machine::PoolEvent};

use super::{Row, since};
use crate::systems::{
    bare,
    flame::{Ask, Echo},
};

/// Milliseconds of one of them.
struct Cold {
    /// From the boot to the join.
    boot: f64,
    /// All else until the child has started.
    start: f64,
    reply: f64,
}

pub(super) async fn run(rounds: usize) -> Vec<Row> {
    let (mut colds, mut least) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        colds.push(cold().await);
        let start = Instant::now();
        let _copy = bare(1).await;
        least.push(since(start));
    }
    let figures = |of: fn(&Cold) -> f64| colds.iter().map(of).collect();
    vec![
        Row::whole("flame", figures(|cold| cold.boot + cold.start + cold.reply)),
        Row::whole("spawn", least),
        Row::part("boot", figures(|cold| cold.boot)),
        Row::part("start", figures(|cold| cold.start)),
        Row::part("reply", figures(|cold| cold.reply)),
    ]
}

async fn cold() -> Cold {
    let pool = Pool::builder("cold").max(1).start().expect("a pool");
    let mut events = pool.subscribe();
    let start = Instant::now();
    let child = pool.place_child(Echo::default()).await.expect("a child");
    let placed = since(start);
    child.send(Ask(Bytes::from_static(&[7; 64]))).await.expect("an answer");
    let reply = since(start) - placed;
    let boot = loop {
        if let PoolEvent::Grown { took, .. } = events.next().await.expect("the boot's end") {
            break took.as_secs_f64() * 1e3;
        }
    };
    drop(child);
    pool.stop().await;
    Cold { boot, start: placed - boot, reply }
}
