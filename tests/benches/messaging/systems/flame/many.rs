//! Many actors on one runner, asked in turns.

use std::cell::Cell;

use bytes::Bytes;
use flame_actor::{Child, Pool};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Ask, Echo};
use crate::workload::Client;

/// How many.
pub(super) const ACTORS: u32 = 10_000;

pub(super) struct Many {
    actors: Vec<Child<Echo>>,
    next: Cell<usize>,
}

impl Many {
    pub(super) async fn place(pool: &Pool) -> Self {
        let placings = stream::iter((0..ACTORS).map(|_| pool.place_child(Echo::default())));
        let actors = placings.buffer_unordered(256).try_collect().await.expect("children");
        Self { actors, next: Cell::new(0) }
    }
}

impl Client for Many {
    async fn ask(&self, payload: &Bytes) {
        let next = self.next.replace((self.next.get() + 1) % self.actors.len());
        self.actors[next].send(Ask(payload.clone())).await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        self.ask(payload).await;
    }

    async fn settle(&self) {}
}
