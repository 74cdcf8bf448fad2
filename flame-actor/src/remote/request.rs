//! What `send` returns.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix::{MailboxError, Message};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{
    error::{DownReason, SendError},
    line::Pending,
    peer::Peer,
    reference::{Parts, Resolved, parse},
    scope,
    target::{Keeper, Remote},
};

/// An answer under way: resolves to what the handler returned, or to why there is nothing.
///
/// The message was put in the actor's order when the request was made; awaiting it only waits. Dropping it before that
/// gives the answer up: a message that has not left yet never will, one whose handler has begun runs to its end.
#[must_use = "dropping a request gives its answer up; use do_send for a message without one"]
pub struct Request<M: Message> {
    state: State<M::Result>,
}

enum State<R> {
    Local(Pin<Box<dyn Future<Output = Result<R, MailboxError>> + Send>>),
    /// The actor is kept as long as its answer is waited for.
    Remote {
        answer: Pending,
        _actor: Arc<Remote>,
    },
    Failed(SendError),
    Done,
}

impl<M: Message> Request<M> {
    pub(super) fn local(
        answer: impl Future<Output = Result<M::Result, MailboxError>> + Send + 'static,
    ) -> Self {
        Self { state: State::Local(Box::pin(answer)) }
    }

    pub(super) fn remote(asked: Result<Pending, SendError>, remote: &Arc<Remote>) -> Self {
        let state = match asked {
            Ok(answer) => State::Remote { answer, _actor: Arc::clone(remote) },
            Err(error) => State::Failed(error),
        };
        Self { state }
    }

    pub(super) fn failed(error: SendError) -> Self {
        Self { state: State::Failed(error) }
    }
}

impl<M> Future for Request<M>
where
    M: Message,
    M::Result: DeserializeOwned,
{
    type Output = Result<M::Result, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let outcome = match &mut this.state {
            State::Local(answer) => ready!(answer.as_mut().poll(cx)).map_err(from_mailbox),
            State::Remote { answer, .. } => {
                let answer = ready!(Pin::new(answer).poll(cx));
                answer.and_then(|(body, peer)| decode_answer(&body, Some(&peer)))
            }
            State::Failed(error) => Err(error.clone()),
            State::Done => Err(SendError::NoReply),
        };
        this.state = State::Done;
        Poll::Ready(outcome)
    }
}

// No field is pinned but the boxed future.
impl<M: Message> Unpin for Request<M> {}

impl<M: Message> std::fmt::Debug for Request<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

pub(crate) fn decode_answer<R: DeserializeOwned>(
    body: &Bytes,
    peer: Option<&Arc<Peer>>,
) -> Result<R, SendError> {
    decode_parts(read(body, peer.ok_or(SendError::NoReply)?)?)
}

/// As [`decode_answer`]. What the answer refers to on the peer's node holds `keeper` until its last reference goes.
pub(crate) fn decode_keeping<R: DeserializeOwned>(
    body: &Bytes,
    peer: &Arc<Peer>,
    keeper: Option<Keeper>,
) -> Result<R, SendError> {
    let parts = read(body, peer)?;
    for reference in &parts.table {
        if let (Resolved::Remote(remote, _), Some(keeper)) = (reference, &keeper)
            && remote.peer().is_some_and(|home| Arc::ptr_eq(&home, peer))
        {
            remote.keep(keeper);
        }
    }
    decode_parts(parts)
}

fn read<'a>(body: &'a Bytes, peer: &Arc<Peer>) -> Result<Parts<'a>, SendError> {
    parse(body, peer).map_err(|_| undecodable("its references are gone"))
}

fn decode_parts<R: DeserializeOwned>(parts: Parts<'_>) -> Result<R, SendError> {
    scope::decode(parts.payload, parts.table).map_err(|error| undecodable(&error.to_string()))
}

fn undecodable(message: &str) -> SendError {
    SendError::Decode { what: "the answer", message: message.to_owned() }
}

fn from_mailbox(error: MailboxError) -> SendError {
    match error {
        MailboxError::Closed => SendError::Gone(DownReason::Stopped),
        MailboxError::Timeout => SendError::NoReply,
    }
}
