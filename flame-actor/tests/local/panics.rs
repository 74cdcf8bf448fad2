//! A panic ends what panicked, tells who waits, and harms no other.

use actix::prelude::*;
use flame_actor::{CallError, DownReason, PlaceFailure, SendError, remote, task};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{Log, Note, Notes, builder, pool, soon};

#[derive(Serialize, Deserialize)]
struct Fragile {
    at_start: bool,
}

impl Actor for Fragile {
    type Context = Context<Self>;
    fn started(&mut self, _: &mut Context<Self>) {
        assert!(!self.at_start, "no start today");
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Break;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct BreakLater;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Never;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Fine;

#[remote]
impl Handler<Break> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("broken by a message");
    }
}

#[remote]
impl Handler<BreakLater> for Fragile {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: BreakLater, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("broken in a future");
        })
    }
}

#[remote]
impl Handler<Never> for Fragile {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: Never, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending().into_actor(self))
    }
}

#[remote]
impl Handler<Fine> for Fragile {
    type Result = u64;
    fn handle(&mut self, _: Fine, _: &mut Context<Self>) -> u64 {
        7
    }
}

#[actix::test]
async fn a_panic_in_a_handler_ends_the_actor_and_no_other() {
    let pool = pool("fragile");
    let neighbour = pool.place_child(Log(vec![1])).await.unwrap();
    let fragile = pool.place_child(Fragile { at_start: false }).await.unwrap();
    let waiting = fragile.send(Never);
    let error = soon(fragile.send(Break)).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Panicked { message } if message == "broken by a message"),
        "{error:?}"
    );
    // Who waited for an answer of the actor's is told too.
    assert!(soon(waiting).await.is_err());
    let error = soon(fragile.send(Fine)).await.unwrap_err();
    let SendError::Gone(DownReason::Panicked { message }) = &error else { panic!("{error:?}") };
    assert_eq!(message, "broken by a message");
    neighbour.send(Note(2)).await.unwrap();
    assert_eq!(neighbour.send(Notes).await.unwrap(), [1, 2]);
}

#[actix::test]
async fn a_panic_in_a_future_that_a_handler_returned_leaves_the_actor_alive() {
    let pool = pool("futures");
    let fragile = pool.place_child(Fragile { at_start: false }).await.unwrap();
    let error = soon(fragile.send(BreakLater)).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Panicked { message } if message == "broken in a future"),
        "{error:?}"
    );
    assert_eq!(soon(fragile.send(Fine)).await.unwrap(), 7);
}

#[actix::test]
async fn a_panic_in_started_fails_the_placing_and_frees_the_slot() {
    let pool = builder("starts").max_concurrency(1).start().unwrap();
    let error = soon(pool.place_child(Fragile { at_start: true })).await.unwrap_err();
    assert!(
        matches!(&error.reason, PlaceFailure::Panicked { message, .. } if message == "no start today"),
        "{error:?}"
    );
    assert!(error.actor.is_none(), "it was started elsewhere, so it cannot come back");
    let fragile = soon(pool.place_child(Fragile { at_start: false })).await.unwrap();
    assert_eq!(fragile.send(Fine).await.unwrap(), 7);
}

#[task]
async fn failing(words: String) {
    panic!("{words}");
}

#[task]
fn failing_on_a_thread(words: String) {
    panic!("{words}");
}

#[actix::test]
async fn a_panic_in_a_task_reaches_its_caller() {
    let pool = pool("tasks");
    let error = soon(pool.call(failing::task("in a task".into()))).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "in a task"), "{error:?}");
    let error = soon(pool.call(failing_on_a_thread::task("on a thread".into()))).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "on a thread"), "{error:?}");
}

/// Cannot be encoded, or decoded.
struct Awkward(bool);

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 { self.0.serialize(serializer) } else { Err(serde::ser::Error::custom("it will not go")) }
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("decoding panics");
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Carry(Awkward);

#[remote]
impl Handler<Carry> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Carry, _: &mut Context<Self>) {}
}

#[actix::test]
async fn a_message_that_cannot_be_encoded_is_an_error_of_its_sender_alone() {
    let pool = pool("awkward");
    let fragile = pool.place_child(Fragile { at_start: false }).await.unwrap();
    let error = soon(fragile.send(Carry(Awkward(false)))).await.unwrap_err();
    assert!(
        matches!(error, SendError::Encode(_)) && error.to_string().contains("it will not go"),
        "{error:?}"
    );
    assert!(matches!(fragile.try_send(Carry(Awkward(false))), Err(SendError::Encode(_))));
    assert_eq!(soon(fragile.send(Fine)).await.unwrap(), 7);
}

#[actix::test]
async fn a_panic_while_a_message_is_decoded_is_told_to_its_sender() {
    let pool = pool("decoding");
    let neighbour = pool.place_child(Log(vec![1])).await.unwrap();
    let fragile = pool.place_child(Fragile { at_start: false }).await.unwrap();
    let error = soon(fragile.send(Carry(Awkward(true)))).await.unwrap_err();
    assert!(error.to_string().contains("decoding panics"), "{error:?}");
    assert_eq!(soon(neighbour.send(Notes)).await.unwrap(), [1]);
}

/// Panics when it is encoded.
#[derive(Deserialize)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("encoding panics");
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Ship(Explosive);

#[remote]
impl Handler<Ship> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Ship, _: &mut Context<Self>) {}
}

#[actix::test]
async fn a_panic_while_a_message_is_encoded_is_an_error_of_its_sender_alone() {
    let pool = pool("encoding");
    let fragile = pool.place_child(Fragile { at_start: false }).await.unwrap();
    let error = soon(fragile.send(Ship(Explosive))).await.unwrap_err();
    assert!(
        matches!(error, SendError::Encode(_)) && error.to_string().contains("encoding panics"),
        "{error:?}"
    );
    assert!(soon(fragile.recipient::<Ship>().send(Ship(Explosive))).await.is_err());
    assert_eq!(soon(fragile.send(Fine)).await.unwrap(), 7);
}
