//! The owner of a placed actor.

use std::{fmt, ops::Deref, sync::Arc};

use actix::{Actor, Context};
use flame_transport::NodeId;

use crate::{
    host::protocol::ToRunner,
    remote::{Peer, RemoteAddr},
};

/// A placed actor and its owner: dropping it stops the actor.
///
/// It derefs to the actor's [`RemoteAddr`], of which clones own nothing. An actor that keeps a child in a field takes it
/// with it when it goes. [`detach`](Child::detach) gives up ownership.
#[must_use = "dropping a child stops it"]
pub struct Child<A: Actor> {
    address: RemoteAddr<A>,
    ownership: Ownership,
}

/// The right, and the duty, to stop a child.
pub(super) struct Ownership {
    /// `None` once it was given up.
    peer: Option<Arc<Peer>>,
    node: NodeId,
    child: u64,
}

impl<A: Actor<Context = Context<A>>> Child<A> {
    pub(super) fn new(address: RemoteAddr<A>, ownership: Ownership) -> Self {
        Self { address, ownership }
    }

    /// The actor's address.
    #[must_use]
    pub fn addr(&self) -> RemoteAddr<A> {
        self.address.clone()
    }

    /// The runner that the actor is on.
    #[must_use]
    pub fn runner(&self) -> &NodeId {
        &self.ownership.node
    }

    /// Gives up ownership: the actor lives from now on as long as somebody has its address, or it stops itself; never
    /// longer than its parent.
    #[must_use = "the actor stops when nobody has its address"]
    pub fn detach(self) -> RemoteAddr<A> {
        let Self { address, ownership } = self;
        ownership.detach();
        address
    }
}

impl<A: Actor> Deref for Child<A> {
    type Target = RemoteAddr<A>;

    fn deref(&self) -> &RemoteAddr<A> {
        &self.address
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Ownership {
    pub(super) fn new(peer: Arc<Peer>, child: u64) -> Self {
        let node = peer.node().clone();
        Self { peer: Some(peer), node, child }
    }

    pub(super) fn detach(mut self) {
        self.peer = None;
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        peer.signal(&ToRunner::Stop { child: self.child }.encode());
    }
}
