//! The bounds of size and depth, on both sides.

use std::{cell::Cell, collections::BTreeMap, fmt, panic};

use bytes::BytesMut;
use flame_transport::codec::{self, DecodeError, EncodeError, MAX_DEPTH};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

use crate::{
    arrives, bytes_of,
    model::{Integers, Newtype, Shape, shapes},
};

proptest! {
    #[test]
    fn the_limit_is_exact_and_a_refused_value_leaves_no_trace(shape in shapes(Integers::All)) {
        // A type that announces more elements than it has needs room for the longer head until it is corrected. None
        // that arrived does.
        let Ok(bytes) = bytes_of(&shape) else { return Ok(()) };
        let shape: Shape = codec::decode(&bytes).unwrap();
        let Ok(bytes) = bytes_of(&shape) else { return Ok(()) };

        let mut out = BytesMut::from(&b"before"[..]);
        codec::encode(&shape, &mut out, bytes.len()).unwrap();
        prop_assert_eq!(&out[..6], b"before");
        prop_assert_eq!(&out[6..], &bytes[..]);

        for limit in [bytes.len() - 1, bytes.len() / 2, 0] {
            let mut out = BytesMut::from(&b"before"[..]);
            prop_assert_eq!(codec::encode(&shape, &mut out, limit), Err(EncodeError::TooLarge { limit }));
            prop_assert_eq!(&out[..], b"before");
        }
    }
}

#[test]
fn a_value_beyond_the_limit_is_not_buffered() {
    let mut out = BytesMut::new();
    let large = vec![0u64; 10_000_000];
    assert_eq!(codec::encode(&large, &mut out, 1000), Err(EncodeError::TooLarge { limit: 1000 }));
    assert_eq!(
        codec::encode(&"x".repeat(10_000_000), &mut out, 1000),
        Err(EncodeError::TooLarge { limit: 1000 })
    );
    assert!(out.capacity() <= 4096, "{}", out.capacity());
}

#[test]
fn a_limit_beyond_all_memory_is_no_overflow() {
    let mut out = BytesMut::from(&b"before"[..]);
    codec::encode(&7, &mut out, usize::MAX).unwrap();
    assert_eq!(&out[..], b"before\x07");
}

#[test]
fn a_type_that_fails_or_panics_halfway_leaves_no_trace() {
    struct Fails(bool);
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            assert!(self.0, "on purpose");
            Err(serde::ser::Error::custom("it is not for sending"))
        }
    }
    let mut out = BytesMut::from(&b"before"[..]);
    let refused = codec::encode(&("written first", Fails(true)), &mut out, 1000);
    assert_eq!(refused, Err(EncodeError::Refused { reason: "it is not for sending".into() }));
    assert_eq!(&out[..], b"before");

    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        codec::encode(&("written first", Fails(false)), &mut out, 1000)
    }));
    assert!(panicked.is_err());
    assert_eq!(&out[..], b"before");
}

#[test]
fn a_display_that_fails_is_told_from_one_that_is_too_long() {
    struct Shown(bool);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if self.0 { f.write_str(&"x".repeat(100)) } else { Err(fmt::Error) }
        }
    }
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    let mut out = BytesMut::new();
    assert_eq!(codec::encode(&Shown(true), &mut out, 50), Err(EncodeError::TooLarge { limit: 50 }));
    assert_eq!(codec::encode(&Shown(true), &mut out, 101), Err(EncodeError::TooLarge { limit: 101 }));
    assert!(codec::encode(&Shown(true), &mut out, 102).is_ok());
    assert!(matches!(codec::encode(&Shown(false), &mut out, 50), Err(EncodeError::Refused { .. })));
}

