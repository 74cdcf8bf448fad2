//! The frames of the raw systems: `length:u32 kind:u8 number:u32 payload`, the length being that of what follows it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be echoed as [`Kind::Answer`].
    Ask,
    /// To be counted.
    Tell,
    Answer,
}

const HEAD: usize = 9;

pub(super) fn put(out: &mut BytesMut, kind: Kind, number: u32, payload: &[u8]) {
    out.reserve(HEAD + payload.len());
    out.put_u32_le((HEAD - 4 + payload.len()) as u32);
    out.put_u8(kind as u8);
    out.put_u32_le(number);
    out.put_slice(payload);
}

/// The next frame, if it is complete.
pub(super) fn take(input: &mut BytesMut) -> Option<(Kind, u32, Bytes)> {
    let length = u32::from_le_bytes(*input.first_chunk()?) as usize;
    if input.len() < 4 + length {
        return None;
    }
    input.advance(4);
    let mut frame = input.split_to(length).freeze();
    let kind = match frame.get_u8() {
        0 => Kind::Ask,
        1 => Kind::Tell,
        _ => Kind::Answer,
    };
    Some((kind, frame.get_u32_le(), frame))
}
