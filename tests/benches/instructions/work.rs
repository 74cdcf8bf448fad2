//! What the counted process does: messages to an actor on a runner that is a thread.

use std::task::{Context, Poll};

use actix::{Actor, Handler, Message};
use flame_actor::{Child, Pool, Request, backend::LocalBackend, remote};
use futures_util::{FutureExt, task::noop_waker_ref};
use serde::{Deserialize, Serialize};

use crate::count::Row;

/// How many messages are sent.
pub(crate) const MESSAGES: u64 = BURSTS * BURST;

const BURSTS: u64 = 100;
/// Fewer than tokio lets a task take at a time.
const BURST: u64 = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter {
    total: u64,
}

impl Actor for Counter {
    type Context = actix::Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Count(u64);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[remote]
impl Handler<Count> for Counter {
    type Result = ();

    fn handle(&mut self, Count(n): Count, _: &mut actix::Context<Self>) {
        self.total += n;
    }
}

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut actix::Context<Self>) -> u64 {
        self.total += n;
        self.total
    }
}

/// Sends [`MESSAGES`], in bursts, each of which is handled before the next.
pub(crate) fn run(row: Row) {
    actix::System::new().block_on(async {
        let pool = Pool::builder("counted").backend(LocalBackend::new()).max(1).start().expect("a pool");
        let counter = pool.place_child(Counter::default()).await.expect("a child");
        for _ in 0..BURSTS {
            match row {
                Row::TellSent | Row::TellHandled => {
                    (0..BURST).for_each(|n| send_tell(&counter, n));
                    counter.send(Add(0)).await.expect("an answer");
                }
                Row::AskSent | Row::AskAnswered | Row::AnswerTaken => ask(&counter).await,
            }
        }
        drop(counter);
        pool.stop().await;
    });
}

async fn ask(counter: &Child<Counter>) {
    let asked: Vec<_> = (0..BURST).map(|n| send_ask(counter, n)).collect();
    // Answers come in order, so all are there with this one.
    counter.send(Add(0)).await.expect("an answer");
    asked.into_iter().for_each(take_answer);
}

#[inline(never)]
fn send_tell(counter: &Child<Counter>, n: u64) {
    counter.do_send(Count(n));
}

#[inline(never)]
fn send_ask(counter: &Child<Counter>, n: u64) -> Request<Add> {
    counter.send(Add(n))
}

#[inline(never)]
fn take_answer(mut request: Request<Add>) {
    let answer = request.poll_unpin(&mut Context::from_waker(noop_waker_ref()));
    assert!(matches!(answer, Poll::Ready(Ok(_))), "no answer");
}
