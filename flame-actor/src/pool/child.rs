//! The owner of a placed actor.

use std::{fmt, ops::Deref, sync::Arc};

use actix::{Actor, Context};
use flame_transport::{Body, MAIN_PORT, NodeId};

use crate::{
    host::protocol::{ToParent, ToRunner},
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
    keeper: Option<Keeper>,
    node: NodeId,
    child: u64,
}

/// Who is to be told.
enum Keeper {
    /// The child's runner.
    Runner(Arc<Peer>),
    /// The parent, which placed it for this runner.
    Parent(Arc<Peer>),
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
        Self { keeper: Some(Keeper::Runner(peer)), node, child }
    }

    /// Of a child that the parent places for this runner, which is not known to be anywhere yet.
    pub(super) fn of_commission(parent: Arc<Peer>, here: NodeId, child: u64) -> Self {
        Self { keeper: Some(Keeper::Parent(parent)), node: here, child }
    }

    /// That is where it is.
    pub(super) fn is_on(&mut self, node: NodeId) {
        self.node = node;
    }

    /// The runner that the child is on.
    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    pub(super) fn detach(mut self) {
        if let Some(Keeper::Parent(parent)) = self.keeper.take() {
            tell(&parent, &ToParent::Detach { child: self.child });
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let child = self.child;
        match self.keeper.take() {
            Some(Keeper::Runner(peer)) => drop(peer.signal(&ToRunner::Stop { child }.encode())),
            Some(Keeper::Parent(parent)) => tell(&parent, &ToParent::LetGo { child }),
            None => {}
        }
    }
}

/// Not as a signal, which would overtake the commission.
fn tell(parent: &Arc<Peer>, notice: &ToParent) {
    // On a lost link there is nobody to tell: the parent sees the loss.
    if let Some(link) = parent.link() {
        drop(link.lane(MAIN_PORT).tell(Body::Own(notice.encode())));
    }
}
