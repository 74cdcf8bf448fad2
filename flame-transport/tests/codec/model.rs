//! A recursive type that takes every shape of serde's data model, and how to draw its values.

use std::fmt;

use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq, SerializeStruct},
};

/// A value of any shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Nothing,
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(Bits32),
    F64(Bits64),
    Char(char),
    Str(String),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Buffer(bytes::Bytes),
    Unit(()),
    UnitStruct(UnitStruct),
    UnitVariant(Choice),
    Empty {},
    EmptyTuple(),
    EmptyStruct(EmptyStruct),
    Newtype(Newtype<Box<Shape>>),
    NewtypeOfUnit(Newtype<()>),
    OptionOfUnit(Option<()>),
    OptionOfUnitStruct(Option<UnitStruct>),
    OptionOfNewtype(Option<Newtype<Option<Newtype<()>>>>),
    Option(Option<Box<Shape>>),
    Options(Option<Option<Option<Option<Box<Shape>>>>>),
    Pair(Box<Shape>, Option<Box<Shape>>),
    Tuple((Box<Shape>, Box<Shape>, u8)),
    TupleStruct(TupleStruct),
    Struct { left: Box<Shape>, right: Option<Option<Box<Shape>>> },
    Named(Named),
    Seq(Vec<Shape>),
    SeqOfUnit(Vec<()>),
    SeqOfOption(Vec<Option<Option<()>>>),
    Array([Box<Shape>; 2]),
    AnySeq(AnySeq),
    AnyMap(AnyMap),
    AnyStruct(AnyStruct),
    Result(Result<Box<Shape>, Option<()>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UnitStruct;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EmptyStruct {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Choice {
    One,
    Two,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Newtype<T>(pub(crate) T);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TupleStruct(Box<Shape>, Box<Shape>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Named {
    first: Option<Box<Shape>>,
    second: Vec<Shape>,
}

/// Equal when the bits are, so that a NaN equals itself and -0.0 is not 0.0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bits32(pub(crate) f32);

impl PartialEq for Bits32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

/// As [`Bits32`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bits64(pub(crate) f64);

impl PartialEq for Bits64 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

/// A sequence that tells its serializer any length, or none.
#[derive(Debug, Clone)]
pub(crate) struct AnySeq {
    pub(crate) told: Option<usize>,
    pub(crate) values: Vec<Shape>,
}

/// A map with keys of any shape that tells its serializer any length, or none.
#[derive(Debug, Clone)]
pub(crate) struct AnyMap {
    pub(crate) told: Option<usize>,
    pub(crate) entries: Vec<(Shape, Shape)>,
}

/// A struct that tells its serializer any number of fields, and writes those it has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct AnyStruct {
    #[serde(skip)]
    told: Told,
    only: Option<Box<Shape>>,
}

/// A length that is told and does not arrive.
#[derive(Debug, Clone, Default)]
struct Told(usize);

impl PartialEq for Told {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl PartialEq for AnySeq {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl PartialEq for AnyMap {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Serialize for AnySeq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(self.told)?;
        for value in &self.values {
            seq.serialize_element(value)?;
        }
        seq.end()
    }
}

impl Serialize for AnyMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(self.told)?;
        for (key, value) in &self.entries {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for AnyStruct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("AnyStruct", self.told.0)?;
        fields.serialize_field("only", &self.only)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for AnySeq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = AnySeq;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnySeq, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(AnySeq { told: None, values })
            }
        }
        deserializer.deserialize_seq(Values)
    }
}

impl<'de> Deserialize<'de> for AnyMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = AnyMap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyMap, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(AnyMap { told: None, entries })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Whether the values may hold integers of 128 bits, which serde cannot buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Integers {
    All,
    Bufferable,
}

/// Values of all shapes, some of them deep or wide.
pub(crate) fn shapes(integers: Integers) -> impl Strategy<Value = Shape> + Clone {
    leaves(integers).prop_recursive(5, 48, 8, branches)
}

fn leaves(integers: Integers) -> impl Strategy<Value = Shape> + Clone {
    let numbers = prop_oneof![
        any::<i8>().prop_map(Shape::I8),
        any::<i16>().prop_map(Shape::I16),
        any::<i32>().prop_map(Shape::I32),
        any::<i64>().prop_map(Shape::I64),
        (-200i64..200).prop_map(Shape::I64),
        any::<u8>().prop_map(Shape::U8),
        any::<u16>().prop_map(Shape::U16),
        any::<u32>().prop_map(Shape::U32),
        any::<u64>().prop_map(Shape::U64),
        any::<u32>().prop_map(|bits| Shape::F32(Bits32(f32::from_bits(bits)))),
        any::<u64>().prop_map(|bits| Shape::F64(Bits64(f64::from_bits(bits)))),
        any::<u32>().prop_map(|bits| Shape::F32(Bits32(f32::from_bits(bits | 0x7f80_0000)))),
        any::<u64>().prop_map(|bits| Shape::F64(Bits64(f64::from_bits(bits | 0x7ff0_0000_0000_0000)))),
    ];
    let large = match integers {
        Integers::Bufferable => numbers.clone().boxed(),
        Integers::All => prop_oneof![
            any::<i128>().prop_map(Shape::I128),
            any::<u128>().prop_map(Shape::U128),
            any::<i64>().prop_map(|small| Shape::I128(small.into())),
            any::<u64>().prop_map(|small| Shape::U128(small.into())),
        ]
        .boxed(),
    };
    let text = prop_oneof![
        any::<char>().prop_map(Shape::Char),
        ".{0,40}".prop_map(Shape::Str),
        prop_oneof![8 => 28usize..34, 4 => 254usize..258, 1 => 65_534usize..65_538]
            .prop_map(|len| Shape::Str("x".repeat(len))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Shape::Bytes),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Shape::Buffer(bytes.into())),
    ];
    let nothings = prop_oneof![
        Just(Shape::Nothing),
        any::<bool>().prop_map(Shape::Bool),
        Just(Shape::Unit(())),
        Just(Shape::UnitStruct(UnitStruct)),
        prop_oneof![Just(Choice::One), Just(Choice::Two)].prop_map(Shape::UnitVariant),
        Just(Shape::Empty {}),
        Just(Shape::EmptyTuple()),
        Just(Shape::EmptyStruct(EmptyStruct {})),
        Just(Shape::NewtypeOfUnit(Newtype(()))),
        any::<Option<()>>().prop_map(Shape::OptionOfUnit),
        any::<Option<()>>().prop_map(|some| Shape::OptionOfUnitStruct(some.map(|()| UnitStruct))),
        any::<Option<Option<()>>>()
            .prop_map(|outer| { Shape::OptionOfNewtype(outer.map(|inner| Newtype(inner.map(Newtype)))) }),
        (0usize..40).prop_map(|len| Shape::SeqOfUnit(vec![(); len])),
        prop::collection::vec(any::<Option<Option<()>>>(), 0..20).prop_map(Shape::SeqOfOption),
    ];
    prop_oneof![numbers, large, text, nothings]
}

