//! Messages from other nodes, delivered in an actor's own context or forwarded to its mailbox.

use std::marker::PhantomData;

use actix::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// One message on its way into an actor's handler.
#[derive(Debug)]
pub struct Delivery<'a>(PhantomData<&'a mut [u8]>);

/// One message on its way into an actor's mailbox.
#[derive(Debug)]
pub struct Forward<'a>(PhantomData<&'a mut [u8]>);

/// Calls the handler of one message type with a message in encoded form.
pub(crate) type DeliverFn<A> = fn(&mut A, &mut Context<A>, &mut Delivery<'_>);

/// Sends a message in encoded form to a local actor.
pub(crate) type ForwardFn<A> = fn(&Addr<A>, &mut Forward<'_>);

/// What can be done with one message type of the actor `A`.
#[allow(dead_code, reason = "read by the lanes that are to come")]
pub struct Methods<A: Actor<Context = Context<A>>> {
    /// Runs the handler in the actor's context.
    pub(crate) deliver: DeliverFn<A>,
    /// Goes through the actor's mailbox.
    pub(crate) forward: ForwardFn<A>,
}

impl<A: Actor<Context = Context<A>>> Methods<A> {
    /// Those of the message type `M`.
    #[must_use]
    pub const fn of<M>() -> Self
    where
        A: Handler<M>,
        M: Message + Serialize + DeserializeOwned + Send + 'static,
        M::Result: Serialize + DeserializeOwned + Send,
    {
        Self { deliver: deliver::<A, M>, forward: forward::<A, M> }
    }
}

fn deliver<A, M>(_: &mut A, _: &mut Context<A>, _: &mut Delivery<'_>)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Serialize + DeserializeOwned + Send + 'static,
    M::Result: Serialize + DeserializeOwned + Send,
{
}

fn forward<A, M>(_: &Addr<A>, _: &mut Forward<'_>)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Serialize + DeserializeOwned + Send + 'static,
    M::Result: Serialize + DeserializeOwned + Send,
{
}
