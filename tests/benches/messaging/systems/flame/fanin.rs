//! Many remote actors tell one local actor.

use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{Child, Pool, RemoteAddr, remote};
use futures_util::future;
use serde::{Deserialize, Serialize};

use super::{Echo, Tell};
use crate::workload::Sample;

/// How many tell.
pub(super) const TELLERS: u32 = 64;
/// One of so many messages is answered, and waited for: so each teller has no more than these under way, and the others
/// have their turn.
const UNDER_WAY: u64 = 64;

pub(super) struct Fanin {
    tellers: Vec<Child<Teller>>,
    sink: RemoteAddr<Echo>,
}

impl Fanin {
    pub(super) async fn place(pool: &Pool) -> Self {
        let placings = (0..TELLERS).map(|_| pool.place_child(Teller));
        let tellers = future::try_join_all(placings).await.expect("children");
        Self { tellers, sink: Echo::default().start().into() }
    }

    pub(super) async fn run(&self, time: Duration) -> Sample {
        let start = Instant::now();
        let told = self.tellers.iter().map(|teller| teller.send(Pour { sink: self.sink.clone(), time }));
        let told: u64 = future::try_join_all(told).await.expect("counts").into_iter().sum();
        Sample { figure: told as f64 / start.elapsed().as_secs_f64(), p99: None }
    }
}

#[derive(Serialize, Deserialize)]
struct Teller;

impl Actor for Teller {
    type Context = Context<Self>;
}

/// To tell this actor, for so long; how often it was told and has handled it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Pour {
    sink: RemoteAddr<Echo>,
    time: Duration,
}

#[remote]
impl Handler<Pour> for Teller {
    type Result = ResponseFuture<u64>;

    fn handle(&mut self, Pour { sink, time }: Pour, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move {
            let (start, payload) = (Instant::now(), Bytes::from_static(&[7; 64]));
            let mut told = 0;
            while start.elapsed() < time {
                for _ in 1..UNDER_WAY {
                    sink.try_send(Tell(payload.clone())).expect("room for as many as are under way");
                }
                sink.send(Tell(payload.clone())).await.expect("an answer");
                told += UNDER_WAY;
            }
            told
        })
    }
}
