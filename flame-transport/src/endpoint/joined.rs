//! A node that has joined.

use std::{fmt, net::SocketAddr};

use quinn::{Connection, Endpoint, RecvStream, SendStream};

use super::LinkConfig;
use crate::NodeId;

/// Which end of a link a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// It was dialled: it owns the pools.
    Parent,
    /// It dialled: it hosts the work.
    Runner,
}

/// One end of a connection over which both nodes have agreed to work together.
///
/// The peer has proved who it is, runs the same build, and was expected. Dropping it closes the connection.
pub struct Joined {
    pub(crate) connection: Connection,
    /// The runner's endpoint, which serves this connection alone. A parent's belongs to its listener.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) control: (SendStream, RecvStream),
    pub(crate) data: (SendStream, RecvStream),
    pub(crate) peer: NodeId,
    pub(crate) local: NodeId,
    pub(crate) side: Side,
    pub(crate) config: LinkConfig,
}

impl Joined {
    /// The node at the other end.
    #[must_use]
    pub fn peer(&self) -> &NodeId {
        &self.peer
    }

    /// This node.
    #[must_use]
    pub fn local(&self) -> &NodeId {
        &self.local
    }

    /// Which end this node is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// How the link was configured on this side.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Where the peer's packets come from at present.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// The raw parts, for tests of this crate: connection, endpoint, control stream, data stream.
    #[doc(hidden)]
    #[must_use]
    pub fn into_parts(
        self,
    ) -> (Connection, Option<Endpoint>, (SendStream, RecvStream), (SendStream, RecvStream)) {
        (self.connection, self.endpoint, self.control, self.data)
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("local", &self.local)
            .field("peer", &self.peer)
            .field("side", &self.side)
            .field("remote_address", &self.remote_address())
            .finish_non_exhaustive()
    }
}
