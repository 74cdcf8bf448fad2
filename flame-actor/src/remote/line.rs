//! A lane to one actor of a peer, and what is sent over it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use flame_transport::{Answer, AskError, Body, Lane};
use tokio::sync::oneshot;

use super::{
    error::{DownReason, SendError},
    peer::Peer,
    reference::{Encoded, Ready},
};
use crate::dead_letters;

/// Where the messages for one actor go, as long as it is there.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) peer: Arc<Peer>,
    pub(super) lane: Lane,
}

/// An answer as it came, and over which link.
pub(super) type Answered = (Bytes, Arc<Peer>);

/// What is to be done with the answer to a message, or with its failure; called once.
pub(super) type Done = Box<dyn FnOnce(Result<Answered, SendError>) + Send>;

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
    /// Over the link; dropping it cancels.
    Asked(Answer, Arc<Peer>),
    /// Behind something that had to come first.
    Queued(oneshot::Receiver<Result<Answered, SendError>>),
}

impl Line {
    pub(super) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        let send = |body| match patience {
            Patience::None => self.lane.try_tell(body),
            Patience::Bounded => self.lane.tell(body),
            Patience::InTurn => self.lane.tell_in_turn(body),
        };
        match message {
            Ready::Plain(body) => send(body).map_err(|error| self.explain(error)),
            Ready::Referring(encoded) => {
                let sendable = encoded.for_link(&self.peer).map_err(|_| SendError::Unreachable)?;
                send(Body::Own(sendable.body.clone())).map_err(|error| self.explain(error))?;
                sendable.sent();
                Ok(())
            }
        }
    }

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
        Ok(Pending::Asked(answer, Arc::clone(&self.peer)))
    }

    pub(super) fn ask_then(&self, message: Encoded, done: Done) {
        let Ok(sendable) = message.for_link(&self.peer) else { return done(Err(SendError::Unreachable)) };
        let done = Arc::new(Mutex::new(Some(done)));
        let finish = {
            let (done, peer) = (Arc::clone(&done), Arc::clone(&self.peer));
            move |outcome: Result<Bytes, AskError>| {
                if let Some(done) = take(&done) {
                    let outcome = outcome.map_err(|error| SendError::from_ask(error, peer.node()));
                    done(outcome.map(|body| (body, peer)));
                }
            }
        };
        match self.lane.ask_then(Body::Own(sendable.body.clone()), finish) {
            Ok(_) => sendable.sent(),
            Err(error) => {
                if let Some(done) = take(&done) {
                    done(Err(self.explain(error)));
                }
            }
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

    /// Whether the link is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.peer.link().is_some_and(|link| link.lost().is_some())
    }

    fn explain(&self, error: flame_transport::SendError) -> SendError {
        SendError::from_send(error, self.peer.node())
    }
}

impl Pending {
    /// An answer that will come from elsewhere, and where it has to be put.
    pub(super) fn queued() -> (Done, Self) {
        let (sender, receiver) = oneshot::channel();
        (Box::new(move |outcome| drop(sender.send(outcome))), Self::Queued(receiver))
    }
}

impl Future for Pending {
    type Output = Result<Answered, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Asked(answer, peer) => Pin::new(answer).poll(cx).map(|answer| match answer {
                Ok(body) => Ok((body, Arc::clone(peer))),
                Err(error) => Err(SendError::from_ask(error, peer.node())),
            }),
            // Dropped unanswered only with the target that held the queue.
            Self::Queued(receiver) => {
                Pin::new(receiver).poll(cx).map(|outcome| outcome.unwrap_or(Err(SendError::NoReply)))
            }
        }
    }
}

pub(super) fn report_dead(peer: &Peer, sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::debug!(target: "flame::dead_letter", peer = %peer.node(), %error, "a message was not sent");
        dead_letters::publish(None, Some(peer.node()), &error);
    }
}

fn take(done: &Mutex<Option<Done>>) -> Option<Done> {
    done.lock().unwrap_or_else(PoisonError::into_inner).take()
}
