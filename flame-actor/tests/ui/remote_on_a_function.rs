use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

struct Counter;
impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[remote]
fn add(_: Add) {}

fn main() {}
