//! Orders to a runner, and their answers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flame_transport::{AskError, Body, Interrupt, LinkLost, MAIN_PORT, codec};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    host::protocol::{FINISHED, StartFailure, UNENDED, join},
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
pub(super) enum Sent<B> {
    /// It is on its way.
    Asked(Asked<B>),
    /// The link was lost before; here is what it would have held.
    Unsent(B),
}

/// An order that was sent. Dropping this tells the runner that its answer is not wanted any more.
pub(super) struct Asked<B> {
    answer: oneshot::Receiver<Ending<B>>,
    interrupt: Option<Interrupt>,
    home: Arc<Peer>,
}

/// How an order that was sent has ended.
pub(super) enum Ending<B> {
    /// It was answered, or may have begun and never will be.
    Came(Result<Reply, AskError>),
    /// Its runner was about to end and has not begun it; here is what it held.
    NotBegun(B),
}

/// A runner's answer, and what goes on being held for what it refers to.
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) keeper: Option<Keeper>,
}

/// What an order holds until the runner has answered or is lost, whether somebody waits for that or not.
pub(super) trait Held: Send + 'static {
    /// What whoever orders gets back of it if nothing of the order has begun.
    type Back: Send;

    /// It is over, but for what the answer refers to: if it is to be held for that, it comes back.
    fn end(self, outcome: &Result<Bytes, AskError>) -> Option<Keeper>;

    /// Nothing of the order has begun, nor will.
    fn back(self) -> Self::Back;

    /// Whether somebody may still wait for it when its runner takes it for work that cannot be ended. Who has called a task
    /// has given it up before.
    fn outlasts_its_time(&self) -> bool {
        false
    }
}

impl Held for () {
    type Back = ();

    fn end(self, _: &Result<Bytes, AskError>) -> Option<Keeper> {
        None
    }

    fn back(self) {}
}

/// Whether a runner says that it has not begun an order and never will: it takes no more, or it took no more when it ended,
/// with everything answered that it had begun and that somebody may still wait for.
fn was_not_begun(outcome: &Result<Bytes, AskError>, held: &impl Held) -> bool {
    match outcome {
        Err(AskError::Refused { body }) => matches!(codec::decode(body), Ok(StartFailure::Closed)),
        Err(AskError::Lost(LinkLost::ClosedByPeer { reason })) => {
            reason == FINISHED || (reason == UNENDED && !held.outlasts_its_time())
        }
        _ => false,
    }
}

/// Sends an order.
pub(super) fn send<H: Held>(peer: &Arc<Peer>, order: Ready, held: H) -> Result<Sent<H::Back>, SendError> {
    let Some(link) = peer.link() else { return Ok(Sent::Unsent(held.back())) };
    let Ready { body, sendable } = order;
    let (sender, mut answer) = oneshot::channel();
    let waiter = Waiter { parts: Some((held, sender)), home: Arc::clone(peer) };
    match link.lane(MAIN_PORT).ask_then(Body::Own(body), move |outcome| waiter.end(outcome)) {
        Ok(interrupt) => {
            sendable.sent();
            Ok(Sent::Asked(Asked { answer, interrupt: Some(interrupt), home: Arc::clone(peer) }))
        }
        Err(error) => match (error, answer.try_recv()) {
            (flame_transport::SendError::Lost(_), Ok(Ending::NotBegun(back))) => Ok(Sent::Unsent(back)),
            (error, _) => Err(SendError::from_send(error, peer.node())),
        },
    }
}

/// Waits on the link for the answer. Dropped without one, it gives back what the order held: the order was not begun.
struct Waiter<H: Held> {
    parts: Option<(H, oneshot::Sender<Ending<H::Back>>)>,
    home: Arc<Peer>,
}

impl<H: Held> Waiter<H> {
    fn end(mut self, outcome: Result<Bytes, AskError>) {
        if self.parts.as_ref().is_some_and(|(held, _)| was_not_begun(&outcome, held)) {
            return;
        }
        let Some((held, sender)) = self.parts.take() else { return };
        let keeper = held.end(&outcome);
        let outcome = outcome.map(|body| Reply { body, keeper });
        if let Err(Ending::Came(Ok(unwanted))) = sender.send(Ending::Came(outcome)) {
            discard(&unwanted.body, &self.home);
        }
    }
}

impl<H: Held> Drop for Waiter<H> {
    fn drop(&mut self) {
        if let Some((held, sender)) = self.parts.take() {
            let _ = sender.send(Ending::NotBegun(held.back()));
        }
    }
}

impl<B> Future for Asked<B> {
    type Output = Ending<B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        self.interrupt = None;
        // The link drops no waiter without a word, and the waiter none of those that wait for it.
        Poll::Ready(outcome.unwrap_or(Ending::Came(Err(AskError::Dropped))))
    }
}

impl<B> Drop for Asked<B> {
    fn drop(&mut self) {
        let Some(interrupt) = self.interrupt.take() else { return };
        interrupt.interrupt();
        // An answer that came and was not looked at: what it refers to is let go.
        self.answer.close();
        if let Ok(Ending::Came(Ok(unwanted))) = self.answer.try_recv() {
            discard(&unwanted.body, &self.home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An order that somebody may wait for though it cannot be ended.
    struct Lasting;

    impl Held for Lasting {
        type Back = ();

        fn end(self, _: &Result<Bytes, AskError>) -> Option<Keeper> {
            None
        }

        fn back(self) {}

        fn outlasts_its_time(&self) -> bool {
            true
        }
    }

    #[test]
    fn only_what_a_runner_says_it_has_not_begun_was_not_begun() {
        let refused = |failure: StartFailure| Err(AskError::Refused { body: failure.encode() });
        let closed = |reason: &str| Err(AskError::Lost(LinkLost::ClosedByPeer { reason: reason.to_owned() }));
        assert!(was_not_begun(&refused(StartFailure::Closed), &()));
        assert!(was_not_begun(&closed(FINISHED), &()));
        assert!(was_not_begun(&closed(UNENDED), &()));
        assert!(was_not_begun(&closed(FINISHED), &Lasting) && !was_not_begun(&closed(UNENDED), &Lasting));
        for begun in [
            Ok(Bytes::new()),
            refused(StartFailure::TimedOut),
            refused(StartFailure::Panicked(String::new())),
            closed(""),
            // It had answers that may not have come.
            closed(&format!("{FINISHED}, with something undelivered")),
            Err(AskError::Lost(LinkLost::Closed { reason: FINISHED.to_owned() })),
            Err(AskError::Lost(LinkLost::TimedOut)),
            Err(AskError::Dropped),
        ] {
            assert!(!was_not_begun(&begun, &()), "{begun:?}");
        }
    }
}
