//! What a runner needs to join.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Credentials, NodeId};

/// All that a runner needs to join its parent, once. Made by [`Listener::invite`], used by [`join`].
///
/// It holds the runner's private key: hand it over where nobody else reads it. `Debug` does not show the key.
///
/// [`Listener::invite`]: crate::Listener::invite
/// [`join`]: crate::join
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invitation {
    /// Where the parent listens, tried in this order. Whoever boots the runner may put in others that the runner can
    /// reach the same parent by.
    pub addresses: Vec<SocketAddr>,
    /// The parent that must answer.
    pub parent: NodeId,
    /// Who the runner is.
    pub node: NodeId,
    /// How the runner proves that.
    pub credentials: Credentials,
    /// How long the invitation is good: at the parent since it was made, and at the runner since it began to join. A span
    /// and no date, so that clocks need not agree.
    pub valid_for: Duration,
}
