//! Reading a bulk stream.

use bytes::Bytes;

use super::Seat;
use crate::{
    link::LinkLost,
    wire::bulk::{End, Parser, Part},
};

/// How much is read at a time.
const READ: usize = 256 * 1024;

/// The reading end of a bulk stream. Dropping it before the end tells the producer that nobody reads any more.
#[derive(Debug)]
pub struct BulkReceiver {
    // Stopped before its seat is free for another.
    stream: quinn::RecvStream,
    seat: Seat,
    parser: Parser,
    input: Bytes,
    ended: bool,
}

/// A bulk stream has no more, and was not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The producer says that it failed.
    #[error("the producer failed: {words}")]
    Failed {
        /// Its words.
        words: String,
    },
    /// The producer gave it up without a word.
    #[error("the producer gave up")]
    GivenUp,
    /// What came is no bulk stream.
    #[error("the stream is malformed: {detail}")]
    Malformed {
        /// What it was.
        detail: String,
    },
    /// The link is lost.
    #[error("the link was lost: {0}")]
    Lost(LinkLost),
}

impl BulkReceiver {
    pub(super) fn new(stream: quinn::RecvStream, seat: Seat) -> Self {
        Self { stream, seat, parser: Parser::default(), input: Bytes::new(), ended: false }
    }

    /// The next part of a frame; `None` once the producer has finished.
    ///
    /// # Errors
    ///
    /// See [`BulkError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Part>, BulkError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let part = self.parser.next(&mut self.input);
            match part.map_err(|malformed| BulkError::Malformed { detail: malformed.to_string() })? {
                Some(part) => return Ok(Some(part)),
                None => match self.stream.read_chunk(READ, true).await {
                    Ok(Some(chunk)) => self.input = chunk.bytes,
                    Ok(None) => break,
                    Err(quinn::ReadError::ConnectionLost(_)) => {
                        return Err(BulkError::Lost(self.seat.shared.ended().await));
                    }
                    Err(_) => return Err(BulkError::GivenUp),
                },
            }
        }
        self.ended = true;
        match self.parser.end() {
            End::Finished => Ok(None),
            End::Failed(words) => Err(BulkError::Failed { words }),
            End::GivenUp => Err(BulkError::GivenUp),
        }
    }
}
