//! References to actors in messages, results, placed actors and tasks.

use actix::prelude::*;
use flame_actor::{Pool, RemoteAddr, RemoteRecipient, remote, task};
use serde::{Deserialize, Serialize};

use crate::support::{Log, Note, Notes, pool, soon, until};

/// Keeps references of all kinds, and gives them back.
#[derive(Default, Serialize, Deserialize)]
struct Keeper {
    #[serde(skip)]
    logs: Vec<RemoteAddr<Log>>,
    #[serde(skip)]
    recipients: Vec<Recipient<Note>>,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Keep {
    log: RemoteAddr<Log>,
    typed: RemoteRecipient<Note>,
    #[serde(with = "flame_actor::recipient")]
    plain: Recipient<Note>,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<RemoteAddr<Log>>")]
struct Logs;

#[derive(Serialize, Deserialize)]
struct Plain(#[serde(with = "flame_actor::recipient")] Recipient<Note>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<Plain>")]
struct Recipients;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Forget;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "RemoteAddr<Keeper>")]
struct Myself;

#[remote]
impl Handler<Keep> for Keeper {
    type Result = ();
    fn handle(&mut self, keep: Keep, _: &mut Context<Self>) {
        keep.log.do_send(Note(1));
        keep.typed.do_send(Note(2));
        keep.plain.do_send(Note(3));
        self.logs.push(keep.log);
        self.recipients.extend([keep.typed.recipient(), keep.plain]);
    }
}

#[remote]
impl Handler<Logs> for Keeper {
    type Result = MessageResult<Logs>;
    fn handle(&mut self, _: Logs, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.logs.clone())
    }
}

#[remote]
impl Handler<Recipients> for Keeper {
    type Result = MessageResult<Recipients>;
    fn handle(&mut self, _: Recipients, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.recipients.iter().cloned().map(Plain).collect())
    }
}

#[remote]
impl Handler<Forget> for Keeper {
    type Result = ();
    fn handle(&mut self, _: Forget, _: &mut Context<Self>) {
        self.logs.clear();
        self.recipients.clear();
    }
}

#[remote]
impl Handler<Myself> for Keeper {
    type Result = MessageResult<Myself>;
    fn handle(&mut self, _: Myself, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(ctx.address().into())
    }
}

fn keep(log: &Addr<Log>) -> Keep {
    let plain: Recipient<Note> = log.clone().recipient();
    Keep { log: log.clone().into(), typed: plain.clone().into(), plain }
}

async fn notes_of(log: &Addr<Log>, count: usize) -> Vec<u64> {
    loop {
        let notes = log.send(Notes).await.unwrap();
        if notes.len() >= count {
            return notes;
        }
        tokio::task::yield_now().await;
    }
}

async fn no_exports(pool: &Pool) {
    until("nothing is exported", || pool.exports() == 0).await;
}

#[actix::test]
async fn what_is_sent_to_a_reference_lands_in_the_mailbox_of_its_actor() {
    let pool = pool("landing");
    let log = Log::default().start();
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    soon(keeper.send(keep(&log))).await.unwrap();
    let mut notes = soon(notes_of(&log, 3)).await;
    notes.sort_unstable();
    assert_eq!(notes, [1, 2, 3]);
}

#[actix::test]
async fn a_reference_that_comes_home_is_the_original() {
    let pool = pool("home");
    let log = Log::default().start();
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    soon(keeper.send(keep(&log))).await.unwrap();
    let back = soon(keeper.send(Logs)).await.unwrap();
    assert_eq!(back, [RemoteAddr::from(log.clone())]);
    assert_eq!(back[0].as_local(), Some(&log));
    let plain: Recipient<Note> = log.clone().recipient();
    let back = soon(keeper.send(Recipients)).await.unwrap();
    assert!(back.len() == 2 && back.iter().all(|Plain(recipient)| *recipient == plain));
}

#[actix::test]
async fn an_actor_is_exported_only_while_a_reference_to_it_lives() {
    let pool = pool("exports");
    let log = Log::default().start();
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    no_exports(&pool).await;
    for _ in 0..3 {
        soon(keeper.send(keep(&log))).await.unwrap();
    }
    // As an address and as a recipient, however often it was sent.
    assert_eq!(pool.exports(), 2);
    soon(keeper.send(Forget)).await.unwrap();
    no_exports(&pool).await;
    // And again, after it was forgotten.
    soon(keeper.send(keep(&log))).await.unwrap();
    assert_eq!(soon(notes_of(&log, 12)).await.len(), 12);
    drop(keeper);
    no_exports(&pool).await;
}

