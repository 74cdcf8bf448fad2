//! Why a parent refuses a node.

use serde::{Deserialize, Serialize};

use super::Build;
use crate::NodeId;

/// Why a parent refused a node that wanted to join. Both sides see the same value.
///
/// Every reason is final: the same invitation will not be taken later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The two sides run different programs. Runners must be started from the parent's own executable or image.
    #[error(
        "the runner is another build than its parent; start it from the parent's executable or image. \
         Parent: {parent}. Runner: {runner}"
    )]
    Build {
        /// What the parent runs.
        parent: Box<Build>,
        /// What the runner runs.
        runner: Box<Build>,
    },
    /// The certificate names no node that was invited.
    #[error("no such node was invited")]
    Unknown,
    /// The invitation was used before: it is good for one join. A runner that restarts needs a new one.
    #[error("the invitation was used before; each boot needs its own")]
    Reused,
    /// The parent has given the node up, such as after a boot that took too long.
    #[error("the parent has given this node up; it came too late, or was terminated")]
    Revoked,
    /// The invitation was valid for a time that is over.
    #[error("the invitation has expired; the runner took too long to start")]
    Expired,
    /// The node looked for another parent, or for another life of this one.
    #[error("the runner looks for the parent {expected:?}, and this is {actual:?}")]
    WrongParent {
        /// Whom the runner looked for.
        expected: NodeId,
        /// Who answered.
        actual: NodeId,
    },
    /// The node says to be another than its certificate says.
    #[error("the runner's certificate is that of {certificate:?}, and the runner says to be {claimed:?}")]
    WrongNode {
        /// Who it is.
        certificate: NodeId,
        /// Who it says to be.
        claimed: NodeId,
    },
    /// The parent takes no more runners.
    #[error("the parent is shutting down")]
    ShuttingDown,
}
