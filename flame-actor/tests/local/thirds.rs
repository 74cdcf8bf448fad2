//! References to actors of one runner, on another one.

use actix::prelude::*;
use flame_actor::{Child, DownReason, Pool, RemoteAddr, RemoteRecipient, SendError, remote, task};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::support::{Heavy, Log, Note, Notes, pool, soon, until};

/// An actor on one runner, and another runner to call.
async fn two_runners(name: &str) -> (Pool, Child<Log>, Pool) {
    let (one, other) = (pool(&format!("{name}-a")), pool(&format!("{name}-b")));
    let log = soon(one.place_child(Log::default())).await.unwrap();
    (one, log, other)
}

/// Remembers addresses on its runner.
#[derive(Default, Serialize, Deserialize)]
struct Book {
    #[serde(skip)]
    logs: Vec<RemoteAddr<Log>>,
}

impl Actor for Book {
    type Context = Context<Self>;
}

/// Remembers a log; the answer tells whether it is an actor of the book's own node.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "bool")]
struct Enter(RemoteAddr<Log>);

/// Starts a log beside the book; the answer is its address.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "RemoteAddr<Log>")]
struct Open;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "RemoteAddr<Book>")]
struct Itself;

#[remote]
impl Handler<Enter> for Book {
    type Result = bool;
    fn handle(&mut self, Enter(log): Enter, _: &mut Context<Self>) -> bool {
        log.do_send(Note(7));
        let is_local = log.as_local().is_some();
        self.logs.push(log);
        is_local
    }
}

#[remote]
impl Handler<Open> for Book {
    type Result = MessageResult<Open>;
    fn handle(&mut self, _: Open, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Log::default().start().into())
    }
}

#[remote]
impl Handler<Itself> for Book {
    type Result = MessageResult<Itself>;
    fn handle(&mut self, _: Itself, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(ctx.address().into())
    }
}

