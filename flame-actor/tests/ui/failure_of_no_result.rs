//! The option `failure` is for results, of errors, of messages that say so.

use actix::prelude::*;
use flame_actor::{Failure, remote, task};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Disk;
impl Actor for Disk {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Count;

#[remote(failure)]
impl Handler<Count> for Disk {
    type Result = u64;
    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
        0
    }
}

#[task(failure)]
fn count() -> u64 {
    0
}

fn main() {
    let _: Option<Failure> = None;
}
