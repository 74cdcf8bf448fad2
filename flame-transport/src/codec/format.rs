//! The bytes of MessagePack, in both directions the same.

/// `nil`.
pub(super) const NIL: u8 = 0xc0;
/// `Some` around something that begins with [`NIL`] or this very mark. MessagePack never uses the byte.
pub(super) const SOME: u8 = 0xc1;
pub(super) const FALSE: u8 = 0xc2;
pub(super) const TRUE: u8 = 0xc3;
pub(super) const BIN8: u8 = 0xc4;
pub(super) const BIN16: u8 = 0xc5;
pub(super) const BIN32: u8 = 0xc6;
pub(super) const F32: u8 = 0xca;
pub(super) const F64: u8 = 0xcb;
pub(super) const U8: u8 = 0xcc;
pub(super) const U16: u8 = 0xcd;
pub(super) const U32: u8 = 0xce;
pub(super) const U64: u8 = 0xcf;
pub(super) const I8: u8 = 0xd0;
pub(super) const I16: u8 = 0xd1;
pub(super) const I32: u8 = 0xd2;
pub(super) const I64: u8 = 0xd3;
/// An extension of 16 bytes; its type follows.
pub(super) const EXT16: u8 = 0xd8;
pub(super) const STR8: u8 = 0xd9;
pub(super) const STR16: u8 = 0xda;
pub(super) const STR32: u8 = 0xdb;
pub(super) const SEQ16: u8 = 0xdc;
pub(super) const SEQ32: u8 = 0xdd;
pub(super) const MAP16: u8 = 0xde;
pub(super) const MAP32: u8 = 0xdf;

/// The highest integer that is its own byte.
pub(super) const POSITIVE_MAX: u8 = 0x7f;
/// The first of the short heads of maps; the low four bits are the length.
pub(super) const MAP: u8 = 0x80;
/// The first of the short heads of sequences; the low four bits are the length.
pub(super) const SEQ: u8 = 0x90;
/// The first of the short heads of strings; the low five bits are the length.
pub(super) const STR: u8 = 0xa0;
/// The first of the negative integers that are their own byte.
pub(super) const NEGATIVE: u8 = 0xe0;

/// The type of an extension that holds an `i128`.
pub(super) const EXT_I128: u8 = 1;
/// The type of an extension that holds a `u128`.
pub(super) const EXT_U128: u8 = 2;

/// What has a length in its head.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    Str,
    Bin,
    Seq,
    Map,
}

impl Family {
    /// The head in one byte, for lengths that fit in there.
    #[inline]
    pub(super) fn short(self, len: u32) -> Option<u8> {
        let (first, max) = match self {
            Self::Str => (STR, 31),
            Self::Seq => (SEQ, 15),
            Self::Map => (MAP, 15),
            Self::Bin => return None,
        };
        u8::try_from(len).ok().filter(|len| *len <= max).map(|len| first | len)
    }

    /// The head of something of this length, in the fewest bytes.
    #[inline]
    pub(super) fn head(self, len: u32) -> Head {
        let (of8, of16, of32) = match self {
            Self::Str => (Some(STR8), STR16, STR32),
            Self::Bin => (Some(BIN8), BIN16, BIN32),
            Self::Seq => (None, SEQ16, SEQ32),
            Self::Map => (None, MAP16, MAP32),
        };
        let [b3, b2, b1, b0] = len.to_be_bytes();
        if let Some(byte) = self.short(len) {
            Head { bytes: [byte, 0, 0, 0, 0], len: 1 }
        } else if let (Some(of8), 0..=0xff) = (of8, len) {
            Head { bytes: [of8, b0, 0, 0, 0], len: 2 }
        } else if len <= 0xffff {
            Head { bytes: [of16, b1, b0, 0, 0], len: 3 }
        } else {
            Head { bytes: [of32, b3, b2, b1, b0], len: 5 }
        }
    }
}

/// The bytes before a string, a byte string, a sequence or a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    bytes: [u8; 5],
    len: usize,
}

impl Head {
    /// How many bytes it takes: 1, 2, 3 or 5.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Whether a key that begins with this byte can be read from a flattened map.
///
/// serde's derive reads the keys there as field names first, possibly from a buffer. That takes strings, bytes and
/// unsigned integers alone.
pub(super) fn is_plain_key(first: u8) -> bool {
    matches!(first, 0..=POSITIVE_MAX | STR..NIL | BIN8..=BIN32 | U8..=U64 | STR8..=STR32)
}
