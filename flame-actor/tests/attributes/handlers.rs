//! `#[remote]`: each shape is registered and numbered.

use std::fmt::Debug;

use actix::prelude::*;
use flame_actor::{__private::Registry, RemoteMessage, remote};
use serde::{Deserialize, Serialize};

fn registry() -> &'static Registry {
    Registry::get().expect("the registry is sound")
}

fn number<A: Actor, M: RemoteMessage<A>>() -> u32 {
    M::method().expect("the registry is sound").number()
}

#[derive(Debug, Serialize, Deserialize)]
struct Counter(u64);
impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
struct Subtract(u64);

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Local;

/// Documented.
#[remote]
impl Handler<Subtract> for Counter {
    type Result = ResponseFuture<Result<u64, String>>;
    fn handle(&mut self, Subtract(n): Subtract, _: &mut Context<Self>) -> Self::Result {
        let difference = self.0.checked_sub(n).ok_or_else(|| String::from("too much"));
        Box::pin(std::future::ready(difference))
    }
}

#[remote]
impl Handler<Add> for Counter {
    type Result = MessageResult<Add>;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Self::Result {
        self.0 += n;
        MessageResult(self.0)
    }
}

impl Handler<Local> for Counter {
    type Result = ();
    fn handle(&mut self, _: Local, _: &mut Context<Self>) {}
}

#[test]
fn methods_are_numbered_by_name_within_their_actor() {
    assert_eq!(number::<Counter, Add>(), 0);
    assert_eq!(number::<Counter, Subtract>(), 1);
    assert_eq!(registry().methods::<Counter>().len(), 2);
    assert!(registry().method::<Counter, Local>().is_none());
    let counter = registry().actor::<Counter>().expect("it has handlers");
    assert!(registry().actor_name(counter).is_some_and(|name| name.ends_with("handlers::Counter")));
    assert!(registry().message_name(counter, 1).is_some_and(|name| name.ends_with("handlers::Subtract")));
    assert_eq!(registry().message_name(counter, 2), None);
}

#[actix::test]
async fn the_handler_still_serves_local_senders() {
    let counter = Counter(1).start();
    assert_eq!(counter.send(Add(2)).await.ok(), Some(3));
    assert_eq!(counter.send(Subtract(4)).await.ok(), Some(Err(String::from("too much"))));
    assert!(counter.send(Local).await.is_ok());
}

#[derive(Debug)]
struct Fixed;
impl Actor for Fixed {
    type Context = Context<Self>;
}

#[remote]
#[allow(unused_qualifications)]
impl actix::Handler<Add> for Fixed {
    type Result = u64;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

#[derive(Debug)]
struct Silent;
impl Actor for Silent {
    type Context = Context<Self>;
}

#[test]
fn an_actor_that_serde_knows_can_be_placed_and_others_cannot() {
    let place = |actor: Option<u32>| registry().place(actor.expect("it has handlers"));
    assert!(place(registry().actor::<Counter>()).is_some());
    assert!(place(registry().actor::<Fixed>()).is_none());
    assert!(place(registry().actor::<Store<u32>>()).is_some());
    assert!(registry().actor::<Silent>().is_none());
    assert!(registry().methods::<Silent>().is_empty());
    assert!(registry().place(u32::MAX).is_none());
    assert!(registry().actor_name(u32::MAX).is_none());
}

#[derive(Debug, Serialize, Deserialize)]
struct Store<T>(Vec<T>);
impl<T: Debug + Unpin + 'static> Actor for Store<T> {
    type Context = Context<Self>;
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "usize")]
struct Put<T>(T);

#[remote(Store<u32>: Put<u32>, Store<String>: Put<String>)]
impl<T> Handler<Put<T>> for Store<T>
where
    T: Debug + Unpin + 'static,
{
    type Result = usize;
    fn handle(&mut self, Put(value): Put<T>, _: &mut Context<Self>) -> usize {
        self.0.push(value);
        self.0.len()
    }
}

#[remote]
impl Handler<Add> for Store<u32> {
    type Result = u64;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

#[test]
fn each_listed_version_of_a_generic_handler_is_registered() {
    assert_eq!(registry().methods::<Store<u32>>().len(), 2);
    assert_eq!(registry().methods::<Store<String>>().len(), 1);
    assert_ne!(registry().actor::<Store<u32>>(), registry().actor::<Store<String>>());
    assert_eq!(number::<Store<u32>, Put<u32>>(), 1);
    assert_eq!(number::<Store<String>, Put<String>>(), 0);
    assert!(registry().actor::<Store<u8>>().is_none());
}

#[cfg(any())]
#[remote]
impl Handler<Missing> for Counter {}

#[remote]
#[cfg(any())]
impl Handler<Missing> for Counter {}

/// A module that nobody imports from.
mod deep {
    mod private {
        use actix::prelude::*;
        use flame_actor::remote;
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        struct Hidden;
        impl Actor for Hidden {
            type Context = Context<Self>;
        }

        #[derive(Serialize, Deserialize, Message)]
        #[rtype(result = "()")]
        struct Ping;

        #[remote]
        impl Handler<Ping> for Hidden {
            type Result = ();
            fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
        }
    }
}

#[test]
fn a_private_actor_that_nobody_names_is_registered() {
    let mut names = (0..).map_while(|actor| registry().actor_name(actor));
    assert!(names.any(|name| name.ends_with("deep::private::Hidden")));
}

#[test]
fn a_handler_in_a_function_body_is_registered() {
    #[derive(Debug)]
    struct Inner;
    impl Actor for Inner {
        type Context = Context<Self>;
    }

    #[remote]
    impl Handler<Add> for Inner {
        type Result = u64;
        fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
            n
        }
    }

    assert_eq!(number::<Inner, Add>(), 0);
    assert_eq!(registry().methods::<Inner>().len(), 1);
}
