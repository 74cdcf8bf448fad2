//! Children that run on the thread of their runner's link.

use std::{thread, time::Duration};

use actix::prelude::*;
use flame_actor::{DownReason, Restart, SendError, remote};
use flame_tests::{Add, Counter, process_id};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::support::{builder, signal, soon, tests};

tests![
    a_colocated_child_is_on_the_thread_of_the_link_and_no_other_is,
    a_colocated_child_gives_every_kind_of_result_in_order,
    a_colocated_child_that_panics_ends_alone_and_is_mourned,
    a_colocated_child_stops_and_meets_its_lifetime,
    a_colocated_child_is_started_again_on_another_runner,
    the_link_goes_on_while_a_colocated_child_waits,
    an_actor_beside_the_links_asks_and_is_answered,
];

/// Does not block.
#[derive(Default, Serialize, Deserialize)]
struct Quick {
    sum: u64,
}

impl Actor for Quick {
    type Context = Context<Self>;
}

macro_rules! message {
    ($name:ident($($field:ty)?) -> $result:literal) => {
        #[derive(Message, Serialize, Deserialize)]
        #[rtype(result = $result)]
        struct $name($($field)?);
    };
}

message!(Where() -> "Option<String>");
message!(Tell(u64) -> "()");
message!(Value(u64) -> "u64");
message!(Later(u64) -> "u64");
message!(WithActor(u64) -> "u64");
message!(Atomic(u64) -> "u64");
message!(Panic() -> "()");
message!(Stop() -> "()");

fn this_thread() -> Option<String> {
    thread::current().name().map(ToOwned::to_owned)
}

#[remote]
impl Handler<Where> for Quick {
    type Result = MessageResult<Where>;
    fn handle(&mut self, Where(): Where, _: &mut Context<Self>) -> Self::Result {
        MessageResult(this_thread())
    }
}

#[remote]
impl Handler<Tell> for Quick {
    type Result = ();
    fn handle(&mut self, Tell(n): Tell, _: &mut Context<Self>) {
        // Tells the order, too.
        self.sum = self.sum * 2 + n;
    }
}

#[remote]
impl Handler<Value> for Quick {
    type Result = u64;
    fn handle(&mut self, Value(n): Value, _: &mut Context<Self>) -> u64 {
        self.sum + n
    }
}

#[remote]
impl Handler<Later> for Quick {
    type Result = ResponseFuture<u64>;
    fn handle(&mut self, Later(n): Later, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(n)).await;
            n
        })
    }
}

#[remote]
impl Handler<WithActor> for Quick {
    type Result = ResponseActFuture<Self, u64>;
    fn handle(&mut self, WithActor(n): WithActor, _: &mut Context<Self>) -> Self::Result {
        Box::pin(tokio::task::yield_now().into_actor(self).map(move |(), actor, _| actor.sum + n))
    }
}

#[remote]
impl Handler<Atomic> for Quick {
    type Result = AtomicResponse<Self, u64>;
    fn handle(&mut self, Atomic(n): Atomic, _: &mut Context<Self>) -> Self::Result {
        let wait = tokio::time::sleep(Duration::from_millis(20)).into_actor(self);
        AtomicResponse::new(Box::pin(wait.map(move |(), actor, _| {
            actor.sum += n;
            actor.sum
        })))
    }
}

#[remote]
impl Handler<Panic> for Quick {
    type Result = ();
    fn handle(&mut self, Panic(): Panic, _: &mut Context<Self>) {
        panic!("beside the link");
    }
}

