//! Actors and pools that the tests share.

use std::{future::Future, time::Duration};

use actix::prelude::*;
use flame_actor::{Pool, PoolBuilder, backend::LocalBackend, remote};
use serde::{Deserialize, Serialize};

pub(crate) fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1).backend(LocalBackend::new())
}

pub(crate) fn pool(name: &str) -> Pool {
    builder(name).start().unwrap()
}

/// Nothing here takes anything near this long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// Looks again until it is so. What another node does comes with no event here.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s: {what}");
}

/// Remembers what it was told, in order.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Log(pub(crate) Vec<u64>);

impl Actor for Log {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) u64);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<u64>")]
pub(crate) struct Notes;

/// A note with some ballast.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Heavy(pub(crate) u64, pub(crate) bytes::Bytes);

#[remote]
impl Handler<Note> for Log {
    type Result = ();
    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

#[remote]
impl Handler<Heavy> for Log {
    type Result = ();
    fn handle(&mut self, Heavy(n, _): Heavy, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

#[remote]
impl Handler<Notes> for Log {
    type Result = MessageResult<Notes>;
    fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.0.clone())
    }
}
