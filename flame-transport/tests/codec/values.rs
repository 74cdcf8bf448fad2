//! Values of all shapes, without attributes.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{CString, OsString},
    net::{IpAddr, SocketAddr},
    num::NonZeroU8,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use flame_transport::{NodeId, codec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    arrives, arrives_or_is_refused, bytes_of,
    model::{AnyMap, AnySeq, Bits32, Bits64, Integers, Newtype, Shape, UnitStruct, shapes},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_of_every_shape_arrive_equal_or_are_refused(shape in shapes(Integers::All)) {
        arrives_or_is_refused(shape);
    }

    #[test]
    fn floats_arrive_with_every_bit(short in any::<u32>(), long in any::<u64>()) {
        arrives((Bits32(f32::from_bits(short)), Bits64(f64::from_bits(long))));
    }

    #[test]
    fn integers_of_every_width_arrive(a: i64, b: u64, c: i128, d: u128, e: i16, f: i8) {
        arrives((a, b, c, d, e, f, i128::from(a), u128::from(b)));
    }
}

#[test]
fn sequences_and_maps_arrive_whatever_length_they_told_before() {
    for len in [0, 1, 15, 16, 17, 255, 256, 65_535, 65_536] {
        let values = vec![Shape::Nothing; len];
        let entries: Vec<_> = (0..len).map(|n| (Shape::Str(n.to_string()), Shape::Nothing)).collect();
        for told in [None, Some(0), Some(len), Some(len + 1), Some(20), Some(70_000), Some(usize::MAX)] {
            // The middle lengths suffice to shift large contents.
            if len < 1000 || matches!(told, None | Some(20)) {
                arrives(AnySeq { told, values: values.clone() });
                arrives(AnyMap { told: told.or(Some(0)), entries: entries.clone() });
            }
        }
    }
}

#[test]
fn integers_at_the_edges_of_every_width_arrive() {
    for shift in 0..=127 {
        for near in [-2i128, -1, 0, 1, 2] {
            let value = (1i128 << shift).wrapping_add(near);
            arrives(value);
            arrives(value.wrapping_neg());
            arrives(value as u128);
            arrives(value as u64);
            arrives(value as i64);
            arrives(value as i32);
            arrives(value as i16);
            arrives(value as i8);
        }
    }
    arrives((i128::MIN, i128::MAX, u128::MAX));
}

#[test]
fn nan_with_a_payload_arrives_bit_by_bit() {
    for bits in [0x7fc0_0001u32, 0xffc1_2345, 0x7f80_0001, 0xff80_0001, 0x8000_0000] {
        arrives(Bits32(f32::from_bits(bits)));
    }
    for bits in [0x7ff8_0000_0000_0001u64, 0xfff8_1234_5678_9abc, 0x7ff0_0000_0000_0001, 1 << 63] {
        arrives(Bits64(f64::from_bits(bits)));
    }
}

#[test]
fn every_depth_of_options_around_nothing_is_told_apart() {
    type Deep<T> = Option<Option<Option<Option<T>>>>;
    arrives::<[Option<()>; 2]>([None, Some(())]);
    arrives::<[Option<Option<()>>; 3]>([None, Some(None), Some(Some(()))]);
    arrives::<[Deep<u8>; 5]>([
        None,
        Some(None),
        Some(Some(None)),
        Some(Some(Some(None))),
        Some(Some(Some(Some(0)))),
    ]);
    arrives::<[Deep<UnitStruct>; 2]>([Some(Some(Some(None))), Some(Some(Some(Some(UnitStruct))))]);
    arrives::<[Option<Newtype<Option<()>>>; 3]>([None, Some(Newtype(None)), Some(Newtype(Some(())))]);
    arrives::<[Option<Box<Option<String>>>; 3]>([
        None,
        Some(Box::new(None)),
        Some(Box::new(Some(String::new()))),
    ]);
    arrives::<Vec<Option<serde_json::Value>>>(vec![None, Some(serde_json::Value::Null), Some(1.into())]);
}

#[test]
fn maps_with_keys_of_any_shape_arrive() {
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Key {
        x: i32,
        y: Option<Option<()>>,
    }
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    enum Name {
        Unit,
        Newtype(Option<u8>),
        Tuple(u8, u8),
        Struct { a: () },
    }
    arrives(BTreeMap::from([(Key { x: -1, y: Some(None) }, 1), (Key { x: -1, y: Some(Some(())) }, 2)]));
    arrives(BTreeMap::from([((1u8, "one".to_owned()), 1), ((2, "two".to_owned()), 2)]));
    arrives(BTreeMap::from([
        (Name::Unit, 1),
        (Name::Newtype(None), 2),
        (Name::Tuple(1, 2), 3),
        (Name::Struct { a: () }, 4),
    ]));
    arrives(BTreeMap::from([(i64::MIN, ()), (-1, ()), (0, ()), (i64::MAX, ())]));
    arrives(BTreeMap::from([(None, 0), (Some(None), 1), (Some(Some(true)), 2)]));
    arrives(BTreeMap::from([((), 'x')]));
    arrives(BTreeMap::from([(vec![1, 2], 3), (vec![], 0)]));
    arrives(BTreeMap::from([(u128::MAX, 0), (1, 1)]));
    arrives(HashMap::<i8, HashMap<bool, char>>::from([(-3, HashMap::from([(true, 'ß')]))]));
}