#[remote]
impl Handler<Stop> for Quick {
    type Result = ();
    fn handle(&mut self, Stop(): Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

async fn a_colocated_child_is_on_the_thread_of_the_link_and_no_other_is() {
    let pool = builder("beside").start().unwrap();
    let beside = pool.place_child(Quick::default()).colocated().await.unwrap();
    let apart = pool.place_child(Quick::default()).await.unwrap();
    assert_eq!(beside.send(Where()).await.unwrap().as_deref(), Some("beside-1-net"));
    assert_ne!(apart.send(Where()).await.unwrap().as_deref(), Some("beside-1-net"));
    // The last word counts.
    let own = pool.place_child(Quick::default()).colocated().own_arbiter().await.unwrap();
    assert_ne!(own.send(Where()).await.unwrap().as_deref(), Some("beside-1-net"));
}

async fn a_colocated_child_gives_every_kind_of_result_in_order() {
    let pool = builder("kinds").start().unwrap();
    let quick = pool.place_child(Quick { sum: 100 }).colocated().await.unwrap();
    assert_eq!(quick.send(Value(1)).await.unwrap(), 101);
    assert_eq!(quick.send(Later(4)).await.unwrap(), 4);
    assert_eq!(quick.send(WithActor(5)).await.unwrap(), 105);
    let (atomic, after) = (quick.send(Atomic(6)), quick.send(Value(0)));
    assert_eq!(soon(atomic).await.unwrap(), 106);
    assert_eq!(soon(after).await.unwrap(), 106);
    // A slow answer holds back no other, and tells keep their order.
    let slow = quick.send(Later(300));
    for n in [1, 0, 1] {
        quick.do_send(Tell(n));
    }
    assert_eq!(quick.send(Value(0)).await.unwrap(), ((106 * 2 + 1) * 2) * 2 + 1);
    assert_eq!(soon(slow).await.unwrap(), 300);
}

async fn a_colocated_child_that_panics_ends_alone_and_is_mourned() {
    let pool = builder("alone").start().unwrap();
    let quick = pool.place_child(Quick::default()).colocated().await.unwrap();
    let other = pool.place_child(Quick { sum: 7 }).colocated().await.unwrap();
    let watch = quick.watch();
    let error = quick.send(Panic()).await.unwrap_err();
    assert!(matches!(&error, SendError::Panicked { .. }), "{error:?}");
    let reason = soon(watch).await.reason;
    assert!(
        matches!(&reason, DownReason::Panicked { message } if message.contains("beside the link")),
        "{reason:?}"
    );
    assert_eq!(other.send(Value(0)).await.unwrap(), 7);
    assert_eq!(pool.inspect().runners.len(), 1);
}

async fn a_colocated_child_stops_and_meets_its_lifetime() {
    let pool = builder("ends").start().unwrap();
    let quick = pool.place_child(Quick::default()).colocated().await.unwrap();
    let watch = quick.watch();
    quick.do_send(Stop());
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    let lifetime = Duration::from_millis(200);
    let mortal = pool.place_child(Quick::default()).colocated().lifetime(lifetime).await.unwrap();
    assert_eq!(soon(mortal.watch()).await.reason, DownReason::Deadline { lifetime });
}

async fn a_colocated_child_is_started_again_on_another_runner() {
    let pool = builder("again").start().unwrap();
    let quick = pool.place_child(Quick { sum: 5 }).colocated().restart(Restart::Permanent).await.unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    signal(pid, Signal::KILL);
    let place = soon(async {
        loop {
            match quick.send(Where()).await {
                // The first one may have answered once more.
                Ok(place) if place.as_deref() != Some("again-1-net") => return place,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(place.as_deref(), Some("again-2-net"));
    assert_eq!(soon(quick.send(Value(0))).await.unwrap(), 5);
}

async fn the_link_goes_on_while_a_colocated_child_waits() {
    let pool = builder("goes-on").start().unwrap();
    let quick = pool.place_child(Quick::default()).colocated().await.unwrap();
    let counter = pool.place_child(Counter(0)).await.unwrap();
    let mut waits = std::pin::pin!(quick.send(Atomic(1)));
    for n in 1..=50 {
        tokio::select! {
            answer = counter.send(Add(1)) => assert_eq!(answer.unwrap(), n),
            _ = &mut waits, if false => {}
        }
    }
    assert_eq!(soon(waits).await.unwrap(), 1);
}

/// Lives on the thread of the links of the tests' own process.
struct Asker;

impl Actor for Asker {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "(Option<String>, Result<u64, SendError>)")]
struct AskIt(flame_actor::RemoteAddr<Quick>);

impl Handler<AskIt> for Asker {
    type Result = ResponseFuture<(Option<String>, Result<u64, SendError>)>;
    fn handle(&mut self, AskIt(quick): AskIt, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move {
            let answer = quick.send(Value(1)).await;
            (this_thread(), answer)
        })
    }
}

async fn an_actor_beside_the_links_asks_and_is_answered() {
    let pool = builder("asker").start().unwrap();
    let quick = pool.place_child(Quick { sum: 1 }).colocated().await.unwrap();
    let asker = Asker::start_in_arbiter(&pool.link_arbiter(), |_| Asker);
    let (thread, answer) = soon(asker.send(AskIt(quick.clone()))).await.unwrap();
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(thread.as_deref(), Some("parent-net"));
}
