//! The codec's promise: a value arrives equal to what was sent, or its sender gets an error.

mod attributes;
mod bounds;
mod hostile;
mod model;
mod values;

use std::fmt::Debug;

use bytes::BytesMut;
use flame_transport::codec::{self, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

/// More than any value here takes.
const AMPLE: usize = 1 << 24;

fn bytes_of<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = BytesMut::new();
    codec::encode(value, &mut out, AMPLE).map(|()| out.to_vec())
}

/// The value can be sent, and arrives equal.
#[track_caller]
fn arrives<T: Serialize + DeserializeOwned + PartialEq + Debug>(sent: T) {
    let bytes = bytes_of(&sent).unwrap_or_else(|error| panic!("{sent:?} was refused: {error}"));
    let received: T =
        codec::decode(&bytes).unwrap_or_else(|error| panic!("{sent:?} was lost: {error}: {bytes:x?}"));
    assert_eq!(received, sent, "{bytes:x?}");
}

/// The value arrives equal, unless its sender was told.
#[track_caller]
fn arrives_or_is_refused<T: Serialize + DeserializeOwned + PartialEq + Debug>(sent: T) {
    if bytes_of(&sent).is_ok() {
        arrives(sent);
    }
}
