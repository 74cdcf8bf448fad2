//! What stands on the wire of a link: integers of variable length, data frames, control frames, bulk frames.
//!
//! All parsing here is total: bytes from a peer give a value or a [`Malformed`], never a panic.

pub(crate) mod bulk;
pub(crate) mod control;
pub(crate) mod frame;
pub mod varint;

/// Bytes from the peer that no correct node sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);