#[test]
fn types_of_the_standard_library_arrive() {
    arrives(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789));
    arrives((Duration::MAX, 1u8..7, 1..=7u64, NonZeroU8::MAX, "10.0.0.1".parse::<IpAddr>().unwrap()));
    arrives("[2001:db8::1]:443".parse::<SocketAddr>().unwrap());
    arrives((PathBuf::from("/a/ü"), OsString::from("ü"), CString::new(vec![0xff, 1]).unwrap()));
    arrives((BTreeSet::from(["a".to_owned()]), Box::new(()), RefCell::new(3), Cow::<str>::Owned("x".into())));
    arrives((
        std::marker::PhantomData::<u8>,
        [0u8; 0],
        [(); 3],
        Ok::<u8, ()>(1),
        std::ops::Bound::Included(1),
    ));
    arrives(NodeId::new("thumbs-1").unwrap());
    arrives((bytes::Bytes::from_static(b"\xc0\xc1"), serde_bytes::ByteBuf::from(vec![0xc1; 70_000])));
}

#[test]
fn strings_and_bytes_are_borrowed_from_the_input() {
    let bytes = bytes_of(&("text", serde_bytes::Bytes::new(b"bytes"))).unwrap();
    let (text, raw): (&str, &[u8]) = codec::decode(&bytes).unwrap();
    assert_eq!((text, raw), ("text", &b"bytes"[..]));
    assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&raw.as_ptr()));
}

#[test]
fn values_that_are_formatted_arrive_at_every_length() {
    struct Formatted(String);
    impl Serialize for Formatted {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{}{}", self.0, "!"))
        }
    }
    for len in [0, 29, 30, 31, 32, 254, 255, 256, 65_533, 65_534, 65_535, 65_536] {
        let text = "y".repeat(len);
        let bytes = bytes_of(&Formatted(text.clone())).unwrap();
        assert_eq!(codec::decode::<String>(&bytes).unwrap(), format!("{text}!"));
        assert_eq!(bytes, bytes_of(&format!("{text}!")).unwrap());
    }
}

#[test]
fn hot_messages_are_small() {
    #[derive(Serialize)]
    struct Frame<'a>(u32, #[serde(with = "serde_bytes")] &'a [u8]);
    #[derive(Serialize)]
    enum Command {
        Go(u8),
        Stop,
    }
    assert_eq!(bytes_of(&Frame(7, &[1, 2, 3])).unwrap(), [0x92, 7, 0xc4, 3, 1, 2, 3]);
    assert_eq!(bytes_of(&Command::Stop).unwrap(), b"\xa4Stop");
    assert_eq!(bytes_of(&Command::Go(1)).unwrap(), b"\x81\xa2Go\x01");
    assert_eq!(bytes_of(&Some(Newtype(300))).unwrap(), [0xcd, 1, 44]);
    assert_eq!(bytes_of(&Some(Some(()))).unwrap(), [0xc1, 0xc1, 0xc0]);
}

/// Another implementation of MessagePack agrees, on all that MessagePack can say.
#[test]
fn the_bytes_are_messagepack() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Mixed {
        numbers: Vec<i64>,
        floats: (f32, f64),
        text: Vec<String>,
        raw: serde_bytes::ByteBuf,
        map: BTreeMap<u16, Option<bool>>,
        unit: (),
    }
    let mixed = Mixed {
        numbers: (0..63)
            .flat_map(|shift| [1 << shift, -(1 << shift), (1 << shift) - 1, -(1 << shift) - 1])
            .collect(),
        floats: (1.5, -0.1),
        text: [0, 31, 32, 255, 256, 65_535, 65_536].map(|len| "z".repeat(len)).into(),
        raw: vec![7; 300].into(),
        map: (0..20).map(|n| (n * 1000, (n % 3 != 0).then_some(n % 2 == 0))).collect(),
        unit: (),
    };
    let ours = bytes_of(&mixed).unwrap();
    assert_eq!(rmp_serde::from_slice::<Mixed>(&ours).unwrap(), mixed);
    assert_eq!(codec::decode::<Mixed>(&rmp_serde::to_vec_named(&mixed).unwrap()).unwrap(), mixed);
    assert_eq!(ours, rmp_serde::to_vec_named(&mixed).unwrap());
}
