use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

struct Store<T>(Vec<T>);
impl<T: Unpin + 'static> Actor for Store<T> {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Put<T>(T);

#[remote]
impl<T: Unpin + 'static> Handler<Put<T>> for Store<T> {
    type Result = ();
    fn handle(&mut self, Put(value): Put<T>, _: &mut Context<Self>) {
        self.0.push(value);
    }
}

fn main() {}
