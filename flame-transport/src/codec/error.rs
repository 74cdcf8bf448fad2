//! What can go wrong on either side.

use std::fmt::{self, Display, Write};

use super::depth::MAX_DEPTH;

/// A value cannot be sent. The sender's own value is the reason, whatever the link and the peer do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoding takes more bytes than it may. Send less at a time, or raise the limit.
    #[error("the value takes more than {limit} bytes: send less at a time, or raise the limit")]
    TooLarge {
        /// The most bytes that the encoding may take.
        limit: usize,
    },

    /// The value nests deeper than [`MAX_DEPTH`]. Send it as a flat list whose elements refer to one another.
    #[error("the value nests more than {MAX_DEPTH} levels deep: send it as a flat list")]
    TooDeep,

    /// A map that does not tell its length before its entries, as one with flattened fields, has a key
    /// that serde's derive may be unable to read back there. Give such maps keys that are strings, bytes or unsigned
    /// integers, or do not flatten them.
    #[error(
        "a flattened map, or one of unknown length, has a key that is no string, bytes or unsigned integer: \
         change the key, or do not flatten the map"
    )]
    FlattenedKey,

    /// The `Serialize` of a type within the value refused it. The reason is in that type's own words.
    #[error("the value's Serialize failed: {reason}")]
    Refused {
        /// The first 256 bytes of what the type said.
        reason: Box<str>,
    },
}

/// Bytes are no value of the type that was expected.
///
/// The sender is to blame: it encoded another type, runs another build, or is no peer of ours. The one exception is a type
/// whose `Deserialize` cannot read what its own `Serialize` wrote; the [module](super#what-serde-itself-cannot-carry) lists them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within the value, or a length in them promises more than is there.
    #[error("the bytes end before the value does: the sender cut it short, or lied about a length")]
    Truncated,

    /// The value is whole, and bytes follow it.
    #[error("{bytes} bytes follow the value: the sender encoded another type than was expected")]
    Trailing {
        /// How many.
        bytes: usize,
    },

    /// A byte that begins no value in this format.
    #[error("no value begins with byte {byte:#04x}: the sender does not speak this format")]
    Malformed {
        /// The byte.
        byte: u8,
    },

    /// A string is not UTF-8.
    #[error("a string is not UTF-8: the sender does not speak this format")]
    NotUtf8,

    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("the value nests more than {MAX_DEPTH} levels deep, which no sender of this format does")]
    TooDeep,

    /// The value is well formed and of another type, or the type's `Deserialize` rejected it.
    #[error(
        "the value is not of the expected type: {reason} (the sender encoded another type, or runs another build)"
    )]
    Mismatch {
        /// The first 256 bytes of what the type said.
        reason: Box<str>,
    },
}

/// The error while serde runs: behind a pointer, so that the many results that are handed up fit a register.
pub(super) type EncodeFailure = Box<EncodeError>;

/// The same of decoding.
pub(super) type DecodeFailure = Box<DecodeError>;

impl serde::ser::Error for EncodeError {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Self::Refused { reason: reason(message) }
    }
}

impl serde::ser::Error for EncodeFailure {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Self::new(EncodeError::custom(message))
    }
}

impl serde::de::Error for DecodeError {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Self::Mismatch { reason: reason(message) }
    }
}

impl serde::de::Error for DecodeFailure {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Self::new(DecodeError::custom(message))
    }
}

/// The beginning of a message. serde quotes offending strings in full, and those are as long as a peer likes.
fn reason(message: impl Display) -> Box<str> {
    let mut start = Start(String::new());
    // An error here means that the rest was cut off, which is the point.
    let _ = write!(start, "{message}");
    start.0.into()
}

/// Takes the first [`Start::MAX`] bytes, then fails.
struct Start(String);

impl Start {
    const MAX: usize = 256;
}

impl Write for Start {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = Self::MAX.saturating_sub(self.0.len());
        let fits = (0..=room.min(piece.len())).rev().find(|end| piece.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(piece.get(..fits).unwrap_or_default());
        if fits == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
