//! References as fields of values that serde encodes.

use serde::{Deserialize, Deserializer, Serializer, de, ser};

use super::{
    reference::{Reference, Resolved},
    scope,
};

pub(super) const GONE_HOME: &str = "a reference to an actor of this node that has stopped meanwhile";
pub(super) const WRONG_KIND: &str = "a reference to an actor of another type";

pub(crate) fn serialize_reference<S: Serializer>(
    reference: Reference,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let index = scope::write(reference).ok_or_else(|| {
        ser::Error::custom("an address or a stream can be serialised only while it is sent to another node")
    })?;
    serializer.serialize_u32(index)
}

pub(crate) fn deserialize_reference<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Resolved, D::Error> {
    let index = u32::deserialize(deserializer)?;
    scope::read(index).ok_or_else(|| {
        de::Error::custom(if scope::is_decoding() {
            "an address or a stream that the message does not carry"
        } else {
            "an address or a stream can be deserialised only from a message of another node"
        })
    })
}
