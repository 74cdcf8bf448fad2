//! What can go wrong with a message to an actor of another node.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use flame_transport::{AskError, LinkLost, NodeId, codec, codec::EncodeError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::backend::ExitReason;

/// Why an actor is not there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// It stopped as actors do: by itself, because nobody held its address, or because its owner let it go.
    #[error("it has stopped")]
    Stopped,
    /// It was stopped by its owner, who said why.
    #[error("it was stopped: {reason}")]
    Shutdown {
        /// The owner's words.
        reason: String,
    },
    /// Its lifetime was over.
    #[error("its lifetime of {lifetime:?} was over")]
    Deadline {
        /// The time that it had.
        lifetime: Duration,
    },
    /// It panicked.
    #[error("it panicked: {message}")]
    Panicked {
        /// What was given to `panic!`.
        message: String,
    },
    /// It never existed: its runner could not be booted, or refused it, or no actor was ever at its address.
    #[error("it was not started: {message}")]
    NotStarted {
        /// Why.
        message: String,
    },
    /// The node that it was on is gone.
    #[error("its node is lost: {message}")]
    NodeLost {
        /// What is known of the loss.
        message: String,
        /// How the node's instance ended, where the backend saw it. Known to its parent only.
        exit: Option<ExitReason>,
    },
}

/// A message was not handled, or its answer did not come.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The receiving actor is behind: as much as may be under way to it is. Try again later, or await `send`.
    #[error("the actor is behind and takes no more messages now")]
    Full,
    /// The message is longer than the link takes.
    #[error(
        "a message of {len} bytes is beyond the link's limit of {max} bytes: raise the limit, or send it in parts"
    )]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The sender's message cannot be encoded.
    #[error("the message cannot be encoded: {0}")]
    Encode(Arc<EncodeError>),
    /// A reference in the message cannot be passed on, because a link that it needs has just gone.
    #[error("the message holds a reference to an actor that the receiver cannot reach any more")]
    Unreachable,
    /// What came cannot be decoded: the receiver's word on the message, or this node's on the answer.
    #[error("{what} cannot be decoded: {message}")]
    Decode {
        /// `the message` or `the answer`.
        what: &'static str,
        /// The decoder's words.
        message: String,
    },
    /// The actor has ended and is being started again, and its messages are [not to wait](crate::Between::Refuse).
    #[error("the actor is being started again and takes no messages until then")]
    Restarting,
    /// The actor is not there any more; the message was not handled.
    #[error("the actor is gone: {0}")]
    Gone(DownReason),
    /// The handler, or the future that it returned, panicked on this very message.
    #[error("the handler panicked: {message}")]
    Panicked {
        /// What was given to `panic!`.
        message: String,
    },
    /// The message was handled, and its answer cannot be encoded.
    #[error("the message was handled, but its answer cannot be encoded: {message}")]
    Unanswerable {
        /// The encoder's words.
        message: String,
    },
    /// The message was handled and its answer given up, for example because the actor stopped meanwhile.
    #[error("the message was taken and never answered")]
    NoReply,
    /// The node of the actor was lost. Whether the message was handled is not known.
    #[error("the node {node} is lost: {reason}")]
    NodeLost {
        /// The actor's node.
        node: NodeId,
        /// Why the link ended.
        reason: LinkLost,
    },
    /// The registrations of this executable are at odds.
    #[error("this executable's remote handlers cannot be used: {0}")]
    Registry(#[from] &'static crate::registry::RegistryError),
}

/// Why a handler's side has no answer, on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Panicked(String),
    Undecodable(String),
    Unencodable(String),
    // From a relay, which could not hand the message on.
    Gone(DownReason),
    Lost(NodeId, LinkLost),
    Unreachable,
    Full,
    Restarting,
    TooLong(usize, usize),
}

impl Refusal {
    /// What kept this node from handing on a message; `None` if all there is to say is that there is no answer.
    pub(crate) fn of(error: SendError) -> Option<Self> {
        Some(match error {
            SendError::Panicked { message } => Self::Panicked(message),
            SendError::Decode { message, .. } => Self::Undecodable(message),
            SendError::Unanswerable { message } => Self::Unencodable(message),
            SendError::Gone(reason) => Self::Gone(reason),
            SendError::NodeLost { node, reason } => Self::Lost(node, reason),
            SendError::Unreachable => Self::Unreachable,
            SendError::Full => Self::Full,
            SendError::Restarting => Self::Restarting,
            SendError::TooLong { len, max } => Self::TooLong(len, max),
            SendError::Encode(_) | SendError::NoReply | SendError::Registry(_) => return None,
        })
    }

    pub(crate) fn encode(&self) -> Bytes {
        encode_small(self)
    }
}

impl DownReason {
    pub(crate) fn encode(&self) -> Bytes {
        encode_small(self)
    }

    /// From what a port's owner said on closing it.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        codec::decode(bytes).unwrap_or(Self::Stopped)
    }
}

impl SendError {
    pub(crate) fn from_send(error: flame_transport::SendError, node: &NodeId) -> Self {
        match error {
            flame_transport::SendError::TooLong { len, max } => Self::TooLong { len, max },
            flame_transport::SendError::Closed { reason } => Self::Gone(DownReason::decode(&reason)),
            flame_transport::SendError::Lost(reason) => Self::NodeLost { node: node.clone(), reason },
            _ => Self::Full,
        }
    }

    pub(crate) fn from_ask(error: AskError, node: &NodeId) -> Self {
        match error {
            AskError::Refused { body } => match codec::decode::<Refusal>(&body) {
                Ok(refusal) => refusal.into(),
                Err(error) => Self::Decode { what: "the answer", message: error.to_string() },
            },
            AskError::Closed { reason } => Self::Gone(DownReason::decode(&reason)),
            AskError::Lost(reason) => Self::NodeLost { node: node.clone(), reason },
            _ => Self::NoReply,
        }
    }
}

/// As far as another node can understand it.
impl Serialize for SendError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let refusal = Refusal::of(self.clone());
        refusal.unwrap_or_else(|| Refusal::Undecodable(self.to_string())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SendError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Refusal::deserialize(deserializer).map(Self::from)
    }
}

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Panicked(message) => Self::Panicked { message },
            Refusal::Undecodable(message) => Self::Decode { what: "the message", message },
            Refusal::Unencodable(message) => Self::Unanswerable { message },
            Refusal::Gone(reason) => Self::Gone(reason),
            Refusal::Lost(node, reason) => Self::NodeLost { node, reason },
            Refusal::Unreachable => Self::Unreachable,
            Refusal::Full => Self::Full,
            Refusal::Restarting => Self::Restarting,
            Refusal::TooLong(len, max) => Self::TooLong { len, max },
        }
    }
}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(Arc::new(error))
    }
}

fn encode_small<T: Serialize>(value: &T) -> Bytes {
    const LIMIT: usize = 64 * 1024;
    let mut out = BytesMut::new();
    // These are enums of strings; a text beyond the limit leaves the empty body, which reads as "no reason known".
    match codec::encode(value, &mut out, LIMIT) {
        Ok(()) => out.freeze(),
        Err(_) => Bytes::new(),
    }
}

/// A text that fits into a notice, of which a signal takes no more than 16,000 bytes.
pub(crate) fn cut(mut text: String) -> String {
    const MAX: usize = 8 * 1024;
    if text.len() > MAX {
        let end = (0..=MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
