//! What the two sides say to each other before they are linked.
//!
//! ```text
//! dialer  → control stream   u32 LE length, Hello
//! dialer  → data stream      one byte, so that the listener sees the stream
//! listener → control stream  u32 LE length, Answer
//! ```
//!
//! Messages are MessagePack with named fields, so that a later build can still read enough to refuse with the reason.

use bytes::BytesMut;
use quinn::{ReadExactError, RecvStream, SendStream, WriteError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Build, InvalidBuild, Refusal};
use crate::{
    NodeId,
    codec::{self, DecodeError, EncodeError},
};

/// The dialer's first words.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) build: Build,
    /// Who the dialer is.
    pub(super) node: NodeId,
    /// Whom it looks for.
    pub(super) parent: NodeId,
}

/// The listener's reply.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The dialer has joined.
    Welcome {
        /// Who the listener is.
        node: NodeId,
    },
    /// The dialer has not joined.
    Refused { reason: Refusal },
}

/// The byte that opens the data stream.
pub(super) const DATA_PREAMBLE: u8 = 1;

/// The priority of the control stream; that of others is 0.
pub(super) const CONTROL_PRIORITY: i32 = 1;

/// The longest message. The longest that we write is a refusal with two builds, below 2 KiB.
pub(super) const MAX_MESSAGE: usize = 16 << 10;

/// Why the connection is closed, as the peer's QUIC layer sees it.
pub(super) mod code {
    /// The peer did not follow the protocol.
    pub(in crate::endpoint) const MALFORMED: u32 = 1;
    /// The peer was told a reason.
    pub(in crate::endpoint) const REFUSED: u32 = 2;
    /// There is no room now; try again.
    pub(in crate::endpoint) const BUSY: u32 = 3;
    /// The peer took too long.
    pub(in crate::endpoint) const TOO_SLOW: u32 = 4;
    /// The node was given up between its welcome and its first use.
    pub(in crate::endpoint) const REVOKED: u32 = 5;
}

/// Why a message could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("a handshake message of {0} bytes, more than {MAX_MESSAGE}")]
    TooLong(usize),
    #[error("a handshake message that cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("a handshake message that cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a data stream that begins with {0:#04x}")]
    Preamble(u8),
    #[error(transparent)]
    Build(InvalidBuild),
    #[error("the stream ended early: {0}")]
    Read(#[from] ReadExactError),
    #[error("the stream was closed early: {0}")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
}

/// Writes one message. Not cancel safe: part of it may have been written.
pub(super) async fn write<T: Serialize>(stream: &mut SendStream, message: &T) -> Result<(), MessageError> {
    let mut body = BytesMut::new();
    codec::encode(message, &mut body, MAX_MESSAGE)?;
    let length = u32::try_from(body.len()).map_err(|_| MessageError::TooLong(body.len()))?;
    stream.write_all(&[&length.to_le_bytes(), &body[..]].concat()).await?;
    Ok(())
}

/// Reads one message, and not a byte beyond it. Not cancel safe: part of it may have been read.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut RecvStream) -> Result<T, MessageError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    // Checked before the buffer is made: the length is the peer's word.
    if length > MAX_MESSAGE {
        return Err(MessageError::TooLong(length));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(codec::decode(&body)?)
}
