use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

struct Counter;
impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Total")]
struct Add(u64);

struct Total(u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = MessageResult<Add>;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Total(n))
    }
}

fn main() {}
