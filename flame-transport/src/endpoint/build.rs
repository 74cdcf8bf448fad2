//! What must be equal on both sides of a link.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which program a node runs. Both sides of a link must run the same, or the join is refused.
///
/// Messages carry numbers instead of type names, and values are laid out as the sender's types say: only the same build
/// is sure to read them as they were meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The version of this crate. At most [`Build::MAX_TEXT`] printable ASCII characters.
    pub version: String,
    /// What tells one executable from another, such as its GNU build id. At most [`Build::MAX_TEXT`] printable ASCII
    /// characters.
    pub id: String,
    /// The digest of the table of message types that the executable knows.
    pub types: [u8; 32],
}

impl Build {
    /// The most characters in [`version`](Build::version) and [`id`](Build::id).
    pub const MAX_TEXT: usize = 256;

    /// Checks the two texts.
    ///
    /// # Errors
    ///
    /// One of them is longer than [`Build::MAX_TEXT`], or has other characters than printable ASCII.
    pub fn validate(&self) -> Result<(), InvalidBuild> {
        // A peer's build goes into logs and errors as it is: it must not be able to forge a line there.
        let well_formed =
            |text: &str| text.len() <= Self::MAX_TEXT && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        if well_formed(&self.version) && well_formed(&self.id) { Ok(()) } else { Err(InvalidBuild(())) }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}, build {}, types ", self.version, self.id)?;
        // Eight bytes tell two digests apart; the whole would fill the line.
        self.types.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A build's version or id is too long, or is not printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a build's version and id take at most {} printable ASCII characters each", Build::MAX_TEXT)]
pub struct InvalidBuild(());
