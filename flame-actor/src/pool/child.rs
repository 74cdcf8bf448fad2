//! The owner of a placed actor.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use actix::{Actor, Context};
use flame_transport::{Body, MAIN_PORT, NodeId};

use crate::{
    host::protocol::{ToParent, ToRunner},
    remote::{DownReason, Peer, RemoteAddr, Supervised, cut},
    supervise::machine::Event,
    watch::Watch,
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
    owned: Option<Owned>,
    /// Where it was started.
    node: NodeId,
}

pub(super) enum Owned {
    /// One actor, under the number that its runner knows.
    Once(Arc<Peer>, u64),
    /// One that is started again.
    Supervised(Arc<Supervised>),
    /// One that the parent has placed for this runner, under the number that this runner gave it.
    Commissioned(Arc<Peer>, u64),
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

    /// The runner that the actor is on. While it is being started again, the one that it was placed on first.
    #[must_use]
    pub fn runner(&self) -> NodeId {
        let now = match self.ownership.owned {
            Some(Owned::Supervised(_)) => self.address.node(),
            _ => None,
        };
        now.unwrap_or_else(|| self.ownership.node.clone())
    }

    /// Stops the actor, and says why and how long it may take. `stopping` and `stopped` run on its runner; an actor that has
    /// not ended within `grace` (`stopping` kept it, or it waits for something) is ended by force at its next await.
    ///
    /// The [`Watch`] resolves when it has ended, with [`DownReason::Shutdown`]; it can be dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use actix::prelude::*;
    /// # use flame_actor::{DownReason, Pool, backend::LocalBackend, remote};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Worker;
    /// # impl Actor for Worker { type Context = Context<Self>; }
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "()")]
    /// # struct Work;
    /// # #[remote]
    /// # impl Handler<Work> for Worker {
    /// #     type Result = ();
    /// #     fn handle(&mut self, _: Work, _: &mut Context<Self>) {}
    /// # }
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = Pool::builder("stopped").backend(LocalBackend::new()).start()?;
    /// let worker = pool.place_child(Worker).await?;
    /// let down = worker.stop("closing time", Duration::from_secs(5)).await;
    /// assert_eq!(down.reason, DownReason::Shutdown { reason: "closing time".into() });
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(self, reason: impl Into<String>, grace: Duration) -> Watch {
        let Self { address, ownership } = self;
        let watch = address.watch();
        address.keep_until_end();
        // It has to fit into a notice.
        ownership.stop(Some(cut(reason.into())), Some(grace));
        watch
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
    pub(super) fn new(owned: Owned, node: NodeId) -> Self {
        Self { owned: Some(owned), node }
    }

    /// That is where it is.
    pub(super) fn is_on(&mut self, node: NodeId) {
        self.node = node;
    }

    /// The runner that the child was started on.
    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    /// Has the child stop, for what reason and with what grace its owner says.
    pub(super) fn stop(mut self, reason: Option<String>, grace: Option<Duration>) {
        if let Some(owned) = self.owned.take() {
            owned.stop(reason, grace);
        }
    }

    pub(super) fn detach(mut self) {
        if let Some(Owned::Commissioned(parent, child)) = self.owned.take() {
            tell(&parent, &ToParent::Detach { child });
        }
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            owned.stop(None, None);
        }
    }
}

impl Owned {
    fn stop(self, reason: Option<String>, grace: Option<Duration>) {
        match self {
            Self::Once(peer, child) => {
                peer.signal(&ToRunner::Stop { child, reason, grace }.encode());
            }
            Self::Supervised(supervised) => {
                let reason = reason.map_or(DownReason::Stopped, |reason| DownReason::Shutdown { reason });
                supervised.feed(Event::Stop { reason, grace });
            }
            Self::Commissioned(parent, child) => tell(&parent, &ToParent::LetGo { child, reason, grace }),
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
