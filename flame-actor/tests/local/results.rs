//! Every kind of handler result that actix knows, from another node.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

use crate::support::{pool, soon};

#[derive(Serialize, Deserialize)]
struct Kinds {
    n: u64,
}

impl Actor for Kinds {
    type Context = Context<Self>;
}

macro_rules! message {
    ($name:ident -> $result:literal) => {
        #[derive(Message, Serialize, Deserialize)]
        #[rtype(result = $result)]
        struct $name(u64);
    };
}

message!(Value -> "u64");
message!(Fallible -> "Result<u64, String>");
message!(Tuple -> "(u64, String)");
message!(Future -> "u64");
message!(ActorFuture -> "u64");
message!(Atomic -> "u64");
message!(Peek -> "u64");

#[remote]
impl Handler<Value> for Kinds {
    type Result = u64;
    fn handle(&mut self, m: Value, _: &mut Context<Self>) -> u64 {
        self.n + m.0
    }
}

#[remote]
impl Handler<Fallible> for Kinds {
    type Result = Result<u64, String>;
    fn handle(&mut self, m: Fallible, _: &mut Context<Self>) -> Self::Result {
        if m.0 == 0 { Err("zero".to_owned()) } else { Ok(m.0) }
    }
}

#[remote]
impl Handler<Tuple> for Kinds {
    type Result = MessageResult<Tuple>;
    fn handle(&mut self, m: Tuple, _: &mut Context<Self>) -> Self::Result {
        MessageResult((m.0, m.0.to_string()))
    }
}

#[remote]
impl Handler<Future> for Kinds {
    type Result = ResponseFuture<u64>;
    fn handle(&mut self, m: Future, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move {
            tokio::task::yield_now().await;
            m.0
        })
    }
}

#[remote]
impl Handler<ActorFuture> for Kinds {
    type Result = ResponseActFuture<Self, u64>;
    fn handle(&mut self, m: ActorFuture, _: &mut Context<Self>) -> Self::Result {
        Box::pin(tokio::task::yield_now().into_actor(self).map(move |(), actor, _| actor.n + m.0))
    }
}

#[remote]
impl Handler<Atomic> for Kinds {
    type Result = AtomicResponse<Self, u64>;
    fn handle(&mut self, m: Atomic, _: &mut Context<Self>) -> Self::Result {
        let wait = tokio::time::sleep(Duration::from_millis(20)).into_actor(self);
        AtomicResponse::new(Box::pin(wait.map(move |(), actor, _| {
            actor.n += m.0;
            actor.n
        })))
    }
}

#[remote]
impl Handler<Peek> for Kinds {
    type Result = u64;
    fn handle(&mut self, _: Peek, _: &mut Context<Self>) -> u64 {
        self.n
    }
}

#[actix::test]
async fn every_kind_of_result_comes_back() {
    let pool = pool("kinds");
    let kinds = pool.place_child(Kinds { n: 100 }).await.unwrap();
    assert_eq!(kinds.send(Value(1)).await.unwrap(), 101);
    assert_eq!(kinds.send(Fallible(7)).await.unwrap(), Ok(7));
    assert_eq!(kinds.send(Fallible(0)).await.unwrap(), Err("zero".to_owned()));
    assert_eq!(kinds.send(Tuple(3)).await.unwrap(), (3, "3".to_owned()));
    assert_eq!(kinds.send(Future(4)).await.unwrap(), 4);
    assert_eq!(kinds.send(ActorFuture(5)).await.unwrap(), 105);
    assert_eq!(kinds.send(Atomic(6)).await.unwrap(), 106);
}

#[actix::test]
async fn no_message_is_handled_while_an_atomic_response_is_awaited() {
    let pool = pool("atomic");
    let kinds = pool.place_child(Kinds { n: 0 }).await.unwrap();
    let (atomic, peek) = (kinds.send(Atomic(5)), kinds.send(Peek(0)));
    // The second waits for the first to have changed the actor.
    let (atomic, peek) = soon(async { (atomic.await, peek.await) }).await;
    assert_eq!((atomic.unwrap(), peek.unwrap()), (5, 5));
}

#[actix::test]
async fn a_slow_answer_does_not_hold_back_the_next_message() {
    let pool = pool("slow");
    let kinds = pool.place_child(Kinds { n: 1 }).await.unwrap();
    let mut asks = Vec::new();
    for n in 0..500 {
        asks.push(kinds.send(Future(n)));
    }
    assert_eq!(soon(kinds.send(Value(1))).await.unwrap(), 2);
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(soon(ask).await.unwrap(), n as u64);
    }
}
