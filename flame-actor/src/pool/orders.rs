//! Orders to a runner, and their answers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flame_transport::{AskError, Body, Interrupt, MAIN_PORT};
use tokio::sync::oneshot;

use crate::{
    host::protocol::{Order, join},
    remote::{Encoded, Peer, SendError, Sendable, discard},
};

/// An order made for one link, the references in it counted there.
pub(super) struct Ready {
    body: Bytes,
    sendable: Sendable,
}

impl Ready {
    pub(super) fn new(order: &Order, work: &Encoded, peer: &Arc<Peer>) -> Result<Self, SendError> {
        let sendable = work.for_link(peer).map_err(|_| SendError::Unreachable)?;
        Ok(Self { body: join(order, &sendable.body), sendable })
    }
}

/// An order that was sent. Dropping this tells the runner that its answer is not wanted any more.
pub(super) struct Asked {
    answer: oneshot::Receiver<Result<Bytes, AskError>>,
    interrupt: Option<Interrupt>,
}

/// Sends an order; `None` if the link is lost, and then it was not sent.
///
/// `on_end` is called once the runner has answered or is lost, whether somebody waits for that or not; it is dropped if
/// the order was not sent.
pub(super) fn send(
    peer: &Arc<Peer>,
    order: Ready,
    on_end: impl FnOnce(&Result<Bytes, AskError>) + Send + 'static,
) -> Result<Option<Asked>, SendError> {
    let Some(link) = peer.link() else { return Ok(None) };
    let Ready { body, sendable } = order;
    let (sender, answer) = oneshot::channel();
    let home = Arc::clone(peer);
    let sent = link.lane(MAIN_PORT).ask_then(Body::Own(body), move |outcome| {
        on_end(&outcome);
        if let Err(Ok(unwanted)) = sender.send(outcome) {
            discard(&unwanted, &home);
        }
    });
    match sent {
        Ok(interrupt) => {
            sendable.sent();
            Ok(Some(Asked { answer, interrupt: Some(interrupt) }))
        }
        Err(flame_transport::SendError::Lost(_)) => Ok(None),
        Err(error) => Err(SendError::from_send(error, peer.node())),
    }
}

impl Future for Asked {
    type Output = Result<Bytes, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        self.interrupt = None;
        Poll::Ready(outcome.unwrap_or(Err(AskError::Dropped)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(interrupt) = self.interrupt.take() {
            interrupt.interrupt();
        }
    }
}