#[derive(Serialize, Deserialize)]
struct Plain(#[serde(with = "flame_actor::recipient")] Recipient<Note>);

#[task]
async fn fill(log: RemoteAddr<Log>, count: u64) -> Vec<u64> {
    (0..count).for_each(|n| log.do_send(Note(n)));
    log.send(Notes).await.unwrap()
}

#[task]
async fn tell_all(log: RemoteAddr<Log>, typed: RemoteRecipient<Note>, plain: Plain) {
    log.send(Note(1)).await.unwrap();
    typed.send(Note(2)).await.unwrap();
    plain.0.send(Note(3)).await.unwrap();
}

#[actix::test]
async fn a_reference_to_an_actor_of_one_runner_works_on_another() {
    let (_a, log, b) = two_runners("works").await;
    let (typed, plain) = (log.remote_recipient(), Plain(log.recipient()));
    soon(b.call(tell_all::task(log.addr(), typed, plain))).await.unwrap();
    assert_eq!(soon(log.send(Notes)).await.unwrap(), [1, 2, 3]);
}

#[actix::test]
async fn what_one_sender_sends_to_another_runner_is_handled_once_and_in_order() {
    let (_a, log, b) = two_runners("order").await;
    let notes = soon(b.call(fill::task(log.addr(), 20_000))).await.unwrap();
    assert_eq!(notes, (0..20_000).collect::<Vec<_>>());
}

#[task]
async fn are_one(first: RemoteAddr<Log>, again: RemoteAddr<Log>) -> (bool, RemoteAddr<Log>) {
    (first == again, first)
}

#[actix::test]
async fn one_target_is_one_reference_on_each_node_and_the_original_at_home() {
    let (a, log, b) = two_runners("identity").await;
    let book = soon(a.place_child(Book::default())).await.unwrap();
    let (are_one, back) = soon(b.call(are_one::task(log.addr(), log.addr()))).await.unwrap();
    assert!(are_one);
    assert_eq!(back, log.addr());
    // From one runner through the parent to the other, and back the same way.
    assert!(soon(b.call(enter::task(book.addr(), log.addr()))).await.unwrap(), "it is the original");
    assert_eq!(soon(log.send(Notes)).await.unwrap(), [7]);
}

#[task]
async fn enter(book: RemoteAddr<Book>, log: RemoteAddr<Log>) -> bool {
    book.send(Enter(log)).await.unwrap()
}

#[task]
async fn introduce_ones_own(book: RemoteAddr<Book>) -> (bool, Vec<u64>) {
    let log = Log::default().start();
    let is_local = book.send(Enter(log.clone().into())).await.unwrap();
    loop {
        let notes = log.send(Notes).await.unwrap();
        if !notes.is_empty() {
            return (is_local, notes);
        }
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn references_in_a_message_between_runners_lead_back_to_its_sender() {
    let (a, _log, b) = two_runners("back").await;
    let book = soon(a.place_child(Book::default())).await.unwrap();
    let answer = soon(b.call(introduce_ones_own::task(book.addr()))).await.unwrap();
    assert_eq!(answer, (false, vec![7]));
}

#[task]
async fn open(book: RemoteAddr<Book>) -> (RemoteAddr<Log>, Vec<u64>, bool) {
    let log = book.send(Open).await.unwrap();
    log.send(Note(3)).await.unwrap();
    let is_itself = book.send(Itself).await.unwrap() == book;
    let notes = log.send(Notes).await.unwrap();
    (log, notes, is_itself)
}

#[actix::test]
async fn an_answer_from_one_runner_to_another_may_hold_references() {
    let (a, _log, b) = two_runners("answers").await;
    let book = soon(a.place_child(Book::default())).await.unwrap();
    let (log, notes, is_itself) = soon(b.call(open::task(book.addr()))).await.unwrap();
    assert_eq!((notes, is_itself), (vec![3], true));
    assert_eq!(soon(log.send(Notes)).await.unwrap(), [3], "and reaches the parent by the shorter way");
    assert_eq!(log.node(), book.addr().node());
}

#[actix::test]
async fn a_relay_ends_with_the_last_reference_beyond_it() {
    let (a, log, b) = two_runners("relays").await;
    let book = soon(b.place_child(Book::default())).await.unwrap();
    for _ in 0..3 {
        soon(book.send(Enter(log.addr()))).await.unwrap();
    }
    assert_eq!(b.exports(), 1);
    // The runner's reference keeps the actor, and its end lets it go.
    drop(log.detach());
    tokio::task::yield_now().await;
    assert_eq!(a.inspect().held, 1);
    drop(book);
    until("the relay has ended", || b.exports() == 0).await;
    until("the actor has stopped", || a.inspect().held == 0).await;
}

#[actix::test]
async fn a_relay_ends_with_its_actor_though_nothing_is_sent() {
    let (_a, log, b) = two_runners("quiet").await;
    let book = soon(b.place_child(Book::default())).await.unwrap();
    soon(book.send(Enter(log.addr()))).await.unwrap();
    assert_eq!(b.exports(), 1);
    drop(log);
    until("the relay has ended", || b.exports() == 0).await;
}

#[task]
async fn send_until_gone(log: RemoteAddr<Log>, said: RemoteRecipient<Note>) -> String {
    loop {
        match log.send(Note(1)).await {
            Ok(()) => said.do_send(Note(1)),
            Err(error) => return format!("{error:?}"),
        }
    }
}

#[actix::test]
async fn the_end_of_an_actor_is_a_typed_error_on_another_runner() {
    let (_a, log, b) = two_runners("ends").await;
    let said = Log::default().start();
    let call = actix::spawn(b.call(send_until_gone::task(log.addr(), said.clone().recipient().into())));
    while said.send(Notes).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(log);
    let expected = format!("{:?}", SendError::Gone(DownReason::Stopped));
    assert_eq!(soon(call).await.unwrap().unwrap(), expected);
    until("the relay has ended", || b.exports() <= 1).await;
}

/// Answers, and takes notes, when it is let.
#[derive(Serialize, Deserialize)]
struct Gate {
    taken: u64,
}

static OPEN: Notify = Notify::const_new();

impl Actor for Gate {
    type Context = Context<Self>;
}

/// Waits, and lets no other message pass.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Block;

/// Waits beside the actor.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Slow;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Taken;

#[remote]
impl Handler<Block> for Gate {
    type Result = AtomicResponse<Self, ()>;
    fn handle(&mut self, _: Block, _: &mut Context<Self>) -> Self::Result {
        AtomicResponse::new(Box::pin(OPEN.notified().into_actor(self)))
    }
}

#[remote]
impl Handler<Slow> for Gate {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Slow, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[remote]
impl Handler<Heavy> for Gate {
    type Result = ();
    fn handle(&mut self, _: Heavy, _: &mut Context<Self>) {
        self.taken += 1;
    }
}

#[remote]
impl Handler<Taken> for Gate {
    type Result = u64;
    fn handle(&mut self, _: Taken, _: &mut Context<Self>) -> u64 {
        self.taken
    }
}

/// Sends until no more is taken for a while; what was taken, and what has arrived once the gate is open.
#[task]
async fn press(gate: RemoteAddr<Gate>, ballast: u64) -> (u64, u64) {
    // Kept: giving it up would take it back.
    let _blocked = gate.send(Block);
    let (mut sent, mut idle) = (0, 0);
    while idle < 100 {
        let body = bytes::Bytes::from(vec![0; usize::try_from(ballast).unwrap()]);
        match gate.try_send(Heavy(sent, body)) {
            Ok(()) => (sent, idle) = (sent + 1, 0),
            Err(SendError::Full) => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                idle += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    OPEN.notify_one();
    (sent, gate.send(Taken).await.unwrap())
}

#[actix::test]
async fn a_slow_actor_on_one_runner_holds_back_its_senders_on_another() {
    const BALLAST: u64 = 16 * 1024;
    let (a, _log, b) = two_runners("pressure").await;
    let gate = soon(a.place_child(Gate { taken: 0 })).await.unwrap();
    let (sent, taken) = soon(b.call(press::task(gate.addr(), BALLAST))).await.unwrap();
    assert_eq!(sent, taken, "none is lost");
    let bytes = sent * BALLAST;
    // The windows of two lanes, each with one message more.
    assert!((1 << 20..(2 << 20) + 4 * BALLAST).contains(&bytes), "{bytes} bytes were under way");
}

#[task]
async fn pass_a_slow_answer(gate: RemoteAddr<Gate>) -> u64 {
    let slow: Vec<_> = (0..2000).map(|_| gate.send(Slow)).collect();
    let taken = gate.send(Taken).await.unwrap();
    drop(slow);
    taken
}

#[actix::test]
async fn a_slow_answer_between_runners_holds_back_no_later_message() {
    let (a, _log, b) = two_runners("slow").await;
    let gate = soon(a.place_child(Gate { taken: 5 })).await.unwrap();
    assert_eq!(soon(b.call(pass_a_slow_answer::task(gate.addr()))).await.unwrap(), 5);
}

#[actix::test]
async fn an_actor_that_is_still_being_placed_can_be_known_to_another_runner() {
    let (a, b) = (pool("early-a"), pool("early-b"));
    let mut placing = a.place_child(Log::default());
    // It is sent before its runner has booted.
    let call = actix::spawn(b.call(fill::task(placing.addr(), 50)));
    let log = soon(placing).await.unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap().len(), 50);
    assert_eq!(soon(log.send(Notes)).await.unwrap(), (0..50).collect::<Vec<_>>());
}
