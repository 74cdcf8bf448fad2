//! How references to actors get into and out of an encoding.
//!
//! A reference is serialised as its index in a side table, so that a value is encoded once whatever link it goes over;
//! the table is written for the link when the message is sent. Both directions need to know the table while serde
//! runs, which has no room for a context: it is held in a thread-local for that time.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    thread::LocalKey,
};

use bytes::BytesMut;
use flame_transport::codec::{self, DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

use super::reference::{Reference, Resolved};
use crate::delivery::panics::words_of;

thread_local! {
    static ENCODING: Scope<Reference> = const { Scope::new() };
    static DECODING: Scope<Option<Resolved>> = const { Scope::new() };
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
    // A message whose serialisation sends a message has a scope of its own.
    let (encoded, references) = within(&ENCODING, Vec::new(), || {
        // A panic in the value's `Serialize` is the value's fault, and must not end whoever only sends it on.
        catch_unwind(AssertUnwindSafe(|| codec::encode(value, out, limit)))
    });
    encoded.unwrap_or_else(|panic| {
        Err(serde::ser::Error::custom(format_args!("it panicked: {}", words_of(&*panic))))
    })?;
    Ok(references)
}

/// Decodes a value whose references stand in `table`. What the value does not use is let go.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], table: Vec<Resolved>) -> Result<T, DecodeError> {
    let table = if table.is_empty() { Vec::new() } else { table.into_iter().map(Some).collect() };
    let (decoded, _unused) = within(&DECODING, table, || codec::decode(bytes));
    decoded
}

/// Adds a reference to the message that this thread encodes. Its index; `None` outside a message.
pub(super) fn write(reference: Reference) -> Option<u32> {
    ENCODING.with(|scope| {
        let mut references = scope.is_open.get().then(|| scope.table.borrow_mut())?;
        let index = u32::try_from(references.len()).ok()?;
        references.push(reference);
        Some(index)
    })
}

/// Takes a reference of the message that this thread decodes; each can be taken once.
pub(super) fn read(index: u32) -> Option<Resolved> {
    DECODING.with(|scope| scope.table.borrow_mut().get_mut(index as usize)?.take())
}

/// Whether this thread decodes a message.
pub(super) fn is_decoding() -> bool {
    DECODING.with(|scope| scope.is_open.get())
}

/// The table of the message that a thread is at. Most have none, so it is touched only where there is something in it.
struct Scope<T> {
    is_open: Cell<bool>,
    table: RefCell<Vec<T>>,
}

impl<T> Scope<T> {
    const fn new() -> Self {
        Self { is_open: Cell::new(false), table: RefCell::new(Vec::new()) }
    }

    fn swap(&self, table: Vec<T>) -> Vec<T> {
        if table.is_empty() && self.table.borrow().is_empty() { table } else { self.table.replace(table) }
    }
}

/// Runs some code in a scope with this table, and gives back what is left in it.
#[inline]
fn within<T, R>(scope: &'static LocalKey<Scope<T>>, table: Vec<T>, code: impl FnOnce() -> R) -> (R, Vec<T>) {
    scope.with(|scope| {
        let was_open = scope.is_open.replace(true);
        let mut outer = Outer { scope, was_open, table: Some(scope.swap(table)) };
        let result = code();
        (result, outer.restore())
    })
}

/// Puts the outer scope back, also when the code in the inner one panics.
struct Outer<'a, T> {
    scope: &'a Scope<T>,
    was_open: bool,
    /// `None` once it is back.
    table: Option<Vec<T>>,
}

impl<T> Outer<'_, T> {
    /// What is left of the inner scope's table.
    #[inline]
    fn restore(&mut self) -> Vec<T> {
        let Some(table) = self.table.take() else { return Vec::new() };
        self.scope.is_open.set(self.was_open);
        self.scope.swap(table)
    }
}

impl<T> Drop for Outer<'_, T> {
    fn drop(&mut self) {
        drop(self.restore());
    }
}
