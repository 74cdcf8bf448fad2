//! How references to actors get into and out of an encoding.
//!
//! A reference is serialised as its index in a side table, so that a value is encoded once whatever link it goes over;
//! the table is written for the link when the message is sent. Both directions need to know the table while serde
//! runs, which has no room for a context: it is held in a thread-local for that time.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::BytesMut;
use flame_transport::codec::{self, DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

use super::reference::{Reference, Resolved};
use crate::delivery::panics::words_of;

thread_local! {
    static BUFFER: Cell<BytesMut> = Cell::new(BytesMut::new());
    static ENCODING: Cell<Scope> = const { Cell::new(Scope::NONE) };
    static WRITTEN: RefCell<Vec<Reference>> = const { RefCell::new(Vec::new()) };
    static DECODING: Cell<Scope> = const { Cell::new(Scope::NONE) };
    static TO_READ: RefCell<Vec<Option<Resolved>>> = const { RefCell::new(Vec::new()) };
}

/// The part of the thread's table that belongs to the message it is at. A message within another, whose serialisation
/// sends one, has the part behind. Most have no reference, and the table is not touched.
#[derive(Clone, Copy)]
struct Scope {
    is_open: bool,
    start: usize,
    end: usize,
}

impl Scope {
    const NONE: Self = Self { is_open: false, start: 0, end: 0 };

    /// A scope within this one, with so many references.
    fn inner(self, references: usize) -> Self {
        Self { is_open: true, start: self.end, end: self.end + references }
    }
}

/// Lends this thread's buffer for a message, empty.
#[inline]
pub(crate) fn with_buffer<R>(code: impl FnOnce(&mut BytesMut) -> R) -> R {
    BUFFER.with(|buffer| {
        // Taken, not borrowed: the user's code that encodes may send messages itself.
        let mut out = buffer.take();
        out.clear();
        let result = code(&mut out);
        buffer.set(out);
        result
    })
}

/// Appends the encoding of `value` to `out` and returns the references in it, by index.
///
/// On an error, also a panic of the user's code, the references are let go.
#[inline]
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    out: &mut BytesMut,
    limit: usize,
) -> Result<Vec<Reference>, EncodeError> {
    let outer = ENCODING.get();
    ENCODING.set(outer.inner(0));
    // A panic in the value's `Serialize` is the value's fault, and must not end whoever only sends it on.
    let encoded = catch_unwind(AssertUnwindSafe(|| codec::encode(value, out, limit)));
    let Scope { start, end, .. } = ENCODING.replace(outer);
    let references =
        if start == end { Vec::new() } else { WRITTEN.with_borrow_mut(|all| all.split_off(start)) };
    match encoded {
        Ok(encoded) => encoded.map(|()| references),
        Err(panic) => Err(serde::ser::Error::custom(format_args!("it panicked: {}", words_of(&*panic)))),
    }
}

/// Decodes a value whose references stand in `table`. What the value does not use is let go.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], table: Vec<Resolved>) -> Result<T, DecodeError> {
    let outer = DECODING.get();
    let scope = outer.inner(table.len());
    if !table.is_empty() {
        TO_READ.with_borrow_mut(|all| all.extend(table.into_iter().map(Some)));
    }
    DECODING.set(scope);
    let _end = End { outer, scope };
    codec::decode(bytes)
}

/// Adds a reference to the message that this thread encodes. Its index; `None` outside a message.
pub(super) fn write(reference: Reference) -> Option<u32> {
    let mut scope = ENCODING.get();
    let index = u32::try_from(scope.end - scope.start).ok().filter(|_| scope.is_open)?;
    WRITTEN.with_borrow_mut(|all| all.push(reference));
    scope.end += 1;
    ENCODING.set(scope);
    Some(index)
}

/// Takes a reference of the message that this thread decodes; each can be taken once.
pub(super) fn read(index: u32) -> Option<Resolved> {
    let Scope { start, end, .. } = DECODING.get();
    let at = start.checked_add(index as usize).filter(|&at| at < end)?;
    TO_READ.with_borrow_mut(|all| all.get_mut(at)?.take())
}

/// Whether this thread decodes a message.
pub(super) fn is_decoding() -> bool {
    DECODING.get().is_open
}

/// Ends a scope of decoding, also when the user's code in it panics.
struct End {
    outer: Scope,
    scope: Scope,
}

impl Drop for End {
    #[inline]
    fn drop(&mut self) {
        DECODING.set(self.outer);
        if self.scope.start != self.scope.end {
            // Let go outside of the table: that may run anything.
            let unused = TO_READ.with_borrow_mut(|all| all.split_off(self.scope.start));
            drop(unused);
        }
    }
}
