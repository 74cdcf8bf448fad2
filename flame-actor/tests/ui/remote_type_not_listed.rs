use actix::prelude::*;
use flame_actor::{RemoteMessage, remote};
use serde::{Deserialize, Serialize};

struct Store<T>(Vec<T>);
impl<T: Unpin + 'static> Actor for Store<T> {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Put<T>(T);

#[remote(Store<u32>: Put<u32>)]
impl<T: Unpin + 'static> Handler<Put<T>> for Store<T> {
    type Result = ();
    fn handle(&mut self, Put(value): Put<T>, _: &mut Context<Self>) {
        self.0.push(value);
    }
}

fn tell<A: Actor, M: RemoteMessage<A>>(_: &A, _: M) {}

fn main() {
    tell(&Store(vec![]), Put(1_u32));
    tell(&Store(vec![]), Put(1_u8));
}
