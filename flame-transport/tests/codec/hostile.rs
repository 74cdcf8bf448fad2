//! Bytes that no encoder wrote.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use flame_transport::codec::{self, DecodeError};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, de::Visitor};

use crate::{
    bytes_of,
    model::{AnyMap, AnySeq, Integers, Newtype, Shape, shapes},
};

#[derive(Debug, PartialEq, Deserialize)]
#[allow(dead_code, reason = "only the reading matters")]
struct Flat {
    field: Option<Option<u8>>,
    #[serde(flatten)]
    inner: Internal,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "tag")]
#[allow(dead_code, reason = "only the reading matters")]
enum Internal {
    A,
    B { x: Untagged },
    C(BTreeMap<String, u8>),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only the reading matters")]
enum Untagged {
    Unit,
    Number(f64),
    Option(Option<Option<u8>>),
    Many(Vec<Untagged>),
    Map(BTreeMap<i32, Untagged>),
    Text(String),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "t", content = "c")]
#[allow(dead_code, reason = "only the reading matters")]
enum Adjacent {
    A,
    B(u8, u8),
    C { x: char },
}

/// Reads these bytes as many types, and hands each error on.
fn read_as_many_types(bytes: &[u8], mut failed: impl FnMut(DecodeError)) {
    macro_rules! read {
        ($($kind:ty),* $(,)?) => { $( let _ = codec::decode::<$kind>(bytes).map_err(&mut failed); )* };
    }
    read! {
        Shape, AnySeq, AnyMap, Flat, Internal, Untagged, Adjacent, serde_json::Value, serde::de::IgnoredAny,
        Option<Option<()>>, Newtype<Option<Newtype<()>>>, (), bool, char, u8, i16, u32, i64, u128, i128, f32, f64,
        String, &str, &[u8], bytes::Bytes, serde_bytes::ByteBuf, Vec<u8>, Vec<String>, Vec<()>, [u8; 3], (u8, String),
        BTreeMap<String, Vec<u64>>, BTreeMap<(u8, u8), Option<()>>, Result<u8, String>, IpAddr,
        std::time::Duration, std::ops::Range<u8>, flame_transport::NodeId,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_decode_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_many_types(&bytes, |_| ());
    }

    /// Heads and marks are rare among random bytes.
    #[test]
    fn no_heads_make_decode_panic(
        bytes in prop::collection::vec(prop_oneof![0x80..=0x9fu8, 0xc0..=0xdfu8, Just(0), any::<u8>()], 0..200),
    ) {
        read_as_many_types(&bytes, |_| ());
    }

    #[test]
    fn no_damage_to_a_value_makes_decode_panic(
        shape in shapes(Integers::All),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let Ok(mut bytes) = bytes_of(&shape) else { return Ok(()) };
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        read_as_many_types(&bytes, |_| ());
    }

    #[test]
    fn a_value_that_was_cut_short_is_an_error(shape in shapes(Integers::All), cut: prop::sample::Index) {
        let Ok(bytes) = bytes_of(&shape) else { return Ok(()) };
        let cut = cut.index(bytes.len());
        prop_assert_eq!(codec::decode::<Shape>(&bytes[..cut]), Err(DecodeError::Truncated));
        prop_assert!(codec::decode::<serde::de::IgnoredAny>(&bytes[..cut]).is_err());
    }

    #[test]
    fn bytes_after_a_value_are_an_error(shape in shapes(Integers::All), more in prop::collection::vec(any::<u8>(), 1..9)) {
        let Ok(mut bytes) = bytes_of(&shape) else { return Ok(()) };
        bytes.extend_from_slice(&more);
        prop_assert_eq!(codec::decode::<Shape>(&bytes), Err(DecodeError::Trailing { bytes: more.len() }));
    }
}

#[test]
fn every_cut_of_a_value_is_an_error() {
    type Value = (
        u64,
        i64,
        f32,
        f64,
        String,
        serde_bytes::ByteBuf,
        Option<Option<()>>,
        u128,
        Vec<u8>,
        BTreeMap<u8, char>,
    );
    let value: Value = (
        1 << 40,
        -(1 << 40),
        1.0,
        2.0,
        "s".repeat(300),
        vec![0; 300].into(),
        Some(None),
        u128::MAX,
        vec![1; 20],
        BTreeMap::from([(1, 'x'), (2, 'y')]),
    );
    let bytes = bytes_of(&value).unwrap();
    assert_eq!(codec::decode::<Value>(&bytes), Ok(value));
    for cut in 0..bytes.len() {
        assert_eq!(codec::decode::<Value>(&bytes[..cut]), Err(DecodeError::Truncated), "{cut}");
    }
}

#[test]
fn an_empty_input_is_an_error_for_every_type() {
    let mut errors = 0;
    read_as_many_types(&[], |error| {
        assert_eq!(error, DecodeError::Truncated);
        errors += 1;
    });
    assert_eq!(errors, 39);
}

#[test]
fn bytes_that_begin_no_value_are_named() {
    for (bytes, byte) in [(&b"\xc7\x01\x00\x00"[..], 0xc7), (b"\xd4\x00\x00", 0xd4), (b"\xd8\x07", 0xd8)] {
        assert_eq!(codec::decode::<serde_json::Value>(bytes), Err(DecodeError::Malformed { byte }));
        assert_eq!(codec::decode::<u64>(bytes), Err(DecodeError::Malformed { byte }));
    }
    assert_eq!(codec::decode::<String>(b"\xa2\xff\xff"), Err(DecodeError::NotUtf8));
}

/// What is too much for one type would be the next one's bytes.
#[test]
fn elements_that_the_type_does_not_read_are_an_error() {
    for bytes in [&b"\x93\x01\x02\x03"[..], b"\x91\x01", b"\x90"] {
        assert!(matches!(codec::decode::<(u8, u8)>(bytes), Err(DecodeError::Mismatch { .. })));
    }
    let within = b"\x92\x93\x01\x02\x03\x04";
    assert!(matches!(codec::decode::<((u8, u8), u8)>(within), Err(DecodeError::Mismatch { .. })));
    assert!(codec::decode::<Result<u8, u8>>(b"\x82\xa2Ok\x01\xa3Err\x01").is_err());
}

/// Reads nothing, or swallows its error halfway: the bytes left behind are not another value's.
#[test]
fn a_type_that_leaves_its_bytes_unread_shifts_no_other() {
    #[derive(Debug)]
    struct Idle;
    impl<'de> Deserialize<'de> for Idle {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Idle)
        }
    }
    #[derive(Debug)]
    struct Tolerant;
    impl<'de> Deserialize<'de> for Tolerant {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let _ = Vec::<bool>::deserialize(deserializer);
            Ok(Tolerant)
        }
    }
    #[derive(Debug)]
    struct FirstOnly;
    impl<'de> Deserialize<'de> for FirstOnly {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct First;
            impl<'de> Visitor<'de> for First {
                type Value = FirstOnly;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a sequence")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<FirstOnly, A::Error> {
                    seq.next_element::<u8>()?;
                    Ok(FirstOnly)
                }
            }
            deserializer.deserialize_seq(First)
        }
    }
    assert!(codec::decode::<Idle>(&bytes_of(&1).unwrap()).is_err());
    assert!(codec::decode::<(Idle, u8)>(&bytes_of(&(1, 2)).unwrap()).is_err());
    assert!(codec::decode::<(Tolerant, u8, u8)>(&bytes_of(&([1, 2], 3, 4)).unwrap()).is_err());
    assert!(codec::decode::<(FirstOnly, u8)>(&bytes_of(&([1, 2], 3)).unwrap()).is_err());
}
