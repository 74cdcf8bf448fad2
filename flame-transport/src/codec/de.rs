//! serde's `Deserializer` over the bytes of one value.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::BorrowedStrDeserializer,
};

use super::{
    DecodeError,
    depth::Depth,
    error::DecodeFailure,
    format,
    input::{Input, Token},
};

/// Reads the next value.
pub(super) struct Decoder<'a, 'de> {
    input: &'a mut Input<'de>,
    depth: Depth,
}

impl<'a, 'de> Decoder<'a, 'de> {
    #[inline]
    pub(super) fn new(input: &'a mut Input<'de>) -> Self {
        Self { input, depth: Depth::default() }
    }

    fn visit_number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            Token::U128(value) => visitor.visit_u128(value),
            Token::I128(value) => visitor.visit_i128(value),
            Token::F32(value) => visitor.visit_f32(value),
            Token::F64(value) => visitor.visit_f64(value),
            other => Err(unexpected(other, &visitor)),
        }
    }

    /// The visitor decides which of the two it takes, and most byte buffers also take a sequence.
    fn visit_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Str(value) => visitor.visit_borrowed_str(value),
            Token::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Token::Seq(len) => self.visit_seq(len, visitor),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn visit_nil<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Nil => visitor.visit_unit(),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn visit_marked<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        let depth = self.depth.level().ok_or(DecodeError::TooDeep)?;
        visitor.visit_some(Decoder { input: self.input, depth })
    }

    #[inline]
    fn visit_seq<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.visit_values(len, |values| visitor.visit_seq(Items { values, left: len }))
    }

    #[inline]
    fn visit_map<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.visit_values(len.saturating_mul(2), |values| visitor.visit_map(Items { values, left: len }))
    }

    /// Has so many values read one level further in, all of them.
    #[inline]
    fn visit_values<T>(
        self,
        count: usize,
        read: impl FnOnce(Values<'_, 'de>) -> Result<T, DecodeFailure>,
    ) -> Result<T, DecodeFailure> {
        let depth = self.depth.level().ok_or(DecodeError::TooDeep)?;
        let owed = self.input.owed();
        self.input.owe(count)?;
        let value = read(Values { input: self.input, depth })?;
        if self.input.owed() != owed {
            return Err(DecodeFailure::custom("it holds more than the type reads"));
        }
        Ok(value)
    }
}

#[cold]
fn unexpected(token: Token<'_>, expected: &dyn Expected) -> DecodeFailure {
    DecodeFailure::invalid_type(token.unexpected(), expected)
}

macro_rules! forward {
    ($($method:ident)* => $visit:ident) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
                self.$visit(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = DecodeFailure;

    /// What serde buffers in front of untagged and tagged enums and flattened fields comes through here, so `Some`
    /// has to stay what it is.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Some => self.visit_marked(visitor),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            Token::U128(value) => visitor.visit_u128(value),
            Token::I128(value) => visitor.visit_i128(value),
            Token::F32(value) => visitor.visit_f32(value),
            Token::F64(value) => visitor.visit_f64(value),
            Token::Str(value) => visitor.visit_borrowed_str(value),
            Token::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Token::Seq(len) => self.visit_seq(len, visitor),
            Token::Map(len) => self.visit_map(len, visitor),
        }
    }

    forward! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
        => visit_number
    }
    forward! {
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        => visit_text
    }
    forward! { deserialize_unit => visit_nil }
    forward! { deserialize_identifier => deserialize_any }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Bool(value) => visitor.visit_bool(value),
            other => Err(unexpected(other, &visitor)),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.peek()? {
            format::NIL => {
                self.input.skip_byte();
                visitor.visit_none()
            }
            format::SOME => {
                self.input.skip_byte();
                self.visit_marked(visitor)
            }
            _ => {
                let depth = self.depth.step().ok_or(DecodeError::TooDeep)?;
                visitor.visit_some(Decoder { input: self.input, depth })
            }
        }
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.visit_nil(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        let depth = self.depth.step().ok_or(DecodeError::TooDeep)?;
        visitor.visit_newtype_struct(Decoder { input: self.input, depth })
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Seq(len) => self.visit_seq(len, visitor),
            other => Err(unexpected(other, &visitor)),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Map(len) => self.visit_map(len, visitor),
            other => Err(unexpected(other, &visitor)),
        }
    }

    /// We write structs as maps. A type may write itself as a tuple, though, and leave the reading to serde's derive.
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Map(len) => self.visit_map(len, visitor),
            Token::Seq(len) => self.visit_seq(len, visitor),
            other => Err(unexpected(other, &visitor)),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        match self.input.token()? {
            Token::Str(variant) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            Token::Map(1) => self.visit_values(2, |values| visitor.visit_enum(Variant(values))),
            other => Err(unexpected(other, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.input.skip_value()?;
        visitor.visit_unit()
    }

    /// serde's own buffers say so whatever is said here, and the two must agree.
    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The values inside a sequence, a map or a variant.
struct Values<'a, 'de> {
    input: &'a mut Input<'de>,
    depth: Depth,
}

impl<'de> Values<'_, 'de> {
    #[inline]
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeFailure> {
        self.input.begin_value();
        seed.deserialize(Decoder { input: self.input, depth: self.depth })
    }
}

/// The entries of a sequence or a map.
struct Items<'a, 'de> {
    values: Values<'a, 'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DecodeFailure;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeFailure> {
        match self.left.checked_sub(1) {
            None => Ok(None),
            Some(left) => {
                self.left = left;
                self.values.next(seed).map(Some)
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = DecodeFailure;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeFailure> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeFailure> {
        self.values.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant's name and content.
struct Variant<'a, 'de>(Values<'a, 'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeFailure;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), DecodeFailure> {
        let variant = self.0.next(seed)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeFailure;

    #[inline]
    fn unit_variant(mut self) -> Result<(), DecodeFailure> {
        self.0.next(std::marker::PhantomData::<()>)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, DecodeFailure> {
        self.0.next(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.0.input.begin_value();
        Decoder { input: self.0.input, depth: self.0.depth }.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.0.input.begin_value();
        Decoder { input: self.0.input, depth: self.0.depth }.deserialize_struct("", fields, visitor)
    }
}
