//! Messages for an actor of which only an address is known: into its mailbox.
//!
//! A mailbox tells when a message has been handled only through an answer. So of the tells that have arrived together
//! all but the last go in with `do_send` and the last with `send`: mailboxes are first in, first out, so its answer is the
//! receipt for all of them. Asks answer for themselves. Neither is waited for before the next message goes in, as a handler
//! may answer with a future that takes its time; only so much may be under way.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use actix::{Actor, Addr, Context, Handler, MailboxError, Message, Recipient};
use flame_transport::{Body, Inbox, Owed};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::{give_up, reply_owed, undecodable};
use crate::{
    registry::Registry,
    remote::{Peer, Refusal, Resolved, parse, scope},
};

/// The most asks that wait in one actor's mailbox, or for its answers.
const MAX_ASKS: usize = 1024;

/// The most tells that go into a mailbox for one receipt.
const BATCH: usize = 64;

/// The most tells in one actor's mailbox that are not known to be handled: each weighs 1, and as much as it has KiB.
const ROOM: usize = 1024;

/// Sends one message of a known type to the actor.
pub(crate) type ForwardFn<A> = fn(&Addr<A>, Parcel<'_>) -> Result<Sent, String>;

/// A message that is not decoded yet.
pub(crate) struct Parcel<'a> {
    payload: &'a [u8],
    table: Vec<Resolved>,
    peer: &'a Arc<Peer>,
    mode: Mode,
}

enum Mode {
    /// Nobody waits.
    Tell,
    /// Nobody waits but this task, which wants to know when it was handled.
    Receipt,
    /// The peer waits.
    Ask(Owed),
}

/// A message that is in the mailbox: what there is to wait for.
pub(crate) type Sent = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Serves an exported address until its inbox ends.
pub(crate) async fn to_addr<A: Actor<Context = Context<A>>>(address: Addr<A>, inbox: Inbox, peer: Arc<Peer>) {
    let methods = Registry::get().map(|registry| registry.methods::<A>()).unwrap_or_default();
    serve(inbox, peer, |method, parcel| match methods.get(method as usize) {
        Some(methods) => (methods.forward)(&address, parcel),
        None => Err("the actor has no such message".to_owned()),
    })
    .await;
}

/// Serves an exported recipient until its inbox ends.
pub(crate) async fn to_recipient<M>(recipient: Recipient<M>, inbox: Inbox, peer: Arc<Peer>)
where
    M: Message + DeserializeOwned + Send + 'static,
    M::Result: Serialize + Send,
{
    serve(inbox, peer, |_, parcel| {
        parcel.send(|message| recipient.do_send(message), |message| recipient.send(message))
    })
    .await;
}

pub(super) fn one<A, M>(address: &Addr<A>, parcel: Parcel<'_>) -> Result<Sent, String>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + DeserializeOwned + Send + 'static,
    M::Result: Serialize + Send,
{
    parcel.send(|message| address.do_send(message), |message| address.send(message))
}

impl Parcel<'_> {
    fn send<M, F>(self, tell: impl FnOnce(M), ask: impl FnOnce(M) -> F) -> Result<Sent, String>
    where
        M: Message + DeserializeOwned,
        M::Result: Serialize + Send,
        F: Future<Output = Result<M::Result, MailboxError>> + Send + 'static,
    {
        let message = match scope::decode::<M>(self.payload, self.table) {
            Ok(message) => message,
            Err(error) => {
                let error = error.to_string();
                if let Mode::Ask(owed) = self.mode {
                    owed.refuse(Body::Own(Refusal::Undecodable(error.clone()).encode()));
                }
                return Err(error);
            }
        };
        Ok(match self.mode {
            Mode::Tell => {
                tell(message);
                None
            }
            Mode::Receipt => {
                let receipt = ask(message);
                Some(Box::pin(async move { drop(receipt.await) }))
            }
            Mode::Ask(owed) => {
                let answer = ask(message);
                let peer = Arc::clone(self.peer);
                Some(Box::pin(async move {
                    match answer.await {
                        Ok(result) => reply_owed(&result, owed, &peer),
                        Err(_) => give_up(owed),
                    }
                }))
            }
        })
    }
}

async fn serve(
    mut inbox: Inbox,
    peer: Arc<Peer>,
    mut send: impl FnMut(u32, Parcel<'_>) -> Result<Sent, String>,
) {
    let _export = peer.guard(inbox.port());
    let Some(link) = peer.link() else { return };
    let mut answers = link.answers();
    let asks = Arc::new(Semaphore::new(MAX_ASKS));
    let mut receipts = FuturesUnordered::new();
    // The weight of all tells that are not known to be handled, and of those whose receipt has still to come, with their number.
    let (mut unhandled, mut batch, mut unreceipted) = (0, 0, 0);
    // The tell that came last, held back until it is known whether another one is there already.
    let mut held: Option<Vec<u8>> = None;
    loop {
        // With a tell in hand, only look whether there is more.
        let next = poll_fn(|cx| {
            while let Poll::Ready(Some(weight)) = receipts.poll_next_unpin(cx) {
                unhandled -= weight;
            }
            let message = if unhandled < ROOM { inbox.poll_next(cx) } else { Poll::Pending };
            match message {
                Poll::Ready(message) => {
                    let taken = message.map(|message| (message.body.to_vec(), message.question));
                    Poll::Ready(Some(taken))
                }
                Poll::Pending if held.is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let more = matches!(next, Some(Some(_)));
        if let Some(body) = held.take() {
            unreceipted += 1;
            let is_last = !more || unreceipted >= BATCH;
            let mode = if is_last { Mode::Receipt } else { Mode::Tell };
            let receipt = post(&body, mode, &peer, &mut answers, &mut send);
            if is_last {
                let weight = std::mem::take(&mut batch);
                unreceipted = 0;
                match receipt {
                    Some(receipt) => receipts.push(receipt.map(move |()| weight)),
                    // It could not be decoded. What came with it is let off.
                    None => unhandled -= weight,
                }
            }
        }
        match next {
            None => {}
            Some(None) => break,
            Some(Some((body, None))) => {
                let weight = 1 + body.len() / 1024;
                batch += weight;
                unhandled += weight;
                held = Some(body);
            }
            Some(Some((body, Some(question)))) => {
                // The semaphore is never closed.
                let Ok(permit) = Arc::clone(&asks).acquire_owned().await else { return };
                let mode = Mode::Ask(answers.owe(question));
                if let Some(answer) = post(&body, mode, &peer, &mut answers, &mut send) {
                    actix_rt::spawn(async move {
                        answer.await;
                        drop(permit);
                    });
                }
            }
        }
    }
    // A mailbox passes over a message whose answer nobody waits for.
    while receipts.next().await.is_some() {}
}

fn post(
    body: &[u8],
    mode: Mode,
    peer: &Arc<Peer>,
    answers: &mut flame_transport::Answers,
    send: &mut impl FnMut(u32, Parcel<'_>) -> Result<Sent, String>,
) -> Sent {
    let sent = match parse(body, peer) {
        Ok(parts) => send(parts.method, Parcel { payload: parts.payload, table: parts.table, peer, mode }),
        Err(_) => Err("its references are gone".to_owned()),
    };
    sent.unwrap_or_else(|error| {
        undecodable(None, answers, peer, &error);
        None
    })
}
