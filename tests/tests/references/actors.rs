//! Actors and tasks that deal in addresses.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{DownReason, Pool, RemoteAddr, RemoteRecipient, Restart, SendError, remote, task};
use flame_tests::{Begun, support::signal};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// Remembers what it was told, in order.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Journal(Vec<u64>);

impl Actor for Journal {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) u64);

/// All notes, and the process that they are in.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "(Vec<u64>, u32)")]
pub(crate) struct Notes;

#[remote]
impl Handler<Note> for Journal {
    type Result = ();
    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

#[remote]
impl Handler<Notes> for Journal {
    type Result = MessageResult<Notes>;
    fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Self::Result {
        MessageResult((self.0.clone(), std::process::id()))
    }
}

/// Keeps the journal's thread for so long.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Doze(pub(crate) Duration);

#[remote]
impl Handler<Doze> for Journal {
    type Result = ();
    fn handle(&mut self, Doze(time): Doze, _: &mut Context<Self>) {
        std::thread::sleep(time);
    }
}

/// Keeps addresses of journals, and starts journals beside it.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    #[serde(skip)]
    journals: Vec<RemoteAddr<Journal>>,
}

impl Actor for Shelf {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
pub(crate) struct Keep(pub(crate) RemoteAddr<Journal>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "RemoteAddr<Journal>")]
pub(crate) struct StartOne;

#[remote]
impl Handler<Keep> for Shelf {
    type Result = u32;
    fn handle(&mut self, Keep(journal): Keep, _: &mut Context<Self>) -> u32 {
        self.journals.push(journal);
        std::process::id()
    }
}

#[remote]
impl Handler<StartOne> for Shelf {
    type Result = MessageResult<StartOne>;
    fn handle(&mut self, _: StartOne, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Journal::default().start().into())
    }
}

/// Has a journal placed by the pool of this name, for whoever asks.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "RemoteAddr<Journal>")]
pub(crate) struct PlaceOne(pub(crate) String);

#[remote]
impl Handler<PlaceOne> for Shelf {
    type Result = ResponseFuture<RemoteAddr<Journal>>;
    fn handle(&mut self, PlaceOne(pool): PlaceOne, _: &mut Context<Self>) -> Self::Result {
        let placing = Pool::named(&pool).unwrap().place_child(Journal::default());
        Box::pin(async { placing.await.unwrap().detach() })
    }
}

/// Takes its time for what it gets.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Sponge(u64);

