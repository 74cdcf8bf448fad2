//! Orders to a runner, and their answers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flame_transport::{AskError, Body, Interrupt, MAIN_PORT};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    host::protocol::join,
    remote::{Encoded, Keeper, Peer, SendError, Sendable, discard},
};

/// An order made for one link, the references in it counted there.
pub(super) struct Ready {
    body: Bytes,
    sendable: Sendable,
}

impl Ready {
    pub(super) fn new<T: Serialize>(order: &T, work: &Encoded, peer: &Arc<Peer>) -> Result<Self, SendError> {
        let sendable = work.for_link(peer).map_err(|_| SendError::Unreachable)?;
        let too_long = SendError::TooLong { len: work.len(), max: peer.max_message() };
        Ok(Self { body: join(order, &sendable.body).ok_or(too_long)?, sendable })
    }
}

/// What became of an order.
pub(super) enum Sent<H> {
    /// It is on its way.
    Asked(Asked<H>),
    /// The link was lost before; here is what the order would have held.
    Unsent(H),
}

/// An order that was sent. Dropping this tells the runner that its answer is not wanted any more.
pub(super) struct Asked<H> {
    answer: oneshot::Receiver<Answer<H>>,
    interrupt: Option<Interrupt>,
    home: Arc<Peer>,
}

enum Answer<H> {
    Came(Result<Reply, AskError>),
    Never(H),
}

/// A runner's answer, and what goes on being held for what it refers to.
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) keeper: Option<Keeper>,
}

/// What an order holds until the runner has answered or is lost, whether somebody waits for that or not.
pub(super) trait Held: Send + 'static {
    /// It is over, but for what the answer refers to: if it is to be held for that, it comes back.
    fn end(self, outcome: &Result<Bytes, AskError>) -> Option<Keeper>;
}

impl Held for () {
    fn end(self, _: &Result<Bytes, AskError>) -> Option<Keeper> {
        None
    }
}

/// Sends an order.
pub(super) fn send<H: Held>(peer: &Arc<Peer>, order: Ready, held: H) -> Result<Sent<H>, SendError> {
    let Some(link) = peer.link() else { return Ok(Sent::Unsent(held)) };
    let Ready { body, sendable } = order;
    let (sender, mut answer) = oneshot::channel();
    let waiter = Waiter { parts: Some((held, sender)), home: Arc::clone(peer) };
    match link.lane(MAIN_PORT).ask_then(Body::Own(body), move |outcome| waiter.end(outcome)) {
        Ok(interrupt) => {
            sendable.sent();
            Ok(Sent::Asked(Asked { answer, interrupt: Some(interrupt), home: Arc::clone(peer) }))
        }
        Err(error) => match (error, answer.try_recv()) {
            (flame_transport::SendError::Lost(_), Ok(Answer::Never(held))) => Ok(Sent::Unsent(held)),
            (error, _) => Err(SendError::from_send(error, peer.node())),
        },
    }
}

/// Waits on the link for the answer. Dropped without one, it gives back what the order held.
struct Waiter<H> {
    parts: Option<(H, oneshot::Sender<Answer<H>>)>,
    home: Arc<Peer>,
}

impl<H: Held> Waiter<H> {
    fn end(mut self, outcome: Result<Bytes, AskError>) {
        let Some((held, sender)) = self.parts.take() else { return };
        let keeper = held.end(&outcome);
        let outcome = outcome.map(|body| Reply { body, keeper });
        if let Err(Answer::Came(Ok(unwanted))) = sender.send(Answer::Came(outcome)) {
            discard(&unwanted.body, &self.home);
        }
    }
}

impl<H> Drop for Waiter<H> {
    fn drop(&mut self) {
        if let Some((held, sender)) = self.parts.take() {
            let _ = sender.send(Answer::Never(held));
        }
    }
}

impl<H> Future for Asked<H> {
    type Output = Result<Reply, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        self.interrupt = None;
        Poll::Ready(match outcome {
            Ok(Answer::Came(outcome)) => outcome,
            Ok(Answer::Never(_)) | Err(_) => Err(AskError::Dropped),
        })
    }
}

impl<H> Drop for Asked<H> {
    fn drop(&mut self) {
        let Some(interrupt) = self.interrupt.take() else { return };
        interrupt.interrupt();
        // An answer that came and was not looked at: what it refers to is let go.
        self.answer.close();
        if let Ok(Answer::Came(Ok(unwanted))) = self.answer.try_recv() {
            discard(&unwanted.body, &self.home);
        }
    }
}
