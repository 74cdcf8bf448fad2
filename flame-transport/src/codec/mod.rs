//! Values to bytes and back: every message, every reply and every placed actor crosses a link in this form.
//!
//! **The promise: a value arrives equal to what was sent, or the sender gets an [`EncodeError`].** It holds for
//! every type whose `Deserialize` is the inverse of its `Serialize` in a self-describing format, with every serde
//! attribute, in every nesting: `Some(())`, `Some(None)`, skipped and flattened fields, tagged and untagged enums,
//! maps with keys of any shape, the bits of a NaN.
//!
//! # What serde itself cannot carry
//!
//! These types are not their own inverse in any self-describing format, or serde's derive cannot read them back.
//! Nothing in the bytes tells them from others, so the codec cannot refuse them:
//!
//! - an `untagged` enum whose earlier variant also accepts the encoding of a later one; all integers are one kind
//!   here (whatever their width), a `char` is a string, and a newtype is what it wraps;
//! - a flattened map, or a map in an internally tagged enum, that holds a key equal to a field or to the tag; a
//!   flattened map next to a flattened internally tagged enum, whose entries it also takes;
//! - a flattened `Option` around a type that can be read from nothing, as a map or a struct of optional fields;
//! - a tuple struct with a field that is skipped in one direction, or under a condition (named fields may be);
//! - `i128` and `u128` inside flattened fields and untagged or internally tagged enums. serde's derive cannot hold
//!   them there: every such value fails to decode, so the first test of the type shows it;
//! - types made for one format alone, such as `serde_json::value::RawValue`.
//!
//! # Bounds
//!
//! An encoding takes at most the limit that [`encode`] is given, and never over 4 GiB. Values nest at most
//! [`MAX_DEPTH`] levels deep, in both directions. [`decode`] reserves no more elements than the bytes it is
//! given can hold, all collections taken together, so lengths that lie are errors and not allocations. (What
//! serde itself buffers in front of an untagged or tagged enum or a flattened field is beyond the reach of the depth
//! bound, so a type must not recurse through `Option`s and newtypes alone in there.)
//!
//! # Format
//!
//! [MessagePack](https://github.com/msgpack/msgpack/blob/master/spec.md), with these choices:
//!
//! | in Rust | on the wire |
//! |---|---|
//! | named struct | map of field names: the one form that stays right whatever is skipped, defaulted or flattened |
//! | tuple, tuple struct, array, sequence | array |
//! | newtype struct | what it wraps |
//! | enum variant | its name; a variant with content is a map of one entry, from name to content |
//! | `()`, unit struct, `None` | nil |
//! | `Some(x)` | `x`; before an `x` that begins with nil or this mark, the byte `0xc1` that MessagePack never uses |
//! | integer | the shortest form of its value; beyond 64 bits an extension (type 1 `i128`, 2 `u128`) of 16 bytes |
//! | `f32`, `f64` | the bits |
//! | `char`, string | str |
//! | bytes | bin (`serde_bytes`, `bytes::Bytes`; a plain `Vec<u8>` is a slow and large array) |
//!
//! So a hot message is smallest as a tuple struct: it pays no field names.
//!
//! The codec calls itself human readable, so an `IpAddr` is a string. It has to: serde's buffers for
//! untagged and tagged enums and flattened fields always say so to a `Deserialize`, which must not differ from what its
//! `Serialize` was told.

mod de;
mod depth;
mod error;
mod format;
mod input;
mod output;
mod ser;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use self::{de::Decoder, input::Input, output::Output, ser::Encoder};
pub use self::{
    depth::MAX_DEPTH,
    error::{DecodeError, EncodeError},
};

/// Appends the encoding of `value` to `out`.
///
/// `limit` bounds the encoding, in bytes (what `out` holds before does not count). It is checked before each write,
/// so a value that is too large never buffers more than the limit.
///
/// Writes go straight into `out`; with capacity reserved, encoding allocates nothing.
///
/// # Errors
///
/// The value exceeds the limit or [`MAX_DEPTH`], its `Serialize` fails, or it could not be read back: see
/// [`EncodeError`]. `out` is then as it was before, as it is after a panic in the value's `Serialize`.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use flame_transport::codec;
///
/// let mut out = BytesMut::new();
/// codec::encode(&("frames", Some(None::<u32>)), &mut out, 1024)?;
/// assert_eq!(codec::decode::<(String, Option<Option<u32>>)>(&out)?, ("frames".to_owned(), Some(None)));
///
/// assert!(matches!(
///     codec::encode("too long for its limit", &mut out, 8),
///     Err(codec::EncodeError::TooLarge { limit: 8 })
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn encode<T>(value: &T, out: &mut BytesMut, limit: usize) -> Result<(), EncodeError>
where
    T: Serialize + ?Sized,
{
    let mut output = Output::new(out, limit);
    value.serialize(Encoder::new(&mut output)).map_err(|failure| *failure)?;
    output.keep();
    Ok(())
}

/// Reads the value that fills `bytes` exactly.
///
/// Strings and byte strings can be borrowed from `bytes` (`&str`, `&[u8]`).
///
/// # Errors
///
/// The bytes are no value of this type, or more than one: see [`DecodeError`]. No bytes make it panic, overflow
/// the stack or reserve more memory than they justify, as long as the type's own `Deserialize` does not.
///
/// # Examples
///
/// ```
/// use flame_transport::codec::{self, DecodeError};
///
/// assert_eq!(codec::decode::<(&str, u8)>(b"\x92\xa5frame\x07")?, ("frame", 7));
/// assert!(matches!(codec::decode::<u8>(b"\x07\x08"), Err(DecodeError::Trailing { bytes: 1 })));
/// # Ok::<(), DecodeError>(())
/// ```
#[inline]
pub fn decode<'de, T>(bytes: &'de [u8]) -> Result<T, DecodeError>
where
    T: Deserialize<'de>,
{
    let mut input = Input::new(bytes);
    let value = T::deserialize(Decoder::new(&mut input)).and_then(|value| input.finish().map(|()| value));
    value.map_err(|failure| *failure)
}
