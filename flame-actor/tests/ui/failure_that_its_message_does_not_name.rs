//! With `failure`, the message's result has a `Failure`.

use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Disk;
impl Actor for Disk {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "std::io::Result<u64>")]
struct Length;

#[remote(failure)]
impl Handler<Length> for Disk {
    type Result = std::io::Result<u64>;
    fn handle(&mut self, _: Length, _: &mut Context<Self>) -> Self::Result {
        Ok(0)
    }
}

fn main() {}
