//! The bytes that one value is read from.

use serde::de::Unexpected;

use super::{DecodeError, error::DecodeFailure, format};

/// What is left of the bytes, and what is known to be still in them.
pub(super) struct Input<'de> {
    rest: &'de [u8],
    /// How many values the open sequences and maps still have to come. Each takes a byte at least, so a length that
    /// the rest cannot hold beside these is a lie, and all collections together reserve no more than there are bytes.
    /// It is also how values that a type left unread are noticed.
    owed: usize,
}

/// One value, or the head of a sequence or map.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'de> {
    Nil,
    /// The value inside follows.
    Some,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    U128(u128),
    I128(i128),
    F32(f32),
    F64(f64),
    Str(&'de str),
    Bytes(&'de [u8]),
    /// So many values follow.
    Seq(usize),
    /// So many pairs of values follow.
    Map(usize),
}

impl<'de> Input<'de> {
    #[inline]
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, owed: 0 }
    }

    /// Nothing may be left.
    #[inline]
    pub(super) fn finish(&self) -> Result<(), DecodeFailure> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }.into()),
        }
    }

    #[inline]
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// So many values are to come now, before those that were to come already.
    #[inline]
    pub(super) fn owe(&mut self, values: usize) -> Result<(), DecodeFailure> {
        match self.owed.checked_add(values) {
            Some(owed) if owed <= self.rest.len() => {
                self.owed = owed;
                Ok(())
            }
            _ => Err(DecodeError::Truncated.into()),
        }
    }

    /// One of the values that were to come is read next.
    #[inline]
    pub(super) fn begin_value(&mut self) {
        self.owed = self.owed.saturating_sub(1);
    }

    #[inline]
    pub(super) fn peek(&self) -> Result<u8, DecodeFailure> {
        Ok(self.rest.first().copied().ok_or(DecodeError::Truncated)?)
    }

    #[inline]
    pub(super) fn skip_byte(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Inlined so that its cases meet those of the caller and no token is ever built, which makes reading a small value
    /// two to four times as fast.
    #[inline(always)]
    pub(super) fn token(&mut self) -> Result<Token<'de>, DecodeFailure> {
        let [byte] = self.array()?;
        Ok(match byte {
            0..=format::POSITIVE_MAX => Token::Unsigned(byte.into()),
            format::MAP..format::SEQ => Token::Map((byte & 0x0f).into()),
            format::SEQ..format::STR => Token::Seq((byte & 0x0f).into()),
            format::STR..format::NIL => self.string((byte & 0x1f).into())?,
            format::NIL => Token::Nil,
            format::SOME => Token::Some,
            format::FALSE => Token::Bool(false),
            format::TRUE => Token::Bool(true),
            format::BIN8 => self.len8().and_then(|len| self.bytes(len))?,
            format::BIN16 => self.len16().and_then(|len| self.bytes(len))?,
            format::BIN32 => self.len32().and_then(|len| self.bytes(len))?,
            format::F32 => Token::F32(f32::from_be_bytes(self.array()?)),
            format::F64 => Token::F64(f64::from_be_bytes(self.array()?)),
            format::U8 => Token::Unsigned(u8::from_be_bytes(self.array()?).into()),
            format::U16 => Token::Unsigned(u16::from_be_bytes(self.array()?).into()),
            format::U32 => Token::Unsigned(u32::from_be_bytes(self.array()?).into()),
            format::U64 => Token::Unsigned(u64::from_be_bytes(self.array()?)),
            format::I8 => Token::Signed(i8::from_be_bytes(self.array()?).into()),
            format::I16 => Token::Signed(i16::from_be_bytes(self.array()?).into()),
            format::I32 => Token::Signed(i32::from_be_bytes(self.array()?).into()),
            format::I64 => Token::Signed(i64::from_be_bytes(self.array()?)),
            format::EXT16 => match self.array()? {
                [format::EXT_I128] => Token::I128(i128::from_be_bytes(self.array()?)),
                [format::EXT_U128] => Token::U128(u128::from_be_bytes(self.array()?)),
                [_] => return Err(DecodeError::Malformed { byte }.into()),
            },
            format::STR8 => self.len8().and_then(|len| self.string(len))?,
            format::STR16 => self.len16().and_then(|len| self.string(len))?,
            format::STR32 => self.len32().and_then(|len| self.string(len))?,
            format::SEQ16 => Token::Seq(self.len16()?),
            format::SEQ32 => Token::Seq(self.len32()?),
            format::MAP16 => Token::Map(self.len16()?),
            format::MAP32 => Token::Map(self.len32()?),
            format::NEGATIVE.. => Token::Signed(i8::from_be_bytes([byte]).into()),
            // The other extensions: nothing that encodes for us writes them.
            _ => return Err(DecodeError::Malformed { byte }.into()),
        })
    }

    /// Reads over one value of any kind and depth.
    pub(super) fn skip_value(&mut self) -> Result<(), DecodeFailure> {
        let before = self.owed;
        self.owe(1)?;
        while self.owed > before {
            self.begin_value();
            match self.token()? {
                Token::Some => self.owe(1)?,
                Token::Seq(len) => self.owe(len)?,
                Token::Map(len) => self.owe(len.saturating_mul(2))?,
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn bytes(&mut self, len: usize) -> Result<Token<'de>, DecodeFailure> {
        self.take(len).map(Token::Bytes)
    }

    #[inline]
    fn string(&mut self, len: usize) -> Result<Token<'de>, DecodeFailure> {
        let bytes = self.take(len)?;
        Ok(Token::Str(std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?))
    }

    #[inline]
    fn len8(&mut self) -> Result<usize, DecodeFailure> {
        self.array().map(|bytes| u8::from_be_bytes(bytes).into())
    }

    #[inline]
    fn len16(&mut self) -> Result<usize, DecodeFailure> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    #[inline]
    fn len32(&mut self) -> Result<usize, DecodeFailure> {
        // Where 32 bits do not fit, neither do so many bytes.
        let len = u32::from_be_bytes(self.array()?);
        Ok(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'de [u8], DecodeFailure> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeFailure> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'de> Token<'de> {
    /// The value as serde's errors name it.
    #[cold]
    pub(super) fn unexpected(self) -> Unexpected<'de> {
        match self {
            Token::Nil => Unexpected::Unit,
            Token::Some => Unexpected::Option,
            Token::Bool(value) => Unexpected::Bool(value),
            Token::Unsigned(value) => Unexpected::Unsigned(value),
            Token::Signed(value) => Unexpected::Signed(value),
            Token::U128(_) => Unexpected::Other("u128"),
            Token::I128(_) => Unexpected::Other("i128"),
            Token::F32(value) => Unexpected::Float(value.into()),
            Token::F64(value) => Unexpected::Float(value),
            Token::Str(value) => Unexpected::Str(value),
            Token::Bytes(value) => Unexpected::Bytes(value),
            Token::Seq(_) => Unexpected::Seq,
            Token::Map(_) => Unexpected::Map,
        }
    }
}