fn branches(inner: BoxedStrategy<Shape>) -> impl Strategy<Value = Shape> {
    let boxed = inner.clone().prop_map(Box::new).boxed();
    let many = prop::collection::vec(inner.clone(), 0..20).boxed();
    // serde's own buffer of some tagged variants reserves what it is told, so no lie here is larger than memory.
    let told = prop_oneof![Just(None), (0usize..40).prop_map(Some), (0usize..100_000).prop_map(Some)].boxed();
    let option = prop::option::of(boxed.clone()).boxed();
    let products = prop_oneof![
        (boxed.clone(), option.clone()).prop_map(|(left, right)| Shape::Pair(left, right)),
        (boxed.clone(), boxed.clone(), any::<u8>()).prop_map(Shape::Tuple),
        (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Shape::TupleStruct(TupleStruct(left, right))),
        (boxed.clone(), prop::option::of(option.clone()))
            .prop_map(|(left, right)| Shape::Struct { left, right }),
        (option.clone(), many.clone()).prop_map(|(first, second)| Shape::Named(Named { first, second })),
        (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Shape::Array([left, right])),
        (told.clone(), option.clone())
            .prop_map(|(told, only)| { Shape::AnyStruct(AnyStruct { told: Told(told.unwrap_or(7)), only }) }),
    ];
    let wrappers = prop_oneof![
        boxed.clone().prop_map(|inner| Shape::Newtype(Newtype(inner))),
        option.clone().prop_map(Shape::Option),
        prop::option::of(prop::option::of(prop::option::of(option.clone()))).prop_map(Shape::Options),
        boxed.prop_map(|inner| Shape::Result(Ok(inner))),
        any::<Option<()>>().prop_map(|error| Shape::Result(Err(error))),
    ];
    let collections = prop_oneof![
        many.clone().prop_map(Shape::Seq),
        (told.clone(), many).prop_map(|(told, values)| Shape::AnySeq(AnySeq { told, values })),
        (told, prop::collection::vec((inner.clone(), inner), 0..20))
            .prop_map(|(told, entries)| Shape::AnyMap(AnyMap { told, entries })),
    ];
    prop_oneof![products, wrappers, collections]
}
