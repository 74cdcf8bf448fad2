//! A pool grows from no runners to 8, each with one child that replies.

use std::time::Instant;

use bytes::Bytes;
use flame_actor::Pool;
use futures_util::future;

use super::{Row, since};
use crate::systems::{
    bare,
    flame::{Ask, Echo},
};

const RUNNERS: u32 = 8;

pub(super) async fn run(rounds: usize) -> Vec<Row> {
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(grow().await);
        let start = Instant::now();
        let _copies = bare(RUNNERS as usize).await;
        least.push(since(start));
    }
    vec![Row::whole("flame", ours), Row::whole("spawn", least)]
}

async fn grow() -> f64 {
    let pool = Pool::builder("scale").max(RUNNERS).max_concurrency(1).start().expect("a pool");
    let start = Instant::now();
    let replies = (0..RUNNERS).map(|_| async {
        let child = pool.place_child(Echo::default()).await.expect("a child");
        child.send(Ask(Bytes::from_static(&[7; 64]))).await.expect("an answer");
        child
    });
    let children = future::join_all(replies).await;
    let took = since(start);
    drop(children);
    pool.stop().await;
    took
}
