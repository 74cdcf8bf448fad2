//! Placing, calling and sending through the in-process backend: every message crosses serde and a link.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{Pool, backend::LocalBackend, remote, task};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Counter(u64);
impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

#[task]
async fn double(n: u64) -> u64 {
    n * 2
}

fn pool(name: &str) -> Pool {
    Pool::builder(name).max(2).backend(LocalBackend::new()).start().unwrap()
}

#[actix::test]
async fn a_placed_actor_answers_from_its_runner() {
    let pool = pool("counters");
    let counter = pool.place_child(Counter(40)).await.unwrap();
    assert_eq!(counter.runner().name(), "counters-1");
    assert_eq!(counter.send(Add(2)).await.unwrap(), 42);
    counter.do_send(Add(8));
    assert_eq!(counter.send(Add(0)).await.unwrap(), 50);
}

#[actix::test]
async fn a_call_returns_the_output_of_its_task() {
    let pool = pool("calls");
    assert_eq!(pool.call(double::task(21)).await.unwrap(), 42);
    tokio::time::timeout(Duration::from_secs(10), pool.stop()).await.unwrap();
}
