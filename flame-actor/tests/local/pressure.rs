//! Order and back-pressure.

use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{LinkConfig, RemoteRecipient, SendError, remote};
use serde::{Deserialize, Serialize};

use crate::support::{Heavy, Log, Note, Notes, builder, pool, soon, until};

/// Handles nothing while it waits to be let go.
#[derive(Serialize, Deserialize)]
struct Stuck {
    handled: u64,
    #[serde(with = "flame_actor::recipient")]
    gate: Recipient<Note>,
}

impl Actor for Stuck {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Wait;

#[remote]
impl Handler<Wait> for Stuck {
    type Result = AtomicResponse<Self, ()>;
    fn handle(&mut self, _: Wait, _: &mut Context<Self>) -> Self::Result {
        let opened = self.gate.send(Note(0));
        AtomicResponse::new(Box::pin(async move { opened.await.unwrap_or(()) }.into_actor(self)))
    }
}

#[remote]
impl Handler<Heavy> for Stuck {
    type Result = ();
    fn handle(&mut self, _: Heavy, _: &mut Context<Self>) {
        self.handled += 1;
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Handled;

#[remote]
impl Handler<Handled> for Stuck {
    type Result = u64;
    fn handle(&mut self, _: Handled, _: &mut Context<Self>) -> u64 {
        self.handled
    }
}

/// Answers when it is opened.
#[derive(Default)]
struct Gate {
    waiting: Vec<tokio::sync::oneshot::Sender<()>>,
    open: bool,
}

impl Actor for Gate {
    type Context = Context<Self>;
}

impl Handler<Note> for Gate {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Note, _: &mut Context<Self>) -> Self::Result {
        let (open, opened) = tokio::sync::oneshot::channel();
        if self.open {
            let _ = open.send(());
        } else {
            self.waiting.push(open);
        }
        Box::pin(async move { drop(opened.await) })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Open;

impl Handler<Open> for Gate {
    type Result = ();
    fn handle(&mut self, _: Open, _: &mut Context<Self>) {
        self.open = true;
        self.waiting.clear();
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Carry(RemoteRecipient<Note>);

#[remote]
impl Handler<Carry> for Stuck {
    type Result = ();
    fn handle(&mut self, _: Carry, _: &mut Context<Self>) {}
}

#[derive(Message)]
#[rtype(result = "usize")]
struct Count;

impl Handler<Count> for Gate {
    type Result = usize;
    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> usize {
        self.waiting.len()
    }
}

async fn until_waiting(gate: &Addr<Gate>, count: usize) {
    soon(async { while gate.send(Count).await.unwrap() < count {} }).await;
}

/// Knocks at a gate.
#[derive(Serialize, Deserialize)]
struct Knocker(RemoteRecipient<Note>);

impl Actor for Knocker {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Note> for Knocker {
    type Result = ();
    fn handle(&mut self, Note(times): Note, _: &mut Context<Self>) {
        (0..times).for_each(|n| self.0.do_send(Note(n)));
    }
}

fn heavy(n: u64, len: usize) -> Heavy {
    Heavy(n, Bytes::from(vec![7; len]))
}

#[actix::test]
async fn messages_of_one_sender_are_handled_in_order_whatever_their_kind_and_length() {
    let pool = pool("order");
    let log = pool.place_child(Log::default()).await.unwrap();
    let (mut asks, mut long) = (Vec::new(), Vec::new());
    for n in 0..400 {
        match n % 5 {
            0 | 1 => asks.push(log.send(Note(n))),
            // Long ones are cut and interleaved with others.
            2 if n % 50 == 2 => long.push(log.send(heavy(n, 300_000))),
            2 => log.do_send(heavy(n, 2_000)),
            _ => log.do_send(Note(n)),
        }
    }
    let notes = soon(log.send(Notes)).await.unwrap();
    assert_eq!(notes, (0..400).collect::<Vec<_>>());
}

#[actix::test]
async fn a_full_lane_refuses_try_send_and_takes_more_when_the_actor_goes_on() {
    let pool = pool("full");
    let gate = Gate::default().start();
    let stuck = pool.place_child(Stuck { handled: 0, gate: gate.clone().recipient() }).await.unwrap();
    let free = pool.place_child(Log::default()).await.unwrap();
    let waiting = stuck.send(Wait);
    let mut taken = 0;
    while stuck.try_send(heavy(taken, 10_000)).is_ok() {
        taken += 1;
        assert!(taken < 1000, "a lane is bounded");
    }
    assert!(matches!(stuck.try_send(heavy(0, 10)), Err(SendError::Full)));
    // The actor beside it, over the same link, is not held up.
    soon(free.send(Note(1))).await.unwrap();
    // A send waits, and is in order.
    let handled = stuck.send(Handled);
    gate.send(Open).await.unwrap();
    soon(waiting).await.unwrap();
    assert_eq!(soon(handled).await.unwrap(), taken);
    stuck.try_send(heavy(0, 10)).unwrap();
    assert_eq!(soon(stuck.send(Handled)).await.unwrap(), taken + 1);
}

#[actix::test]
async fn do_send_beyond_the_backlog_loses_messages_and_not_memory() {
    let pool = pool("overflow");
    let gate = Gate::default().start();
    let stuck = pool.place_child(Stuck { handled: 0, gate: gate.clone().recipient() }).await.unwrap();
    let waiting = stuck.send(Wait);
    for n in 0..2000 {
        stuck.do_send(heavy(n, 10_000));
    }
    gate.send(Open).await.unwrap();
    soon(waiting).await.unwrap();
    let handled = soon(stuck.send(Handled)).await.unwrap();
    // A lane of 1 MiB and a backlog of 1 MiB hold about 200 of them.
    assert!((100..400).contains(&handled), "{handled}");
}

#[actix::test]
async fn a_message_beyond_the_limit_is_an_error_before_it_is_sent() {
    let link = LinkConfig::default().with_max_message(64 * 1024);
    let pool = builder("limits").link(link).start().unwrap();
    let log = pool.place_child(Log::default()).await.unwrap();
    let error = soon(log.send(heavy(1, 100_000))).await.unwrap_err();
    assert!(matches!(error, SendError::Encode(_) | SendError::TooLong { .. }), "{error:?}");
    log.send(heavy(2, 60_000)).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [2]);
}

#[actix::test]
async fn a_handler_that_takes_its_time_for_a_tell_holds_back_none_that_comes_later_but_for_the_bound() {
    let pool = pool("knocks");
    let gate = Gate::default().start();
    let knocker = pool.place_child(Knocker(gate.clone().recipient().into())).await.unwrap();
    // None of them is done before the gate opens.
    for count in 1..=3 {
        knocker.send(Note(1)).await.unwrap();
        until_waiting(&gate, count).await;
    }
    knocker.send(Note(5000)).await.unwrap();
    until_waiting(&gate, 1024).await;
    let waiting = gate.send(Count).await.unwrap();
    assert!(waiting < 1100, "{waiting}");
    gate.send(Open).await.unwrap();
    until_waiting(&gate, 0).await;
}

/// Blocks its thread.
#[derive(Serialize, Deserialize)]
struct Blocking;

impl Actor for Blocking {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Block;

#[remote]
impl Handler<Block> for Blocking {
    type Result = ();
    fn handle(&mut self, _: Block, _: &mut Context<Self>) {
        std::thread::sleep(Duration::from_millis(1500));
    }
}

#[actix::test]
async fn a_handler_that_blocks_its_own_arbiter_stalls_nobody_else() {
    let pool = pool("blocking");
    let blocking = pool.place_child(Blocking).own_arbiter().await.unwrap();
    let log = pool.place_child(Log::default()).await.unwrap();
    let mut blocked = std::pin::pin!(blocking.send(Block));
    for n in 0..50 {
        tokio::select! {
            biased;
            _ = &mut blocked => panic!("the others were held up"),
            sent = log.send(Note(n)) => sent.unwrap(),
        }
    }
    soon(blocked).await.unwrap();
}

#[actix::test]
async fn references_in_messages_that_never_leave_are_given_back() {
    let pool = pool("carried");
    let gate = Gate::default().start();
    let stuck = pool.place_child(Stuck { handled: 0, gate: gate.clone().recipient() }).await.unwrap();
    stuck.do_send(Wait);
    while stuck.try_send(heavy(0, 10_000)).is_ok() {}
    let before = pool.exports();
    let carry = || Carry(RemoteRecipient::from(Log::default().start().recipient::<Note>()));
    // An ask that is given up before it has left.
    let given_up = stuck.send(carry());
    assert_eq!(pool.exports(), before + 1);
    drop(given_up);
    until("what the ask carried is given back", || pool.exports() == before).await;
    // A tell whose actor ends before it has left.
    stuck.do_send(carry());
    assert_eq!(pool.exports(), before + 1);
    drop(stuck);
    // What is asked through a plain recipient keeps it until it is answered.
    gate.send(Open).await.unwrap();
    until("nothing is exported", || pool.exports() == 0).await;
}
