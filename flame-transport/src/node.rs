//! Who a node is: a name that people read and an incarnation that tells two lives of one name apart.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The identity of one life of a node.
///
/// The name is for people (`parent`, `thumbs-3`); the incarnation is drawn at random when the node starts, so
/// that a node that comes back under its old name is never taken for the one that went.
///
/// Two ids are equal when both parts are. `Display` prints the name alone, `Debug` both parts.
///
/// # Examples
///
/// ```
/// use flame_transport::NodeId;
///
/// let first = NodeId::new("thumbs-1")?;
/// let second = NodeId::new("thumbs-1")?;
/// assert_eq!(first.name(), second.name());
/// assert_ne!(first, second);
/// # Ok::<(), flame_transport::InvalidNodeName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct NodeId {
    name: Arc<str>,
    incarnation: u64,
}

impl NodeId {
    /// The longest name, in bytes: that of a DNS label, so that a node can be named in a certificate and a pod.
    pub const MAX_NAME: usize = 63;

    /// A new life of the node called `name`, with an incarnation drawn at random.
    ///
    /// # Errors
    ///
    /// The name must be 1 to [`NodeId::MAX_NAME`] of `a`–`z`, `0`–`9` and `-`.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        // The randomness only has to differ from other lives of one name; a counter would restart with the process.
        let incarnation = getrandom::u64().map_err(|_| InvalidNodeName { name: name.into() })?;
        Self::from_parts(name, incarnation)
    }

    /// The id of a life that is already known.
    ///
    /// # Errors
    ///
    /// As [`NodeId::new`].
    pub fn from_parts(name: &str, incarnation: u64) -> Result<Self, InvalidNodeName> {
        let well_formed = (1..=Self::MAX_NAME).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !well_formed {
            return Err(InvalidNodeName { name: name.chars().take(Self::MAX_NAME).collect() });
        }
        Ok(Self { name: name.into(), incarnation })
    }

    /// The name, the same in every life of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of this life.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:016x}", self.name, self.incarnation)
    }
}

/// A node's name is empty, too long, or has characters that cannot stand in a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no node name: it takes 1 to 63 of a-z, 0-9 and '-'")]
pub struct InvalidNodeName {
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Parts(Box<str>, u64);

impl TryFrom<Parts> for NodeId {
    type Error = InvalidNodeName;
    fn try_from(Parts(name, incarnation): Parts) -> Result<Self, InvalidNodeName> {
        Self::from_parts(&name, incarnation)
    }
}

impl From<NodeId> for Parts {
    fn from(id: NodeId) -> Self {
        Self((&*id.name).into(), id.incarnation)
    }
}
