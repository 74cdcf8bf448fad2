//! Sending: a message is encoded on the thread that sends it.

use std::sync::Arc;

use actix::{Message, dev::SendError as MailboxSendError};
use bytes::BytesMut;
use flame_transport::{Body, codec::EncodeError};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{DownReason, SendError},
    line::Patience,
    reference::{Encoded, Ready, put_head},
    request::Request,
    scope,
    target::Remote,
};
use crate::{context::Context, dead_letters};

/// A message that can be sent to another node: it, and what its handler answers, can be encoded and decoded.
///
/// Implemented for every such [`Message`]; there is nothing to implement by hand.
pub trait SerdeMessage:
    Message<Result: Serialize + DeserializeOwned + Send> + Serialize + DeserializeOwned + Send + 'static
{
}

impl<M> SerdeMessage for M
where
    M: Message + Serialize + DeserializeOwned + Send + 'static,
    M::Result: Serialize + DeserializeOwned + Send,
{
}

/// The number of no message: an actor that comes to it has handled all that was sent before, and stops for another
/// incarnation to go on.
pub(crate) const HAND_OVER: u32 = u32::MAX - 1;

/// The body that says so.
pub(super) fn hand_over() -> BytesMut {
    let mut body = BytesMut::new();
    put_head(&mut body, HAND_OVER, &[], false);
    body
}

/// Whether a message is that one, which is no user's.
pub(super) fn is_hand_over(message: &Encoded) -> bool {
    matches!(message, Encoded::Whole(body) if *body == hand_over())
}

/// Encodes a message, with the context of this code, and has it sent.
#[inline]
pub(super) fn with_encoded<M: Serialize, R>(
    method: u32,
    message: &M,
    limit: usize,
    send: impl FnOnce(Ready<'_>) -> R,
) -> Result<R, EncodeError> {
    encode_in(&Context::current(), method, message, limit, send)
}

#[inline]
fn encode_in<M: Serialize, R>(
    context: &Context,
    method: u32,
    message: &M,
    limit: usize,
    send: impl FnOnce(Ready<'_>) -> R,
) -> Result<R, EncodeError> {
    /// A body up to this long is copied into the link's buffer; beyond it, it is handed over.
    const COPY: usize = 8 * 1024;
    let context = if context.is_empty() { None } else { Some(context.encode()?) };
    scope::with_buffer(|out| {
        put_head(out, method, context.as_deref().unwrap_or_default(), false);
        let head = out.len();
        let references = scope::encode(message, out, limit)?;
        let ready = if !references.is_empty() {
            let payload = out.split_off(head).freeze();
            let context = context.unwrap_or_default();
            Ready::Referring(Encoded::Referring { method, context, payload, references })
        } else if out.len() > COPY {
            Ready::Plain(Body::Own(out.split().freeze()))
        } else {
            Ready::Plain(Body::Copy(out))
        };
        Ok(send(ready))
    })
}

/// Encodes an answer that is sent later.
pub(crate) fn encode_answer<T: Serialize>(value: &T, limit: usize) -> Result<Encoded, EncodeError> {
    encode_in(&Context::default(), 0, value, limit, |ready| ready.into_encoded())
}

/// Encodes a value that is sent later, over a link that is not known yet, with the context of this code.
pub(crate) fn encode_whole<T: Serialize>(value: &T, limit: usize) -> Result<Encoded, EncodeError> {
    with_encoded(0, value, limit, |ready| ready.into_encoded())
}

#[inline]
pub(super) fn ask<M: SerdeMessage>(
    remote: &Arc<Remote>,
    method: u32,
    message: &M,
    patience: Patience,
) -> Request<M> {
    let asked = with_encoded(method, message, remote.max_message(), |ready| remote.ask(ready, patience));
    Request::remote(asked.unwrap_or_else(|error| Err(error.into())), remote)
}

#[inline]
pub(super) fn tell<M: SerdeMessage>(
    remote: &Remote,
    method: u32,
    message: &M,
    patience: Patience,
) -> Result<(), SendError> {
    with_encoded(method, message, remote.max_message(), |ready| remote.tell(ready, patience))?
}

#[inline]
pub(super) fn dead_letter<M>(sent: Result<(), SendError>) {
    if let Err(error) = sent {
        report(std::any::type_name::<M>(), &error);
    }
}

#[cold]
fn report(message: &'static str, error: &SendError) {
    tracing::warn!(target: "flame::dead_letter", message_type = message, %error, "a message was not delivered");
    dead_letters::publish(Some(message), None, error);
}

pub(super) fn from_mailbox<M>(error: MailboxSendError<M>) -> SendError {
    match error {
        MailboxSendError::Full(_) => SendError::Full,
        MailboxSendError::Closed(_) => SendError::Gone(DownReason::Stopped),
    }
}