#[actix::test]
async fn references_in_a_message_that_nobody_takes_are_given_back() {
    let pool = pool("dead");
    let log = Log::default().start();
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    let address = keeper.addr();
    drop(keeper);
    // Sent while the child goes: taken, refused, or handed back as a dead letter.
    for _ in 0..20 {
        address.do_send(keep(&log));
        let _ = soon(address.send(keep(&log))).await;
    }
    no_exports(&pool).await;
}

#[actix::test]
async fn references_in_an_answer_that_nobody_waits_for_are_given_back() {
    let pool = pool("unclaimed");
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    for _ in 0..50 {
        drop(keeper.send(Myself));
    }
    let me = soon(keeper.send(Myself)).await.unwrap();
    assert_eq!(me, keeper.addr(), "an actor's own address is its child's address");
    let address = keeper.detach();
    drop(address);
    soon(me.send(Forget)).await.unwrap();
    drop(me);
    until("the keeper has stopped, as nobody has its address", || pool.inspect().held == 0).await;
}

#[actix::test]
async fn a_recipient_of_a_placed_actor_is_a_genuine_actix_recipient() {
    let pool = pool("genuine");
    let child = pool.place_child(Log::default()).await.unwrap();
    let recipient: Recipient<Note> = child.recipient();
    soon(recipient.send(Note(1))).await.unwrap();
    recipient.do_send(Note(2));
    recipient.try_send(Note(3)).unwrap();
    let clone = recipient.clone();
    assert_eq!(recipient, clone);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let recipient = recipient.clone();
            std::thread::spawn(move || (0..500).for_each(|n| recipient.do_send(Note(n))))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    soon(clone.send(Note(4))).await.unwrap();
    let notes = soon(child.send(Notes)).await.unwrap();
    assert_eq!((&notes[..3], notes.len(), notes.last()), (&[1, 2, 3][..], 2004, Some(&4)));
    drop(child);
    until("it hears that the actor is gone", || {
        recipient.do_send(Note(5));
        !recipient.connected() || pool.inspect().held == 0
    })
    .await;
    assert!(soon(recipient.send(Note(6))).await.is_err());
}

#[actix::test]
async fn a_recipient_of_a_placed_actor_keeps_it_alive_and_its_end_lets_it_go() {
    let pool = pool("alive");
    let child = pool.place_child(Log::default()).await.unwrap();
    let recipient: Recipient<Note> = child.recipient();
    drop(child.detach());
    soon(recipient.send(Note(1))).await.unwrap();
    assert_eq!(pool.inspect().held, 1);
    drop(recipient);
    until("it has stopped", || pool.inspect().held == 0).await;
}

#[task]
async fn tell(to: RemoteAddr<Log>, n: u64) -> RemoteAddr<Log> {
    to.send(Note(n)).await.unwrap();
    to
}

#[actix::test]
async fn references_travel_in_arguments_and_outputs_of_tasks() {
    let pool = pool("tasks");
    let log = Log::default().start();
    let back = soon(pool.call(tell::task(log.clone().into(), 9))).await.unwrap();
    assert_eq!(back, log.clone().into());
    assert_eq!(log.send(Notes).await.unwrap(), [9]);
    no_exports(&pool).await;
}

#[actix::test]
async fn a_child_that_is_sent_to_its_own_runner_comes_home_there() {
    let pool = pool("homes");
    let log = pool.place_child(Log::default()).await.unwrap();
    let back = soon(pool.call(tell::task(log.addr(), 4))).await.unwrap();
    assert_eq!(back, log.addr());
    assert_eq!(log.send(Notes).await.unwrap(), [4]);
}

#[actix::test]
async fn a_reference_is_serialised_only_into_a_message() {
    let log = Log::default().start();
    let error = serde_json::to_string(&RemoteAddr::from(log)).unwrap_err();
    assert!(error.to_string().contains("only while it is sent to another node"), "{error}");
    let error = serde_json::from_str::<RemoteAddr<Log>>("0").unwrap_err();
    assert!(error.to_string().contains("only from a message of another node"), "{error}");
}

/// Holds a reference and cannot be encoded.
#[derive(Serialize, Deserialize, Message)]
#[rtype(result = "()")]
struct Half {
    log: RemoteAddr<Log>,
    #[serde(serialize_with = "refuse")]
    rest: u8,
}

fn refuse<S: serde::Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("not this"))
}

#[remote]
impl Handler<Half> for Keeper {
    type Result = ();
    fn handle(&mut self, _: Half, _: &mut Context<Self>) {}
}

#[actix::test]
async fn a_message_that_cannot_be_encoded_exports_nothing() {
    let pool = pool("half");
    let log = Log::default().start();
    let keeper = pool.place_child(Keeper::default()).await.unwrap();
    assert!(soon(keeper.send(Half { log: log.into(), rest: 0 })).await.is_err());
    assert_eq!(pool.exports(), 0);
}
