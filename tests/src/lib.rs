//! What the tests across processes share: actors and tasks that look at the process they are in.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{RemoteRecipient, remote, task};
use serde::{Deserialize, Serialize};

/// Counts, on whatever runner it is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Counter(pub u64);

impl Actor for Counter {
    type Context = Context<Self>;
}

/// Adds to the counter; the answer is the sum.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub struct Add(pub u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

/// A task has begun, in the process of this id.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Begun(pub u32);

/// The process that runs it.
#[task]
pub async fn process_id() -> u32 {
    std::process::id()
}

/// Says that it has begun, and returns after this many milliseconds.
#[task]
pub async fn take(milliseconds: u64, begun: RemoteRecipient<Begun>) -> u32 {
    begun.do_send(Begun(std::process::id()));
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    std::process::id()
}

/// Puts a line into the runner's log.
#[task]
pub async fn log(words: String) {
    tracing::info!(answer = 42, "{words}");
}

/// Ends the process with this exit code.
#[task]
pub async fn exit(code: i32) {
    std::process::exit(code);
}

/// Says that it has begun, and never comes to an await.
#[task]
pub async fn spin(begun: RemoteRecipient<Begun>) {
    begun.do_send(Begun(std::process::id()));
    loop {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Wants more memory than any machine has.
#[task]
pub async fn want_memory() -> usize {
    std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX.unsigned_abs())).capacity()
}
