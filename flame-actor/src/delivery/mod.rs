//! From the bytes of a message to the handler, and from the handler's result back to bytes.
//!
//! A placed actor is served by a [`lane`] in its own context: no envelope, no mailbox, one wake-up for all that has
//! arrived. Any other actor of this node, of which only an address is known, is served through its mailbox by
//! [`forward`].

pub(crate) mod fate;
pub(crate) mod forward;
pub(crate) mod lane;
pub(crate) mod panics;

use std::{
    any::Any,
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{
    Actor, ActorFuture, Addr, Context, Handler, Message, ResponseActFuture, ResponseFuture,
    dev::MessageResponse,
};
use bytes::Bytes;
use flame_transport::{Answers, Body, Owed, Question};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::{
    context::Context as Carried,
    dead_letters,
    remote::{Encoded, Peer, Reference, Refusal, Resolved, SendError, put_head, scope},
};

/// What can be done with one message type of the actor `A`. The registry keeps a table of them for each actor.
#[doc(hidden)]
pub struct Methods<A: Actor<Context = Context<A>>> {
    pub(crate) deliver: DeliverFn<A>,
    pub(crate) forward: forward::ForwardFn<A>,
    /// `Recipient<M>` of an address.
    pub(crate) recipient: fn(&Addr<A>) -> Box<dyn Any>,
}

/// Calls the handler of one message type.
pub(crate) type DeliverFn<A> = fn(&mut A, &mut Context<A>, Delivery<'_>);

impl<A: Actor<Context = Context<A>>> Methods<A> {
    #[must_use]
    pub(crate) fn of<M>() -> Self
    where
        A: Handler<M>,
        M: Message + Serialize + DeserializeOwned + Send + 'static,
        M::Result: Serialize + DeserializeOwned + Send,
    {
        Self {
            deliver: deliver::<A, M>,
            forward: forward::one::<A, M>,
            recipient: |address| Box::new(address.clone().recipient::<M>()),
        }
    }
}

impl<A: Actor<Context = Context<A>>> std::fmt::Debug for Methods<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Methods").finish_non_exhaustive()
    }
}

/// One message on its way to a handler.
pub(crate) struct Delivery<'a> {
    pub(crate) context: Carried,
    pub(crate) payload: &'a [u8],
    pub(crate) table: Vec<Resolved>,
    /// What the sender waits for; taken when it is answered, so that what is left here after a panic can be.
    pub(crate) question: &'a Cell<Option<Question>>,
    pub(crate) answers: &'a mut Answers,
    pub(crate) peer: &'a Arc<Peer>,
}

