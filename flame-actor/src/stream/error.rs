//! How streams end early.

use std::{any::Any, fmt::Display, io};

use flame_transport::{BulkClosed, BulkError, LinkLost, NodeId};

use crate::remote::SendError;

/// A stream has no more, and its end was not reached: what its reader hears.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The producer failed: its source gave an error, panicked, or [`Feed::fail`](super::Feed::fail) was called.
    #[error("the stream failed at its source: {message}")]
    Failed {
        /// The producer's words.
        message: String,
    },
    /// The producer went without a word: a [`Feed`](super::Feed) was dropped unfinished, or its thread ended.
    #[error("the stream's producer gave up before the end")]
    GivenUp,
    /// Someone else reads the stream, or has: it was sent to two readers.
    #[error("the stream is read elsewhere already: a stream has one reader")]
    Taken,
    /// There is nothing behind the stream any more.
    #[error("the stream's source is gone")]
    Gone,
    /// The node of the producer is lost.
    #[error("the stream's node {node} is lost: {reason}")]
    NodeLost {
        /// The producer's node.
        node: NodeId,
        /// Why the link ended.
        reason: LinkLost,
    },
    /// What came cannot be decoded.
    #[error("what came of the stream cannot be decoded: {message}")]
    Decode {
        /// The decoder's words.
        message: String,
    },
}

/// A stream has no reader any more: what its producer hears.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamClosed {
    /// The reader has dropped the stream, or it never reached one.
    #[error("nobody reads the stream any more")]
    Dropped,
    /// The node of the reader is lost.
    #[error("the node {node} of the stream's reader is lost: {reason}")]
    NodeLost {
        /// The reader's node.
        node: NodeId,
        /// Why the link ended.
        reason: LinkLost,
    },
}

impl StreamError {
    pub(super) fn failed(error: impl Display) -> Self {
        Self::Failed { message: error.to_string() }
    }

    /// What a source's own error is to the reader. That of a stream behind it is passed on as it is.
    pub(super) fn of_source<E: Display + 'static>(error: E) -> Self {
        let any = &error as &dyn Any;
        let inner = any.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<Self>());
        match any.downcast_ref::<Self>().or(inner) {
            Some(error) => error.clone(),
            None => Self::failed(error),
        }
    }

    pub(super) fn from_bulk(error: BulkError, node: &NodeId) -> Self {
        match error {
            BulkError::Failed { words } => Self::Failed { message: words },
            BulkError::Lost(reason) => Self::NodeLost { node: node.clone(), reason },
            BulkError::Malformed { detail } => Self::Decode { message: detail },
            _ => Self::GivenUp,
        }
    }

    /// The stream's source could not be asked for it.
    pub(super) fn from_send(error: SendError) -> Self {
        match error {
            SendError::NodeLost { node, reason } => Self::NodeLost { node, reason },
            // Taken by someone who went before the stream was open.
            SendError::NoReply => Self::GivenUp,
            _ => Self::Gone,
        }
    }

    /// The words for whoever reads it elsewhere.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Failed { message } => message.clone(),
            other => other.to_string(),
        }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        Self::other(error)
    }
}

impl StreamClosed {
    pub(super) fn from_bulk(closed: BulkClosed, node: &NodeId) -> Self {
        match closed {
            BulkClosed::Lost(reason) => Self::NodeLost { node: node.clone(), reason },
            _ => Self::Dropped,
        }
    }
}
