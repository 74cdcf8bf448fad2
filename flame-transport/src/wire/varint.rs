//! Integers of variable length (LEB128): seven bits a byte, the lowest first. Small numbers, which most are, take one byte.

use bytes::BufMut;

/// The most bytes that a `u64` takes.
pub const MAX_LEN: usize = 10;

/// How many bytes `value` takes.
#[must_use]
pub const fn len(value: u64) -> usize {
    let bits = (u64::BITS - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

/// Appends `value`.
#[inline]
pub fn put(out: &mut impl BufMut, value: u64) {
    write(value, |byte| out.put_u8(byte));
}

/// Gives the bytes of `value` out, one after the other.
#[inline]
pub(super) fn write(mut value: u64, mut byte: impl FnMut(u8)) {
    while value >= 0x80 {
        byte((value as u8) | 0x80);
        value >>= 7;
    }
    byte(value as u8);
}

/// What stands at the head of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A number and the count of bytes it took.
    Value(u64, usize),
    /// The bytes end before the number does.
    Partial,
    /// No encoder makes this: more than 64 bits, or a needless last byte.
    Malformed,
}

/// Reads the number at the head of `bytes`.
#[inline]
#[must_use]
pub fn peek(bytes: &[u8]) -> Head {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Head::Value(u64::from(byte), 1),
        _ => peek_long(bytes),
    }
}

fn peek_long(bytes: &[u8]) -> Head {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(MAX_LEN) {
        let bits = u64::from(byte & 0x7f);
        if index == MAX_LEN - 1 && bits > 1 {
            return Head::Malformed;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            let needless = byte == 0 && index > 0;
            return if needless { Head::Malformed } else { Head::Value(value, index + 1) };
        }
    }
    if bytes.len() >= MAX_LEN { Head::Malformed } else { Head::Partial }
}

/// Takes a number that must stand whole at the head of `bytes`.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let Head::Value(value, used) = peek(bytes) else { return None };
    *bytes = bytes.get(used..)?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_comes_back_with_the_length_foretold(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut out = BytesMut::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            prop_assert_eq!(peek(&out), Head::Value(value, out.len()));
            for cut in 0..out.len() {
                prop_assert_eq!(peek(&out[..cut]), Head::Partial);
            }
        }

        #[test]
        fn no_bytes_panic_and_only_one_encoding_is_taken(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Head::Value(value, used) = peek(&bytes) {
                let mut out = BytesMut::new();
                put(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..used]);
            }
        }
    }
}