#[inline]
fn deliver<A, M>(actor: &mut A, ctx: &mut Context<A>, delivery: Delivery<'_>)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + DeserializeOwned + Send + 'static,
    M::Result: Serialize + Send,
{
    let Delivery { context, payload, table, question, answers, peer } = delivery;
    let message = match scope::decode::<M>(payload, table) {
        Ok(message) => message,
        Err(error) => {
            undecodable(question.take(), answers, peer, &error.to_string());
            return;
        }
    };
    let response = if context.is_empty() {
        actor.handle(message, ctx)
    } else {
        let response = context.enter(|| actor.handle(message, ctx));
        let Some(response) = go_on_in::<A, M>(context, response) else { return };
        response
    };
    if question.get().is_none() {
        response.handle(ctx, None);
        return;
    }
    let (sender, mut receiver) = oneshot::channel();
    response.handle(ctx, Some(sender));
    let outcome = receiver.try_recv();
    let Some(question) = question.take() else { return };
    match outcome {
        Ok(result) => reply(&result, question, answers, peer),
        Err(oneshot::error::TryRecvError::Empty) => {
            let owed = answers.owe(question);
            let peer = Arc::clone(peer);
            actix_rt::spawn(async move {
                match receiver.await {
                    Ok(result) => reply_owed(&result, owed, &peer),
                    Err(_) => give_up(owed),
                }
            });
        }
        Err(oneshot::error::TryRecvError::Closed) => give_up(answers.owe(question)),
    }
}

/// Answers with a handler's result.
#[inline]
pub(crate) fn reply<T: Serialize>(result: &T, question: Question, answers: &mut Answers, peer: &Arc<Peer>) {
    with_encoded(result, peer, |encoded| match encoded {
        Ok(body) => answers.reply(question, body),
        Err(refusal) => answers.refuse(question, Body::Own(refusal.encode())),
    });
}

/// Answers with a result that took its time.
pub(crate) fn reply_owed<T: Serialize>(result: &T, owed: Owed, peer: &Arc<Peer>) {
    with_encoded(result, peer, |encoded| match encoded {
        Ok(body) => owed.reply(body),
        Err(refusal) => owed.refuse(Body::Own(refusal.encode())),
    });
}

/// Makes the context current in the future that a handler has returned, if it is one. Never `None`.
fn go_on_in<A, M>(context: Carried, response: A::Result) -> Option<A::Result>
where
    A: Actor + Handler<M>,
    M: Message + 'static,
{
    let mut response = Some(response);
    let any: &mut dyn Any = &mut response;
    if let Some(future) = any.downcast_mut::<Option<ResponseFuture<M::Result>>>() {
        *future = future.take().map(|future| Box::pin(context.scope(future)) as ResponseFuture<_>);
    } else if let Some(future) = any.downcast_mut::<Option<ResponseActFuture<A, M::Result>>>() {
        *future =
            future.take().map(|future| Box::pin(InContext { context, future }) as ResponseActFuture<_, _>);
    }
    response
}

struct InContext<A: Actor, T> {
    context: Carried,
    future: ResponseActFuture<A, T>,
}

impl<A: Actor, T> ActorFuture<A> for InContext<A, T> {
    type Output = T;

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<T> {
        let Self { context, future } = self.get_mut();
        context.enter(|| future.as_mut().poll(actor, ctx, task))
    }
}

/// Tells the asker that there will be no answer, and of the panic that is to blame, if it was one.
pub(crate) fn give_up(owed: Owed) {
    match panics::take_last() {
        // A panic in a future that the handler returned ends only that future's task, which ran on this thread just now.
        Some(message) => owed.refuse(Body::Own(Refusal::Panicked(message).encode())),
        None => drop(owed),
    }
}

pub(crate) fn undecodable(question: Option<Question>, answers: &mut Answers, peer: &Peer, error: &str) {
    tracing::warn!(peer = %peer.node(), error, "a message cannot be decoded");
    let Some(question) = question else {
        let error = SendError::Decode { what: "the message", message: error.to_owned() };
        return dead_letters::publish(None, Some(peer.node()), &error);
    };
    answers.refuse(question, Body::Own(Refusal::Undecodable(error.to_owned()).encode()));
}

/// Encodes an answer for a link.
#[inline]
fn with_encoded<T: Serialize, R>(
    value: &T,
    peer: &Arc<Peer>,
    send: impl FnOnce(Result<Body<'_>, Refusal>) -> R,
) -> R {
    scope::with_buffer(|out| {
        put_head(out, 0, &[], false);
        let head = out.len();
        match scope::encode(value, out, peer.max_message()) {
            Ok(references) if references.is_empty() => send(Ok(Body::Copy(out))),
            Ok(references) => {
                let payload = out.split_off(head).freeze();
                send_referring(payload, references, peer, send)
            }
            Err(error) => send(Err(Refusal::Unencodable(error.to_string()))),
        }
    })
}

/// The same of one with references.
fn send_referring<R>(
    payload: Bytes,
    references: Vec<Reference>,
    peer: &Arc<Peer>,
    send: impl FnOnce(Result<Body<'_>, Refusal>) -> R,
) -> R {
    match (Encoded::Referring { method: 0, context: Bytes::new(), payload, references }).for_link(peer) {
        Ok(sendable) => {
            let sent = send(Ok(Body::Own(sendable.body.clone())));
            sendable.sent();
            sent
        }
        Err(_) => {
            let error = "it refers to an actor that the asker cannot reach".into();
            send(Err(Refusal::Undecodable(error)))
        }
    }
}
