//! A lane to one actor of a peer, and what is sent over it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake},
};

use bytes::Bytes;
use flame_transport::{Answer, AskError, Body, Interrupt, Lane};
use tokio::sync::oneshot;

use super::{
    error::{DownReason, SendError},
    peer::Peer,
    reference::{Encoded, Ready, reclaim},
};
use crate::dead_letters;

/// Where the messages for one actor go, as long as it is there.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) peer: Arc<Peer>,
    pub(super) lane: Lane,
}

/// An answer as it came, and over which link.
pub(crate) type Answered = (Bytes, Arc<Peer>);

/// What is to be done with the answer to a message, or with its failure.
pub(crate) struct Done {
    finish: Box<dyn FnOnce(Result<Answered, SendError>) + Send>,
    asker: Arc<Asker>,
}

/// Who waits for an answer that comes by way of this node: it may go before the question has, or after.
#[derive(Default)]
pub(crate) struct Asker(Mutex<Asking>);

#[derive(Default)]
enum Asking {
    /// The question has not been asked yet.
    #[default]
    Before,
    Asked(Interrupt),
    /// There is an answer, or nobody waits for one.
    Over,
}

/// How a message that finds no room behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is refused.
    None,
    /// It waits within the lane's bound.
    Bounded,
    /// It waits, and whoever sends it sends no other before there is room.
    InTurn,
}

/// An answer under way.
pub(crate) enum Pending {
    /// Over the link; dropping it cancels. The peer goes out with the answer.
    Asked(Answer, Option<Arc<Peer>>),
    /// Behind something that had to come first, or that may have to; dropping it cancels.
    Queued(Queued),
}

pub(crate) struct Queued {
    receiver: oneshot::Receiver<Result<Answered, SendError>>,
    asker: Arc<Asker>,
}

impl Line {
    #[inline]
    pub(super) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        match message {
            Ready::Plain(body) => self.tell_body(body, patience),
            Ready::Referring(encoded) => self.tell_encoded(&encoded, patience),
        }
    }

    /// As [`Line::tell`], of a message that is still there if it is not sent.
    pub(super) fn tell_lent(&self, message: &Ready<'_>, patience: Patience) -> Result<(), SendError> {
        match message {
            Ready::Plain(body) => self.tell_body(lend(body), patience),
            Ready::Referring(encoded) => self.tell_encoded(encoded, patience),
        }
    }

    fn tell_encoded(&self, message: &Encoded, patience: Patience) -> Result<(), SendError> {
        let sendable = message.for_link(&self.peer).map_err(|_| SendError::Unreachable)?;
        self.tell_body(Body::Own(sendable.body.clone()), patience)?;
        sendable.sent();
        Ok(())
    }

    #[inline]
    fn tell_body(&self, body: Body<'_>, patience: Patience) -> Result<(), SendError> {
        let sent = match patience {
            Patience::None => self.lane.try_tell(body),
            Patience::Bounded => self.lane.tell(body),
            Patience::InTurn => self.lane.tell_in_turn(body),
        };
        sent.map_err(|error| self.explain(error))
    }

    #[inline]
    pub(super) fn ask(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        let send = |body| match patience {
            Patience::None => self.lane.try_ask(body),
            Patience::Bounded | Patience::InTurn => self.lane.ask(body),
        };
        let asked = match message {
            Ready::Plain(body) => send(body),
            Ready::Referring(encoded) => {
                let sendable = encoded.for_link(&self.peer).map_err(|_| SendError::Unreachable)?;
                send(Body::Own(sendable.body.clone())).inspect(|_| sendable.sent())
            }
        };
        let answer = asked.map_err(|error| self.explain(error))?;
        Ok(Pending::Asked(answer, Some(Arc::clone(&self.peer))))
    }

    pub(super) fn ask_then(&self, message: Encoded, done: Done) {
        if done.is_unwanted() {
            return;
        }
        let Ok(sendable) = message.for_link(&self.peer) else {
            return done.call(Err(SendError::Unreachable));
        };
        let asker = Arc::clone(&done.asker);
        let done = Arc::new(Mutex::new(Some(done)));
        let finish = {
            let (done, peer) = (Arc::clone(&done), Arc::clone(&self.peer));
            move |outcome: Result<Bytes, AskError>| {
                if let Some(done) = take(&done) {
                    let outcome = outcome.map_err(|error| SendError::from_ask(error, peer.node()));
                    done.call(outcome.map(|body| (body, peer)));
                }
            }
        };
        match self.lane.ask_then(Body::Own(sendable.body.clone()), finish) {
            Ok(interrupt) => {
                sendable.sent();
                asker.asked(interrupt);
            }
            Err(error) => {
                if let Some(done) = take(&done) {
                    done.call(Err(self.explain(error)));
                }
            }
        }
    }

    /// Asks over a returning lane. A message that comes back goes to `back`; one that is not sent is still there, and
    /// `done` comes back.
    pub(super) fn ask_lent(
        &self,
        message: &Ready<'_>,
        patience: Patience,
        done: Done,
        back: impl FnOnce(Encoded, Done) + Send + 'static,
    ) -> Result<(), (SendError, Option<Done>)> {
        let (body, sendable) = match message {
            Ready::Plain(body) => (lend(body), None),
            Ready::Referring(encoded) => match encoded.for_link(&self.peer) {
                Ok(sendable) => (Body::Own(sendable.body.clone()), Some(sendable)),
                Err(_) => return Err((SendError::Unreachable, Some(done))),
            },
        };
        let asker = Arc::clone(&done.asker);
        let done = Arc::new(Mutex::new(Some(done)));
        let finish = {
            let (done, peer) = (Arc::clone(&done), Arc::clone(&self.peer));
            move |outcome: Result<Bytes, AskError>| {
                let Some(done) = take(&done) else { return };
                match outcome {
                    Ok(body) => done.call(Ok((body, peer))),
                    Err(AskError::Returned { body }) => match reclaim(&body, &peer) {
                        Some(message) => back(message, done),
                        None => done.call(Err(SendError::Unreachable)),
                    },
                    Err(error) => done.call(Err(SendError::from_ask(error, peer.node()))),
                }
            }
        };
        match self.lane.ask_returning(body, patience != Patience::None, finish) {
            Ok(interrupt) => {
                if let Some(sendable) = sendable {
                    sendable.sent();
                }
                asker.asked(interrupt);
                Ok(())
            }
            Err(error) => Err((self.explain(error), take(&done))),
        }
    }

    /// What waited for the actor to be there.
    pub(super) fn send_waiting(&self, message: Encoded, done: Option<Done>) {
        match done {
            None => report_dead(&self.peer, self.tell(Ready::Referring(message), Patience::Bounded)),
            Some(done) => self.ask_then(message, done),
        }
    }

    /// Why the actor takes no more messages, if its node has said so.
    pub(super) fn closed(&self) -> Option<DownReason> {
        let watch = self.lane.watch();
        match watch.poll_closed(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(flame_transport::SendError::Closed { reason }) => Some(DownReason::decode(&reason)),
            _ => None,
        }
    }

    /// How the node was lost, if it was.
    pub(super) fn lost(&self) -> Option<DownReason> {
        let lost = self.peer.link()?.lost()?;
        Some(self.peer.loss(&lost, self.peer.exit.get().cloned()))
    }

    /// Whether the link is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.peer.link().is_some_and(|link| link.lost().is_some())
    }

    #[cold]
    fn explain(&self, error: flame_transport::SendError) -> SendError {
        SendError::from_send(error, self.peer.node())
    }
}

