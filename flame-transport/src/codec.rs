//! How a value becomes bytes and a value again.

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};

/// A value cannot be encoded, or is too large.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode the value: {0}")]
pub struct EncodeError(String);

/// Bytes are not the encoding of a value of the type asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode the value: {0}")]
pub struct DecodeError(String);

/// Appends `value`'s encoding, at most `limit` bytes, to `out`.
///
/// # Errors
///
/// The value refuses to be serialised or is too large; `out` is as it was.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut, limit: usize) -> Result<(), EncodeError> {
    let bytes = rmp_serde::to_vec_named(value).map_err(|e| EncodeError(e.to_string()))?;
    if bytes.len() > limit {
        return Err(EncodeError(format!("{} bytes are more than {limit}", bytes.len())));
    }
    out.put_slice(&bytes);
    Ok(())
}

/// The value that fills `bytes`.
///
/// # Errors
///
/// `bytes` is no encoding of a `T`.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    rmp_serde::from_slice(bytes).map_err(|e| DecodeError(e.to_string()))
}
