//! The end of a buffer that one encoding is written to, with its limit.

use bytes::BytesMut;

use super::{
    EncodeError,
    error::EncodeFailure,
    format::{self, Family},
};

/// Appends to a buffer, up to a limit. Unless it is [kept](Output::keep), the buffer ends up as it was.
pub(super) struct Output<'b> {
    buffer: &'b mut BytesMut,
    start: usize,
    /// Where in the buffer the limit is reached.
    end: usize,
    kept: bool,
}

impl<'b> Output<'b> {
    #[inline]
    pub(super) fn new(buffer: &'b mut BytesMut, limit: usize) -> Self {
        // No head can tell a length of more than 32 bits, so no encoding gets that long.
        let limit = limit.min(u32::MAX as usize);
        let start = buffer.len();
        Self { buffer, start, end: start.saturating_add(limit), kept: false }
    }

    /// The encoding is whole: leave it in the buffer.
    #[inline]
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    /// Where the next byte goes.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.buffer.len()
    }

    /// The byte that was written at a position.
    #[inline]
    pub(super) fn byte_at(&self, position: usize) -> Option<u8> {
        self.buffer.get(position).copied()
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeFailure> {
        self.make_room(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// A marker and the bytes that belong to it.
    #[inline]
    pub(super) fn put_marked<const N: usize>(
        &mut self,
        marker: u8,
        bytes: [u8; N],
    ) -> Result<(), EncodeFailure> {
        self.put(&[marker])?;
        self.put(&bytes)
    }

    #[inline]
    pub(super) fn put_head(&mut self, family: Family, len: u32) -> Result<(), EncodeFailure> {
        match *family.head(len).as_slice() {
            [byte] => self.put(&[byte]),
            [marker, len] => self.put(&[marker, len]),
            ref longer => self.put(longer),
        }
    }

    #[inline]
    pub(super) fn put_str(&mut self, string: &str) -> Result<(), EncodeFailure> {
        self.put_sized(Family::Str, string.as_bytes())
    }

    /// A string or a byte string with its head.
    #[inline]
    pub(super) fn put_sized(&mut self, family: Family, bytes: &[u8]) -> Result<(), EncodeFailure> {
        let len = u32::try_from(bytes.len()).map_err(|_| self.too_large())?;
        self.put_head(family, len)?;
        self.put(bytes)
    }

    /// Corrects the head at a position, which was written before the length was known. All that follows it moves if the
    /// new head takes another number of bytes.
    pub(super) fn correct_head(
        &mut self,
        at: usize,
        family: Family,
        written: u32,
        len: usize,
    ) -> Result<(), EncodeFailure> {
        let len = u32::try_from(len).map_err(|_| self.too_large())?;
        let head = family.head(len);
        let old = at + family.head(written).len();
        let new = at + head.len();
        let end = self.buffer.len();
        if new > old {
            self.make_room(new - old)?;
            self.buffer.resize(end + (new - old), 0);
        }
        self.buffer.copy_within(old..end, new);
        if new < old {
            self.buffer.truncate(end - (old - new));
        }
        if let Some(place) = self.buffer.get_mut(at..new) {
            place.copy_from_slice(head.as_slice());
        }
        Ok(())
    }

    /// Marks what was written from a position on as `Some`, if it would be taken for `None` otherwise. Tells how
    /// many marks now stand there in a row.
    pub(super) fn mark_some(&mut self, at: usize) -> Result<usize, EncodeFailure> {
        if !matches!(self.byte_at(at), Some(format::NIL | format::SOME)) {
            return Ok(0);
        }
        // What begins so is a row of marks with nil at its end, so the row grows there.
        if let Some(nil) = self.buffer.last_mut() {
            *nil = format::SOME;
        }
        self.put(&[format::NIL])?;
        Ok(self.buffer.len() - at - 1)
    }

    #[cold]
    pub(super) fn too_large(&self) -> EncodeFailure {
        EncodeError::TooLarge { limit: self.end - self.start }.into()
    }

    #[inline]
    fn make_room(&self, len: usize) -> Result<(), EncodeFailure> {
        if len > self.end.saturating_sub(self.buffer.len()) { Err(self.too_large()) } else { Ok(()) }
    }
}

impl Drop for Output<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.kept {
            self.buffer.truncate(self.start);
        }
    }
}
