//! Calls whose tasks run and have not ended.

use actix::prelude::*;
use flame_actor::{RemoteRecipient, remote, task};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet};

use super::{MANY, Pair, Sides};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Begun;

/// Says that it has begun, and goes on until it is cancelled.
#[task]
async fn wait(begun: RemoteRecipient<Begun>) {
    begun.do_send(Begun);
    drop(begun);
    std::future::pending().await
}

/// Hears which have begun.
struct Starter(mpsc::Sender<()>);

impl Actor for Starter {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Begun> for Starter {
    type Result = ();

    fn handle(&mut self, _: Begun, _: &mut Context<Self>) {
        self.0.try_send(()).expect("room for all");
    }
}

pub(super) async fn run() -> Sides {
    let pair = Pair::start().await;
    let (heard, mut begun) = mpsc::channel(MANY as usize);
    let starter = Starter(heard).start();
    let starter = flame_actor::RemoteAddr::from(starter).remote_recipient::<Begun>();
    let mut calls = JoinSet::new();
    let mut open = async |count| {
        for _ in 0..count {
            calls.spawn_local(pair.pool.call(wait::task(starter.clone())));
            begun.recv().await.expect("one that begins");
        }
    };
    open(MANY / 10).await;
    let before = pair.used();
    open(MANY).await;
    let sides = before.share(&pair.used(), MANY);
    calls.shutdown().await;
    pair.stop().await;
    sides
}