#[test]
fn a_map_whose_type_forgets_a_value_is_refused() {
    struct Half;
    impl Serialize for Half {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap;
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_key("key")?;
            map.end()
        }
    }
    assert!(matches!(bytes_of(&Half), Err(EncodeError::Refused { .. })));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lists(Vec<Lists>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Links {
    next: Option<Box<Links>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Variants {
    Leaf,
    Newtype(Box<Variants>),
    Tuple(Box<Variants>, ()),
    Struct { inner: Box<Variants> },
}

/// Recurses through nothing that leaves a byte.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Steps(Option<Box<Steps>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Buffered {
    Leaf(u8),
    Tuple(Box<Buffered>, ()),
    Struct { inner: Option<Box<Buffered>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tag")]
enum Tagged {
    Leaf,
    Node { inner: Box<Tagged> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    inner: Option<Box<Flattened>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Flattened>,
}

fn nest<T>(depth: usize, leaf: T, wrap: impl Fn(T) -> T) -> T {
    (0..depth).fold(leaf, |inner, _| wrap(inner))
}

/// One value of each recursive type around so many levels of bytes, and whether all of them can be sent.
fn of_depth(levels: usize, check: impl Fn(&str, Result<Vec<u8>, EncodeError>)) {
    let each = |name, bytes| check(name, bytes);
    each("lists", bytes_of(&nest(levels - 1, Lists(vec![]), |inner| Lists(vec![inner]))));
    each(
        "links",
        bytes_of(&nest(levels - 1, Links { next: None }, |inner| Links { next: Some(inner.into()) })),
    );
    each("newtypes", bytes_of(&nest(levels, Variants::Leaf, |inner| Variants::Newtype(inner.into()))));
    each("steps", bytes_of(&nest(levels, Steps(None), |inner| Steps(Some(inner.into())))));
    each("tagged", bytes_of(&nest(levels - 1, Tagged::Leaf, |inner| Tagged::Node { inner: inner.into() })));
    each("buffered", bytes_of(&nest(levels, Buffered::Leaf(1), |inner| Buffered::Tuple(inner.into(), ()))));
}

#[test]
fn values_of_the_greatest_depth_arrive() {
    let most = usize::from(MAX_DEPTH);
    arrives(nest(most - 1, Lists(vec![]), |inner| Lists(vec![inner])));
    arrives(nest(most - 1, Links { next: None }, |inner| Links { next: Some(inner.into()) }));
    arrives(nest(most, Variants::Leaf, |inner| Variants::Newtype(inner.into())));
    arrives(nest(most / 2, Variants::Leaf, |inner| Variants::Tuple(inner.into(), ())));
    arrives(nest(most / 2, Variants::Leaf, |inner| Variants::Struct { inner: inner.into() }));
    arrives(nest(most / 2 - 1, Steps(None), |inner| Steps(Some(inner.into()))));
    arrives(nest(most, Buffered::Leaf(1), |inner| Buffered::Struct { inner: Some(inner.into()) }));
    arrives(nest(most - 1, Tagged::Leaf, |inner| Tagged::Node { inner: inner.into() }));
    arrives(nest(most - 1, Flattened { inner: None, rest: BTreeMap::new() }, |inner| Flattened {
        inner: None,
        rest: BTreeMap::from([("x".into(), inner)]),
    }));
    // A type with many variants takes the most stack for a level.
    arrives(nest(most, Shape::Nothing, |inner| Shape::Newtype(Newtype(inner.into()))));
    arrives(nest(most / 2 - 1, Shape::Nothing, |inner| Shape::Seq(vec![inner])));
    of_depth(most / 2 - 1, |name, bytes| assert!(bytes.is_ok(), "{name}"));
}

#[test]
fn deeper_values_are_refused_by_the_sender() {
    for levels in [usize::from(MAX_DEPTH) + 1, 1000] {
        of_depth(levels, |name, bytes| assert_eq!(bytes, Err(EncodeError::TooDeep), "{name}"));
    }
}

/// A value that refers to itself, and leaves no byte on its way round.
#[test]
fn endless_values_are_refused_by_the_sender() {
    struct Endless {
        as_option: bool,
    }
    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.as_option {
                serializer.serialize_some(self)
            } else {
                serializer.serialize_newtype_struct("", self)
            }
        }
    }
    assert_eq!(bytes_of(&Endless { as_option: true }), Err(EncodeError::TooDeep));
    assert_eq!(bytes_of(&Endless { as_option: false }), Err(EncodeError::TooDeep));
}

/// Marks are levels to the reader, so they count with the levels around them.
#[test]
fn options_around_nothing_deep_inside_arrive_or_are_refused() {
    for levels in 100..130 {
        let sent: Vec<_> =
            (0..40).map(|marks| nest(marks, Steps(None), |inner| Steps(Some(inner.into())))).collect();
        for steps in sent {
            #[derive(Debug, PartialEq, Serialize, Deserialize)]
            enum Around {
                More(Box<Around>),
                Last(Steps),
            }
            crate::arrives_or_is_refused(nest(levels, Around::Last(steps), |inner| {
                Around::More(inner.into())
            }));
        }
    }
}

#[test]
fn deeper_bytes_are_an_error_and_no_overflow_of_the_stack() {
    for depth in [usize::from(MAX_DEPTH) + 1, 1_000_000] {
        let lists: Vec<u8> = [0x91].repeat(depth).into_iter().chain([0x90]).collect();
        assert_eq!(codec::decode::<Lists>(&lists), Err(DecodeError::TooDeep));
        assert_eq!(codec::decode::<serde_json::Value>(&lists), Err(DecodeError::TooDeep));
        assert_eq!(codec::decode::<Buffered>(&lists), Err(DecodeError::TooDeep));

        let maps: Vec<u8> = b"\x81\xa5inner".repeat(depth).into_iter().chain([0xc0]).collect();
        assert_eq!(codec::decode::<Buffered>(&maps), Err(DecodeError::TooDeep));
        assert_eq!(codec::decode::<Flattened>(&maps), Err(DecodeError::TooDeep));

        let links: Vec<u8> = b"\x81\xa4next".repeat(depth).into_iter().chain([0xc0]).collect();
        assert_eq!(codec::decode::<Links>(&links), Err(DecodeError::TooDeep));

        let variants: Vec<u8> = b"\x81\xa7Newtype".repeat(depth).into_iter().chain(*b"\xa4Leaf").collect();
        assert_eq!(codec::decode::<Variants>(&variants), Err(DecodeError::TooDeep));

        let marks: Vec<u8> = [0xc1].repeat(depth).into_iter().chain([0xc0]).collect();
        assert_eq!(codec::decode::<Steps>(&marks), Err(DecodeError::TooDeep));
        assert_eq!(codec::decode::<Buffered>(&marks), Err(DecodeError::TooDeep));

        // A field that nobody reads may be as deep as it likes: it is skipped without recursion.
        #[derive(Debug, Deserialize)]
        struct Known {
            _known: u8,
        }
        let ignored: Vec<u8> = b"\x82\xa1x".iter().copied().chain(lists).chain(*b"\xa6_known\x07").collect();
        codec::decode::<Known>(&ignored).unwrap();
    }
    // No depth in the bytes at all, and endless recursion in the type.
    assert_eq!(codec::decode::<Steps>(&[7]), Err(DecodeError::TooDeep));
}

thread_local! {
    static HINTED: Cell<usize> = const { Cell::new(0) };
}

/// Reads sequences and maps of itself, and adds up how many elements it would reserve.
#[derive(Debug)]
struct Hinted;

impl<'de> Deserialize<'de> for Hinted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Hinted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Hinted, E> {
                Ok(Hinted)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Hinted, A::Error> {
                HINTED.set(HINTED.get() + seq.size_hint().unwrap_or(usize::MAX / 2));
                while seq.next_element::<Hinted>()?.is_some() {}
                Ok(Hinted)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Hinted, A::Error> {
                HINTED.set(HINTED.get() + map.size_hint().unwrap_or(usize::MAX / 2));
                while map.next_entry::<Hinted, Hinted>()?.is_some() {}
                Ok(Hinted)
            }
        }
        deserializer.deserialize_any(Count)
    }
}

#[test]
fn lengths_that_lie_reserve_nothing() {
    let reserved = |bytes: &[u8]| {
        HINTED.set(0);
        let error = codec::decode::<Hinted>(bytes).unwrap_err();
        assert_eq!(error, DecodeError::Truncated);
        HINTED.get()
    };
    assert_eq!(reserved(b"\xdd\xff\xff\xff\xff"), 0);
    assert_eq!(reserved(b"\xdf\xff\xff\xff\xff\xc0\xc0"), 0);
    assert_eq!(reserved(b"\xdf\x80\x00\x00\x00\xc0\xc0"), 0);

    // Each of these is possible by itself, and all of them together are not.
    let mut nested = Vec::new();
    for _ in 0..100 {
        nested.extend_from_slice(b"\xdd\x00\x00\x80\x00");
    }
    nested.resize(40_000, 0xc0);
    assert!(reserved(&nested) <= nested.len());

    for lie in [&b"\xdb\xff\xff\xff\xff"[..], b"\xc6\xff\xff\xff\xff", b"\xc6\x00\x00\x00\x02x"] {
        assert_eq!(codec::decode::<serde_bytes::ByteBuf>(lie), Err(DecodeError::Truncated));
        assert_eq!(codec::decode::<String>(lie), Err(DecodeError::Truncated));
        assert_eq!(codec::decode::<serde_json::Value>(lie), Err(DecodeError::Truncated));
        assert_eq!(codec::decode::<serde::de::IgnoredAny>(lie).unwrap_err(), DecodeError::Truncated);
    }
}

#[test]
fn an_error_quotes_little_of_what_a_peer_wrote() {
    let long = bytes_of(&"ü\n".repeat(1_000_000)).unwrap();
    let Err(DecodeError::Mismatch { reason }) = codec::decode::<u8>(&long) else { panic!("not a number") };
    assert!(reason.starts_with("invalid type: string"), "{reason}");
    assert!(reason.len() <= 256);
}
