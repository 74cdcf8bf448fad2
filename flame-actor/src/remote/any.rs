//! An address without its type, for those who keep addresses of all types.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    field::{deserialize_reference, serialize_reference},
    reference::Reference,
};

/// The address of an actor of this node or another one. It travels as any other.
#[derive(Clone)]
pub(crate) struct AnyAddr(pub(super) Reference);

impl AnyAddr {
    /// Whether nothing can reach the actor any more.
    pub(crate) fn is_gone(&self) -> bool {
        match &self.0 {
            Reference::Local(actor, _) => actor.is_gone(),
            Reference::Remote(remote, _) => remote.is_over(),
        }
    }
}

impl Serialize for AnyAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_reference(self.0.clone(), serializer)
    }
}

impl<'de> Deserialize<'de> for AnyAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(deserialize_reference(deserializer)?.into()))
    }
}
