//! How references to actors get into and out of an encoding.
//!
//! A reference is serialised as its index in a side table, so that a value is encoded once whatever link it goes over;
//! the table is written for the link when the message is sent. Both directions need to know the table while serde
//! runs, which has no room for a context: it is held in a thread-local for that time.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::BytesMut;
use flame_transport::codec::{self, DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

use super::reference::{Reference, Resolved};
use crate::delivery::panics::words_of;

thread_local! {
    static ENCODING: RefCell<Option<Vec<Reference>>> = const { RefCell::new(None) };
    static DECODING: RefCell<Option<Vec<Option<Resolved>>>> = const { RefCell::new(None) };
}

/// Appends the encoding of `value` to `out` and returns the references in it, by index.
///
/// On an error, also a panic of the user's code, the references are let go.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    out: &mut BytesMut,
    limit: usize,
) -> Result<Vec<Reference>, EncodeError> {
    // A message whose serialisation sends a message has a scope of its own.
    let _restore = Restore(ENCODING.replace(Some(Vec::new())), |outer| ENCODING.set(outer));
    // A panic in the value's `Serialize` is the value's fault, and must not end whoever only sends it on.
    let encoded = catch_unwind(AssertUnwindSafe(|| codec::encode(value, out, limit)));
    encoded.unwrap_or_else(|panic| {
        Err(serde::ser::Error::custom(format_args!("it panicked: {}", words_of(&*panic))))
    })?;
    Ok(ENCODING.take().unwrap_or_default())
}

/// Decodes a value whose references stand in `table`. What the value does not use is let go.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], table: Vec<Resolved>) -> Result<T, DecodeError> {
    let table = table.into_iter().map(Some).collect();
    let _restore = Restore(DECODING.replace(Some(table)), |outer| DECODING.set(outer));
    codec::decode(bytes)
}

/// Adds a reference to the message that this thread encodes. Its index; `None` outside a message.
pub(super) fn write(reference: Reference) -> Option<u32> {
    ENCODING.with_borrow_mut(|references| {
        let references = references.as_mut()?;
        let index = u32::try_from(references.len()).ok()?;
        references.push(reference);
        Some(index)
    })
}

/// Takes a reference of the message that this thread decodes; each can be taken once.
pub(super) fn read(index: u32) -> Option<Resolved> {
    DECODING.with_borrow_mut(|table| table.as_mut()?.get_mut(index as usize)?.take())
}

/// Whether this thread encodes or decodes a message.
pub(super) fn is_decoding() -> bool {
    DECODING.with_borrow(Option::is_some)
}

/// Puts the outer scope back, whatever happens in the inner one.
struct Restore<T, F: FnMut(Option<T>)>(Option<T>, F);

impl<T, F: FnMut(Option<T>)> Drop for Restore<T, F> {
    fn drop(&mut self) {
        (self.1)(self.0.take());
    }
}
