//! This project: an actor that was placed on a runner, which is a process.

use std::{cell::RefCell, time::Duration};

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{Child, Pool, Request, remote};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{obey, obey_by};
use crate::workload::{self, Client, Receipts, Sample, Workload};

/// Echoes and counts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Echo {
    told: u64,
}

impl Actor for Echo {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Bytes")]
pub(super) struct Ask(pub(super) Bytes);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(super) struct Tell(pub(super) Bytes);

#[remote]
impl Handler<Ask> for Echo {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, Ask(payload): Ask, _: &mut Context<Self>) -> Self::Result {
        MessageResult(payload)
    }
}

#[remote]
impl Handler<Tell> for Echo {
    type Result = ();

    fn handle(&mut self, Tell(payload): Tell, _: &mut Context<Self>) {
        self.told += payload.len() as u64;
    }
}

pub(super) async fn call() {
    let pool = Pool::builder("echo").max(1).start().expect("a pool");
    let echo = pool.place_child(Echo::default()).await.expect("a child");
    obey(Placed { echo, receipts: RefCell::new(Receipts::new()) }).await;
    pool.stop().await;
}

/// The actor on the thread of its runner's link, and its caller on that of the parent's links.
pub(super) async fn call_colocated() {
    let pool = Pool::builder("echo").max(1).start().expect("a pool");
    let echo = pool.place_child(Echo::default()).colocated().await.expect("a child");
    let mut idle = Some(Placed { echo, receipts: RefCell::new(Receipts::new()) });
    obey_by(async |workload, time| {
        let (sample, placed) = run_beside(&pool, idle.take().expect("back again"), workload, time).await;
        idle = Some(placed);
        sample
    })
    .await;
    drop(idle);
    pool.stop().await;
}

async fn run_beside(pool: &Pool, placed: Placed, workload: Workload, time: Duration) -> (Sample, Placed) {
    let (done, sample) = oneshot::channel();
    pool.link_arbiter().spawn_fn(move || {
        actix::spawn(async move {
            let sample = workload::run(&placed, workload, time).await;
            let _ = done.send((sample, placed));
        });
    });
    sample.await.expect("a sample")
}

struct Placed {
    echo: Child<Echo>,
    receipts: RefCell<Receipts<Request<Tell>>>,
}

impl Client for Placed {
    async fn ask(&self, payload: &Bytes) {
        self.echo.send(Ask(payload.clone())).await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        let due = self.receipts.borrow_mut().is_due(payload.len());
        if !due && self.echo.try_send(Tell(payload.clone())).is_ok() {
            return;
        }
        let overdue = self.receipts.borrow_mut().keep(self.echo.send(Tell(payload.clone())));
        if let Some(receipt) = overdue {
            receipt.await.expect("an answer");
        }
    }

    async fn settle(&self) {
        let open = self.receipts.borrow_mut().take();
        for receipt in open {
            receipt.await.expect("an answer");
        }
        self.ask(&Bytes::new()).await;
    }
}