impl Done {
    pub(super) fn new(
        asker: Arc<Asker>,
        finish: impl FnOnce(Result<Answered, SendError>) + Send + 'static,
    ) -> Self {
        Self { finish: Box::new(finish), asker }
    }

    pub(super) fn call(self, outcome: Result<Answered, SendError>) {
        drop(self.asker.become_over());
        (self.finish)(outcome);
    }

    /// Whether nobody waits any more.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(*self.asker.state(), Asking::Over)
    }
}

impl Asker {
    /// The question is on its way.
    fn asked(&self, interrupt: Interrupt) {
        let mut state = self.state();
        match *state {
            Asking::Over => {
                drop(state);
                // One that is answered already is not interrupted by this.
                interrupt.interrupt();
            }
            _ => *state = Asking::Asked(interrupt),
        }
    }

    /// Nobody waits any more.
    pub(super) fn go(&self) {
        if let Asking::Asked(interrupt) = self.become_over() {
            interrupt.interrupt();
        }
    }

    fn become_over(&self) -> Asking {
        std::mem::replace(&mut *self.state(), Asking::Over)
    }

    fn state(&self) -> MutexGuard<'_, Asking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Woken when the one who waits goes.
impl Wake for Asker {
    fn wake(self: Arc<Self>) {
        self.go();
    }
}

impl Pending {
    /// An answer that will come from elsewhere, and where it has to be put.
    pub(super) fn queued() -> (Done, Self) {
        let (sender, receiver) = oneshot::channel();
        let asker = Arc::<Asker>::default();
        let done = Done::new(Arc::clone(&asker), move |outcome| drop(sender.send(outcome)));
        (done, Self::Queued(Queued { receiver, asker }))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.asker.go();
    }
}

impl Future for Pending {
    type Output = Result<Answered, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Asked(answer, peer) => Pin::new(answer).poll(cx).map(|answer| {
                let peer = peer.take().ok_or(SendError::NoReply)?;
                match answer {
                    Ok(body) => Ok((body, peer)),
                    Err(error) => Err(SendError::from_ask(error, peer.node())),
                }
            }),
            // Dropped unanswered only with the target that held the queue.
            Self::Queued(queued) => Pin::new(&mut queued.receiver)
                .poll(cx)
                .map(|outcome| outcome.unwrap_or(Err(SendError::NoReply))),
        }
    }
}

pub(super) fn report_dead(peer: &Peer, sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::debug!(target: "flame::dead_letter", peer = %peer.node(), %error, "a message was not sent");
        dead_letters::publish(None, Some(peer.node()), &error);
    }
}

fn lend<'a>(body: &'a Body<'_>) -> Body<'a> {
    match body {
        Body::Copy(bytes) => Body::Copy(bytes),
        Body::Own(bytes) => Body::Own(bytes.clone()),
    }
}

fn take(done: &Mutex<Option<Done>>) -> Option<Done> {
    done.lock().unwrap_or_else(PoisonError::into_inner).take()
}
