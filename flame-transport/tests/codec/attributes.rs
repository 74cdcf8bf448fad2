//! Every serde attribute that changes what is written, around values of every shape.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    net::IpAddr,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    arrives, arrives_or_is_refused, bytes_of,
    model::{Integers, Newtype, UnitStruct, shapes},
};
use flame_transport::codec::{self, EncodeError};

/// Fields that come and go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
struct Skips<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    without_default: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    with_default: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nested: Option<Option<Option<T>>>,
    #[serde(rename = "type")]
    renamed: Option<Option<()>>,
    #[serde(skip)]
    never: u8,
    #[serde(skip_serializing, default)]
    one_way: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "list")]
    many: Vec<T>,
    #[serde(skip_deserializing)]
    other_way: u8,
    plain: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum External<T> {
    Unit,
    #[serde(skip)]
    #[allow(dead_code, reason = "shifts the indexes that serde gives the later variants when it reads")]
    Skipped(u8),
    #[serde(rename = "new-type")]
    Newtype(T),
    Option(Option<T>),
    Tuple(T, Option<Option<()>>),
    Struct {
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe: Option<T>,
        plain: u8,
    },
    #[serde(rename_all = "UPPERCASE")]
    Flat {
        #[serde(flatten)]
        inner: Inner<T>,
        plain: u8,
    },
    Empty {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal<T> {
    Unit,
    #[serde(skip)]
    #[allow(dead_code, reason = "as in External")]
    Skipped(u8),
    Newtype(Inner<T>),
    UnitStruct(UnitStruct),
    NewtypeOfUnit(()),
    Struct {
        value: T,
        maybe: Option<Option<T>>,
    },
    External(External<T>),
    Flat {
        #[serde(flatten)]
        inner: Inner<T>,
        #[serde(flatten)]
        rest: BTreeMap<String, T>,
    },
    Keys {
        keys: BTreeMap<i32, T>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent<T> {
    Unit,
    Newtype(T),
    Option(Option<T>),
    NewtypeOfUnit(()),
    Tuple(T, Option<Option<()>>),
    Struct { value: T, maybe: Option<Option<T>> },
}

/// Each variant has a shape that no earlier one takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Unit,
    Bool(bool),
    Number(i64),
    Text(String),
    Struct { value: T, maybe: Option<Option<T>> },
    Tuple(T, Option<Option<T>>),
    Many((T, T, T)),
    Marked(Option<Option<Option<()>>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum PartlyUntagged<T> {
    Tagged(T),
    Named,
    #[serde(untagged)]
    Pair(T, T),
    #[serde(untagged)]
    Other(Option<Option<()>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Inner<T> {
    value: T,
    deep: Option<Option<T>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maybe: Option<T>,
}

/// Everything that can be flattened, next to everything else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flat<T> {
    before: Option<Option<T>>,
    #[serde(flatten)]
    inner: Inner<T>,
    #[serde(flatten)]
    optional: Option<Other<T>>,
    #[serde(flatten)]
    internal: Tagged<T>,
    #[serde(flatten)]
    external: Choice<T>,
    after: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Other<T> {
    always: u8,
    other: T,
    more: Option<Option<T>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tag")]
enum Tagged<T> {
    None,
    Some { tagged: T },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Choice<T> {
    Bare,
    Single(T),
    Double(u8, u8),
    Fields { a: Option<T> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Transparent<T> {
    inner: Newtype<Option<T>>,
}

/// The family around one payload, drawn by a number each.
fn family<T>(pick: u8, a: T, b: T) -> Vec<Box<dyn FnOnce()>>
where
    T: Debug + Clone + PartialEq + Serialize + DeserializeOwned + 'static,
{
    let option = |value: &T| (pick & 1 == 0).then(|| value.clone());
    let nested = |value: &T| match pick % 3 {
        0 => None,
        1 => Some(None),
        _ => Some(Some(value.clone())),
    };
    let inner = |value: &T| Inner { value: value.clone(), deep: nested(value), maybe: option(value) };
    let rest: BTreeMap<_, _> = (0..pick % 20)
        .map(|n| (format!("rest{n}"), if n % 2 == 0 { a.clone() } else { b.clone() }))
        .collect();

    let skips = Skips {
        without_default: option(&a),
        with_default: option(&b),
        nested: option(&a).map(|_| nested(&b)),
        renamed: nested(&a).map(|inner| inner.map(|_| ())),
        many: if pick & 2 == 0 { vec![] } else { vec![a.clone(), b.clone()] },
        plain: pick.into(),
        never: 0,
        one_way: 0,
        other_way: 0,
    };
    let external = match pick % 7 {
        0 => External::Unit,
        1 => External::Newtype(a.clone()),
        2 => External::Option(option(&a)),
        3 => External::Tuple(a.clone(), nested(&b).map(|inner| inner.map(|_| ()))),
        4 => External::Struct { maybe: option(&b), plain: pick },
        5 => External::Flat { inner: inner(&b), plain: pick },
        _ => External::Empty {},
    };
    let internal = match pick % 8 {
        0 => Internal::Unit,
        1 => Internal::Newtype(inner(&a)),
        2 => Internal::UnitStruct(UnitStruct),
        3 => Internal::NewtypeOfUnit(()),
        4 => Internal::Struct { value: b.clone(), maybe: nested(&a) },
        5 => Internal::External(external.clone()),
        6 => Internal::Flat { inner: inner(&a), rest: rest.clone() },
        _ => Internal::Keys { keys: BTreeMap::from([(-1, a.clone()), (1, b.clone())]) },
    };
    let adjacent = match pick % 6 {
        0 => Adjacent::Unit,
        1 => Adjacent::Newtype(a.clone()),
        2 => Adjacent::Option(option(&a)),
        3 => Adjacent::NewtypeOfUnit(()),
        4 => Adjacent::Tuple(b.clone(), nested(&b).map(|inner| inner.map(|_| ()))),
        _ => Adjacent::Struct { value: b.clone(), maybe: nested(&a) },
    };
    let untagged = match pick % 8 {
        0 => Untagged::Unit,
        1 => Untagged::Bool(true),
        2 => Untagged::Number(-i64::from(pick)),
        3 => Untagged::Text("text".into()),
        4 => Untagged::Struct { value: a.clone(), maybe: nested(&b) },
        5 => Untagged::Tuple(a.clone(), nested(&b)),
        6 => Untagged::Many((a.clone(), b.clone(), a.clone())),
        _ => Untagged::Marked(Some(Some((pick & 8 == 0).then_some(())))),
    };
    let partly = match pick % 4 {
        0 => PartlyUntagged::Tagged(a.clone()),
        1 => PartlyUntagged::Named,
        2 => PartlyUntagged::Pair(a.clone(), b.clone()),
        _ => PartlyUntagged::Other(Some(option(&a).map(|_| ()))),
    };
    let flat = Flat {
        before: nested(&b),
        inner: inner(&a),
        optional: option(&b).map(|other| Other { always: pick, other, more: nested(&a) }),
        internal: if pick & 4 == 0 { Tagged::None } else { Tagged::Some { tagged: b.clone() } },
        external: match pick % 4 {
            0 => Choice::Bare,
            1 => Choice::Single(a.clone()),
            2 => Choice::Double(pick, 1),
            _ => Choice::Fields { a: option(&b) },
        },
        after: b.clone(),
    };

    vec![
        check(skips),
        check(external),
        check(internal),
        check(adjacent),
        check(untagged),
        check(partly),
        check(flat),
        check(FlatRest { field: a.clone(), rest }),
        check(Transparent { inner: Newtype(option(&a)) }),
    ]
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FlatRest<T> {
    field: T,
    #[serde(flatten)]
    rest: BTreeMap<String, T>,
}

fn check<T: Debug + PartialEq + Serialize + DeserializeOwned + 'static>(value: T) -> Box<dyn FnOnce()> {
    Box::new(move || arrives_or_is_refused(value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_of_every_shape_arrive_through_every_attribute(
        pick: u8,
        a in shapes(Integers::Bufferable),
        b in shapes(Integers::Bufferable),
    ) {
        family(pick, a, b).into_iter().for_each(|check| check());
    }

    #[test]
    fn attributes_nest(pick: u8, again: u8, a in shapes(Integers::Bufferable)) {
        let inner = Internal::Struct { value: Untagged::Tuple(a.clone(), Some(None)), maybe: Some(None) };
        let other = Internal::Newtype(Inner { value: Untagged::Unit, deep: Some(None), maybe: None });
        family(pick, inner, other).into_iter().for_each(|check| check());
        family(again, Some(Adjacent::Option(Some(()))), None).into_iter().for_each(|check| check());
    }
}

/// What the properties above may skip as refused must not be refused for these.
#[test]
fn ordinary_values_are_never_refused() {
    for pick in 0..=255 {
        let rest = BTreeMap::from([("x".to_owned(), Some(())), ("y".to_owned(), None)]);
        arrives(FlatRest { field: Some(()), rest });
        for value in [Some(Some(pick)), Some(None), None] {
            arrives(Skips { nested: Some(Some(Some(value))), with_default: Some(value), ..Skips::default() });
            arrives(External::Flat { inner: Inner { value, deep: Some(None), maybe: None }, plain: 1 });
            arrives(Internal::External(External::Tuple(value, Some(None))));
            arrives(Internal::Keys { keys: BTreeMap::from([(i32::MIN, value)]) });
            arrives(Adjacent::Option(Some(value)));
            arrives(Untagged::Struct { value, maybe: Some(Some(value)) });
            arrives(Untagged::Tuple(value, Some(None)));
            arrives(PartlyUntagged::Pair(value, value));
            arrives(Transparent { inner: Newtype(Some(value)) });
        }
    }
    arrives(Untagged::<u8>::Marked(Some(Some(None))));
    arrives(Untagged::<u8>::Marked(Some(Some(Some(())))));
    arrives(PartlyUntagged::<u8>::Other(Some(None)));
    arrives(PartlyUntagged::<u8>::Other(Some(Some(()))));
}

#[test]
fn skipped_fields_never_shift_later_ones() {
    let sent = Skips { plain: 7, many: vec![1u8], ..Skips::default() };
    arrives(sent.clone());
    // A field that goes one way arrives as its default, and all others as they were.
    let received: Skips<u8> =
        codec::decode(&bytes_of(&Skips { one_way: 1, other_way: 2, ..sent.clone() }).unwrap()).unwrap();
    assert_eq!(received, sent);
}

#[test]
fn flattened_maps_arrive_with_keys_that_serde_can_read_and_others_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Keyed<K: Eq + std::hash::Hash> {
        field: u8,
        #[serde(flatten)]
        map: HashMap<K, Option<Option<()>>>,
    }
    /// serde reads the keys of a flattened map in a buffer of its own when that is inside another one.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "tag")]
    enum Buffered<K: Eq + std::hash::Hash> {
        Keyed(Keyed<K>),
    }
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    enum Name {
        A,
        B,
        C(u8),
    }
    fn keyed<K: Eq + std::hash::Hash>(key: K) -> Keyed<K> {
        Keyed { field: 1, map: HashMap::from([(key, Some(None))]) }
    }
    macro_rules! arrive {
        ($($key:expr),*) => { $( arrives(keyed($key)); arrives(Buffered::Keyed(keyed($key))); )* };
    }
    macro_rules! refused {
        ($($key:expr),*) => { $( assert_eq!(bytes_of(&keyed($key)), Err(EncodeError::FlattenedKey)); )* };
    }
    arrive!("key".to_owned(), 'k', 0u8, u64::MAX, 7i32, Name::A, Name::B, Newtype2(3u16), Some(5u32));
    arrive!(
        serde_bytes::ByteBuf::from(vec![1, 2]),
        "x".repeat(300),
        70_000u32,
        300u16,
        "10.0.0.1".parse::<IpAddr>().unwrap()
    );
    refused!(-1i32, i64::MIN, true, (), (1, 2), Name::C(1), None::<u8>, Some(None::<u8>), vec![1], u128::MAX);

    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    struct Newtype2(u16);
}

/// serde tells those buffered types that the format is for people, whatever the format says.
#[test]
fn types_that_ask_who_reads_arrive_through_buffers_too() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Peer {
        ip: IpAddr,
    }
    let ip: IpAddr = "2001:db8::7".parse().unwrap();
    let peer = Peer { ip };
    arrives(FlatRest { field: ip, rest: BTreeMap::from([("x".into(), ip)]) });
    arrives(Internal::Struct { value: ip, maybe: Some(Some(ip)) });
    arrives(Internal::External(External::Tuple(ip, None)));
    arrives(Adjacent::Newtype(ip));
    arrives(Untagged::Tuple(peer.clone(), Some(Some(peer.clone()))));
    arrives(Flat {
        before: None,
        inner: Inner { value: peer.clone(), deep: None, maybe: Some(peer.clone()) },
        optional: None,
        internal: Tagged::Some { tagged: peer.clone() },
        external: Choice::Single(peer.clone()),
        after: peer,
    });
}

#[test]
fn large_integers_in_a_buffer_of_serdes_are_lost_for_every_value_and_never_in_silence() {
    for value in [0u128, 1, u128::MAX] {
        arrives(External::Newtype(value));
        arrives(Adjacent::Newtype(value));
        let bytes = bytes_of(&Untagged::Tuple(value, None)).unwrap();
        assert!(codec::decode::<Untagged<u128>>(&bytes).is_err());
        let bytes =
            bytes_of(&FlatRest { field: value, rest: BTreeMap::from([("x".into(), value)]) }).unwrap();
        assert!(codec::decode::<FlatRest<u128>>(&bytes).is_err());
    }
}

#[test]
fn types_that_are_written_as_a_tuple_may_be_read_by_the_derive() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(into = "(u8, Option<Option<()>>)")]
    struct Pair {
        a: u8,
        b: Option<Option<()>>,
    }
    impl From<Pair> for (u8, Option<Option<()>>) {
        fn from(pair: Pair) -> Self {
            (pair.a, pair.b)
        }
    }
    arrives(Pair { a: 1, b: Some(None) });
    arrives(Internal::Struct { value: Pair { a: 1, b: Some(Some(())) }, maybe: None });
}