impl Actor for Sponge {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Drop(#[serde(with = "serde_bytes")] pub(crate) Vec<u8>);

/// How many drops there were.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub(crate) struct Wring;

#[remote]
impl Handler<Drop> for Sponge {
    type Result = ();
    fn handle(&mut self, _: Drop, _: &mut Context<Self>) {
        std::thread::sleep(Duration::from_micros(500));
        self.0 += 1;
    }
}

#[remote]
impl Handler<Wring> for Sponge {
    type Result = u64;
    fn handle(&mut self, _: Wring, _: &mut Context<Self>) -> u64 {
        self.0
    }
}

/// Writes so many notes; all that are there then, where they are, and where this is.
#[task]
pub(crate) async fn write(journal: RemoteAddr<Journal>, count: u64) -> (Vec<u64>, u32, u32) {
    (0..count).for_each(|n| journal.do_send(Note(n)));
    let (notes, there) = journal.send(Notes).await.unwrap();
    (notes, there, std::process::id())
}

/// Writes until that fails, and says when it has begun; how it failed, and how it did at last.
#[task]
pub(crate) async fn write_until_lost(
    journal: RemoteAddr<Journal>,
    begun: RemoteRecipient<Begun>,
) -> (String, String) {
    let mut first = None;
    loop {
        match journal.send(Note(0)).await {
            Ok(()) => begun.do_send(Begun(std::process::id())),
            // The port is closed: this is what everybody hears from now on.
            Err(SendError::Gone(reason)) => {
                let reason = format!("{reason:?}");
                return (first.unwrap_or_else(|| reason.clone()), reason);
            }
            Err(error) => drop(first.get_or_insert(format!("{error:?}"))),
        }
    }
}

/// Sends so many drops of this size, as fast as they are taken; how many there were.
#[task]
pub(crate) async fn pour(sponge: RemoteAddr<Sponge>, count: u64, size: usize) -> u64 {
    for _ in 0..count {
        while let Err(error) = sponge.try_send(Drop(vec![7; size])) {
            assert!(matches!(error, SendError::Full), "{error}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    sponge.send(Wring).await.unwrap()
}

/// Writes more notes than may be under way to a journal that dozes, then asks it to write another one, and gives that up.
#[task]
pub(crate) async fn write_and_give_up(journal: RemoteAddr<Journal>, count: u64, last: u64) -> Vec<u64> {
    journal.do_send(Doze(Duration::from_secs(1)));
    (0..count).for_each(|n| journal.do_send(Note(n)));
    let given_up = journal.send(Note(last));
    // It has left this node before its being given up is told.
    assert!(tokio::time::timeout(Duration::from_millis(100), given_up).await.is_err());
    journal.send(Notes).await.unwrap().0
}

/// Has a journal placed by the pool of this name, and stops it with these words.
#[task]
pub(crate) async fn place_and_stop(pool: String, words: String) -> DownReason {
    let journal = Pool::named(&pool).unwrap().place_child(Journal::default()).await.unwrap();
    journal.stop(words, Duration::from_secs(5)).await.reason
}

/// Has a journal with a restart policy placed by the pool of this name, kills its process, and stops it in its second life; the
/// two processes, and how it ended.
#[task]
pub(crate) async fn place_and_kill(pool: String) -> (u32, u32, DownReason) {
    let placing = Pool::named(&pool).unwrap().place_child(Journal::default()).restart(Restart::Permanent);
    let journal = placing.await.unwrap();
    let node = journal.watch_node();
    // Behind the watch, which would be of the actor if it came between two lives of it.
    let (_, first) = journal.send(Notes).await.unwrap();
    signal(first, Signal::KILL);
    let lost = node.await.reason;
    assert!(matches!(lost, DownReason::NodeLost { .. }), "{lost:?}");
    let (_, second) = journal.send(Notes).await.unwrap();
    (first, second, journal.stop("enough", Duration::from_secs(5)).await.reason)
}

/// Has a journal with a restart policy placed by the pool of this name; its address, for others.
#[task]
pub(crate) async fn place_for_others(pool: String) -> RemoteAddr<Journal> {
    let placing = Pool::named(&pool).unwrap().place_child(Journal::default()).restart(Restart::Permanent);
    placing.await.unwrap().detach()
}

/// Has a journal with a restart policy placed by the pool of this name, shows its address, and stays until it is killed.
#[task]
pub(crate) async fn place_and_stay(pool: String, to: RemoteRecipient<Shown>) {
    let placing = Pool::named(&pool).unwrap().place_child(Journal::default()).restart(Restart::Permanent);
    let journal = placing.await.unwrap();
    let _ = to.send(Shown(std::process::id(), journal.addr())).await;
    std::future::pending().await
}

/// The process that shows it, and what it shows.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Shown(pub(crate) u32, pub(crate) RemoteAddr<Journal>);

/// Has a journal placed for so long by the pool of this name; how it ended.
#[task]
pub(crate) async fn place_for(pool: String, lifetime: Duration) -> DownReason {
    let placing = Pool::named(&pool).unwrap().place_child(Journal::default()).lifetime(lifetime);
    placing.await.unwrap().watch().await.reason
}

/// Watches a journal and its node, and says so; how they ended, and how they are said to have ended afterwards.
#[task]
pub(crate) async fn mourn(journal: RemoteAddr<Journal>, begun: RemoteRecipient<Begun>) -> Vec<DownReason> {
    let (actor, node) = (journal.watch(), journal.watch_node());
    // Behind the watches.
    journal.send(Notes).await.unwrap();
    begun.do_send(Begun(std::process::id()));
    let mut reasons = vec![actor.await.reason, node.await.reason];
    reasons.extend([journal.watch().await.reason, journal.watch_node().await.reason]);
    reasons
}
