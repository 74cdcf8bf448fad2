//! serde's `Serializer` into the buffer of one value.

use std::fmt::{self, Display, Write};

use serde::{
    Serialize, Serializer,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{
    EncodeError,
    depth::Depth,
    error::EncodeFailure,
    format::{self, Family},
    output::Output,
};

/// Writes the next value.
pub(super) struct Encoder<'a, 'b> {
    output: &'a mut Output<'b>,
    depth: Depth,
}

impl<'a, 'b> Encoder<'a, 'b> {
    #[inline]
    pub(super) fn new(output: &'a mut Output<'b>) -> Self {
        Self { output, depth: Depth::default() }
    }

    /// For what is inside an `Option` or a newtype.
    #[inline]
    fn step(self) -> Result<Self, EncodeFailure> {
        let depth = self.depth.step().ok_or(EncodeError::TooDeep)?;
        Ok(Self { depth, ..self })
    }

    /// For the content of a variant, whose name this writes.
    #[inline]
    fn variant(self, name: &'static str) -> Result<Self, EncodeFailure> {
        let depth = self.depth.level().ok_or(EncodeError::TooDeep)?;
        self.output.put_head(Family::Map, 1)?;
        self.output.put_str(name)?;
        Ok(Self { depth, ..self })
    }

    /// For the values of a sequence or map. The length is a guess until the end.
    #[inline]
    fn items(self, family: Family, len: Option<usize>) -> Result<Items<'a, 'b>, EncodeFailure> {
        let depth = self.depth.level().ok_or(EncodeError::TooDeep)?;
        let at = self.output.position();
        let announced = len.and_then(|len| u32::try_from(len).ok()).unwrap_or(0);
        self.output.put_head(family, announced)?;
        Ok(Items { output: self.output, depth, family, at, announced, values: 0, plain_keys: false })
    }
}

macro_rules! integers {
    ($($method:ident($integer:ty) => $forward:ident)*) => {
        $(
            #[inline]
            fn $method(self, value: $integer) -> Result<(), EncodeFailure> {
                self.$forward(value.into())
            }
        )*
    };
}

impl<'a, 'b> Serializer for Encoder<'a, 'b> {
    type Ok = ();
    type Error = EncodeFailure;
    type SerializeSeq = Items<'a, 'b>;
    type SerializeTuple = Items<'a, 'b>;
    type SerializeTupleStruct = Items<'a, 'b>;
    type SerializeTupleVariant = Items<'a, 'b>;
    type SerializeMap = Items<'a, 'b>;
    type SerializeStruct = Items<'a, 'b>;
    type SerializeStructVariant = Items<'a, 'b>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), EncodeFailure> {
        self.output.put(&[if value { format::TRUE } else { format::FALSE }])
    }

    integers! {
        serialize_u8(u8) => serialize_u64
        serialize_u16(u16) => serialize_u64
        serialize_u32(u32) => serialize_u64
        serialize_i8(i8) => serialize_i64
        serialize_i16(i16) => serialize_i64
        serialize_i32(i32) => serialize_i64
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), EncodeFailure> {
        if let Ok(value) = u8::try_from(value) {
            if value <= format::POSITIVE_MAX {
                self.output.put(&[value])
            } else {
                self.output.put(&[format::U8, value])
            }
        } else if let Ok(value) = u16::try_from(value) {
            self.output.put_marked(format::U16, value.to_be_bytes())
        } else if let Ok(value) = u32::try_from(value) {
            self.output.put_marked(format::U32, value.to_be_bytes())
        } else {
            self.output.put_marked(format::U64, value.to_be_bytes())
        }
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), EncodeFailure> {
        if let Ok(value) = u64::try_from(value) {
            self.serialize_u64(value)
        } else if let Ok(value) = i8::try_from(value) {
            let [byte] = value.to_be_bytes();
            if byte >= format::NEGATIVE {
                self.output.put(&[byte])
            } else {
                self.output.put(&[format::I8, byte])
            }
        } else if let Ok(value) = i16::try_from(value) {
            self.output.put_marked(format::I16, value.to_be_bytes())
        } else if let Ok(value) = i32::try_from(value) {
            self.output.put_marked(format::I32, value.to_be_bytes())
        } else {
            self.output.put_marked(format::I64, value.to_be_bytes())
        }
    }

    fn serialize_u128(self, value: u128) -> Result<(), EncodeFailure> {
        match u64::try_from(value) {
            Ok(value) => self.serialize_u64(value),
            Err(_) => {
                self.output.put(&[format::EXT16, format::EXT_U128])?;
                self.output.put(&value.to_be_bytes())
            }
        }
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeFailure> {
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => self.serialize_u64(value),
            (_, Ok(value)) => self.serialize_i64(value),
            _ => {
                self.output.put(&[format::EXT16, format::EXT_I128])?;
                self.output.put(&value.to_be_bytes())
            }
        }
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), EncodeFailure> {
        self.output.put_marked(format::F32, value.to_be_bytes())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), EncodeFailure> {
        self.output.put_marked(format::F64, value.to_be_bytes())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), EncodeFailure> {
        self.output.put_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), EncodeFailure> {
        self.output.put_str(value)
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeFailure> {
        self.output.put_sized(Family::Bin, value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), EncodeFailure> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeFailure> {
        let at = self.output.position();
        let depth = self.depth;
        let Encoder { output, depth: inside } = self.step()?;
        value.serialize(Encoder { output: &mut *output, depth: inside })?;
        let marks = output.mark_some(at)?;
        // The reader meets the marks one inside the other.
        depth.levels(marks).ok_or(EncodeError::TooDeep)?;
        Ok(())
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeFailure> {
        self.output.put(&[format::NIL])
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeFailure> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeFailure> {
        self.output.put_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeFailure> {
        value.serialize(self.step()?)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeFailure> {
        value.serialize(self.variant(variant)?)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.items(Family::Seq, len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.items(Family::Seq, Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.items(Family::Seq, Some(len))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.variant(variant)?.items(Family::Seq, Some(len))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Items<'a, 'b>, EncodeFailure> {
        // serde's derive never tells the length of a struct with flattened fields, and it is the only sign of one.
        let plain_keys = len.is_none();
        Ok(Items { plain_keys, ..self.items(Family::Map, len)? })
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.items(Family::Map, Some(len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'a, 'b>, EncodeFailure> {
        self.variant(variant)?.items(Family::Map, Some(len))
    }

    /// Formats into the buffer, without a string in between.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeFailure> {
        let at = self.output.position();
        self.output.put_head(Family::Str, 0)?;
        let start = self.output.position();
        let mut text = Text { output: self.output, failed: None };
        let formatted = write!(text, "{value}");
        match (text.failed, formatted) {
            (Some(error), _) => Err(error),
            (None, Err(fmt::Error)) => Err(EncodeFailure::custom("its Display failed")),
            (None, Ok(())) => {
                let len = self.output.position() - start;
                self.output.correct_head(at, Family::Str, 0, len)
            }
        }
    }

    /// serde's own buffers say so whatever is said here, and the two must agree.
    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The values inside a sequence or a map.
pub(super) struct Items<'a, 'b> {
    output: &'a mut Output<'b>,
    depth: Depth,
    family: Family,
    /// Where the head is.
    at: usize,
    /// The length that the head tells for now.
    announced: u32,
    /// How many values there are so far; a map's keys are values too.
    values: usize,
    /// Whether all keys must be such that a flattened map can be read back.
    plain_keys: bool,
}

impl Items<'_, '_> {
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeFailure> {
        self.values += 1;
        value.serialize(Encoder { output: &mut *self.output, depth: self.depth })
    }

    #[inline]
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeFailure> {
        let at = self.output.position();
        self.value(key)?;
        if self.plain_keys && !self.output.byte_at(at).is_some_and(format::is_plain_key) {
            return Err(EncodeError::FlattenedKey.into());
        }
        Ok(())
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeFailure> {
        self.values += 1;
        self.output.put_str(name)?;
        self.value(value)
    }

    #[inline]
    fn finish(self) -> Result<(), EncodeFailure> {
        let len = match self.family {
            Family::Map if self.values.is_multiple_of(2) => self.values / 2,
            Family::Map => return Err(EncodeFailure::custom("a map has a key without a value")),
            _ => self.values,
        };
        if len == self.announced as usize {
            return Ok(());
        }
        self.output.correct_head(self.at, self.family, self.announced, len)
    }
}

macro_rules! items {
    ($($compound:ident { $($method:ident($($key:ident: $key_type:ty)?) => $forward:ident)* })*) => {
        $(
            impl $compound for Items<'_, '_> {
                type Ok = ();
                type Error = EncodeFailure;
                $(
                    #[inline]
                    fn $method<T: Serialize + ?Sized>(
                        &mut self,
                        $($key: $key_type,)?
                        value: &T,
                    ) -> Result<(), EncodeFailure> {
                        self.$forward($($key,)? value)
                    }
                )*
                #[inline]
                fn end(self) -> Result<(), EncodeFailure> {
                    self.finish()
                }
            }
        )*
    };
}

items! {
    SerializeSeq { serialize_element() => value }
    SerializeTuple { serialize_element() => value }
    SerializeTupleStruct { serialize_field() => value }
    SerializeTupleVariant { serialize_field() => value }
    SerializeMap { serialize_key() => key serialize_value() => value }
    SerializeStruct { serialize_field(name: &'static str) => field }
    SerializeStructVariant { serialize_field(name: &'static str) => field }
}

/// Takes text, and remembers why it could not.
struct Text<'a, 'b> {
    output: &'a mut Output<'b>,
    failed: Option<EncodeFailure>,
}

impl Write for Text<'_, '_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.output.put(piece.as_bytes()).map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
    }
}
