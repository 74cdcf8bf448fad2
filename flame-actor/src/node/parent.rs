//! The parent: the node that owns pools, and where their runners join.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use flame_transport::{
    AcceptError, BindError, Invitation, InviteError, Joined, LinkConfig, Listener, NodeId, Refusal,
};

use super::{Threads, names::Names, this_build};
use crate::{delivery::panics, registry::RegistryError};

/// A node that owns pools. Most apps need none of their own: pools that name no parent share one of the process.
///
/// Each parent has its own identity, certificate authority and threads, so that several in a process, as in tests, know
/// nothing of each other. It ends with the last handle on it and the last of its pools.
#[derive(Debug, Clone)]
pub struct Parent {
    node: Arc<ParentNode>,
}

/// Why there is no parent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParentError {
    /// Its name is no node name.
    #[error(transparent)]
    Name(#[from] flame_transport::InvalidNodeName),
    /// Its threads could not be started.
    #[error("the threads of the parent could not be started: {0}")]
    Threads(#[from] io::Error),
    /// This executable's registrations are at odds.
    #[error(transparent)]
    Registry(#[from] &'static RegistryError),
    /// It cannot listen for its runners.
    #[error("the parent cannot listen for its runners at {address}: {source}")]
    Listen {
        /// Where the backend wants it to.
        address: SocketAddr,
        /// Why not.
        source: BindError,
    },
    /// Panics abort this app: one actor's panic would end all of them, and the whole runner.
    #[error(
        "this app is built with panic = \"abort\", so that a panic in one actor would end its whole process: remove that line from the profile"
    )]
    PanicAborts,
}

#[derive(Debug)]
pub(crate) struct ParentNode {
    pub(crate) id: NodeId,
    pub(crate) threads: Threads,
    pub(crate) names: Arc<Names>,
    receptions: Mutex<HashMap<(SocketAddr, String), Weak<Reception>>>,
}

impl Parent {
    /// A parent of its own, called `name` in logs and errors.
    ///
    /// # Errors
    ///
    /// See [`ParentError`].
    pub fn new(name: &str) -> Result<Self, ParentError> {
        Ok(Self { node: ParentNode::start(name, Arc::default())? })
    }

    /// Who it is.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node.id
    }

    /// The one that pools share which name none; started when it is first needed, and ended with the last of them.
    pub(crate) fn shared() -> Result<Self, ParentError> {
        static SHARED: Mutex<Weak<ParentNode>> = Mutex::new(Weak::new());
        let mut shared = lock(&SHARED);
        if let Some(node) = shared.upgrade() {
            return Ok(Self { node });
        }
        let node = ParentNode::start("parent", Names::shared())?;
        *shared = Arc::downgrade(&node);
        Ok(Self { node })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.node.names
    }

    pub(crate) fn into_node(self) -> Arc<ParentNode> {
        self.node
    }
}

impl ParentNode {
    fn start(name: &str, names: Arc<Names>) -> Result<Arc<Self>, ParentError> {
        if cfg!(panic = "abort") {
            return Err(ParentError::PanicAborts);
        }
        this_build()?;
        panics::remember();
        let id = NodeId::new(name)?;
        let threads = Threads::start(name, 0)?;
        Ok(Arc::new(Self { id, threads, names, receptions: Mutex::default() }))
    }

    /// Where runners of this kind join; pools of one kind share it.
    pub(crate) fn reception(
        &self,
        address: SocketAddr,
        link: &LinkConfig,
    ) -> Result<Arc<Reception>, ParentError> {
        let mut receptions = lock(&self.receptions);
        let key = (address, format!("{link:?}"));
        if let Some(reception) = receptions.get(&key).and_then(Weak::upgrade) {
            return Ok(reception);
        }
        let build = this_build()?;
        let listener = Listener::bind(address, self.id.clone(), build, link.clone(), self.threads.network())
            .map_err(|source| ParentError::Listen { address, source })?;
        let reception = Arc::new(Reception { listener: Arc::new(listener), expected: Mutex::default() });
        self.threads.network().spawn(receive(Arc::clone(&reception.listener), Arc::downgrade(&reception)));
        receptions.insert(key, Arc::downgrade(&reception));
        Ok(reception)
    }
}

type OnJoin = Box<dyn FnOnce(Joined) + Send>;

/// Where runners join: a listener, and who waits for whom.
pub(crate) struct Reception {
    listener: Arc<Listener>,
    expected: Mutex<HashMap<NodeId, OnJoin>>,
}

impl Reception {
    /// Expects a new runner called `name`; `on_join` is called on the network thread when it has joined.
    pub(crate) fn invite(
        &self,
        name: &str,
        valid_for: Duration,
        on_join: impl FnOnce(&NodeId) -> OnJoin,
    ) -> Result<Invitation, InviteError> {
        let invitation = self.listener.invite(name, valid_for)?;
        lock(&self.expected).insert(invitation.node.clone(), on_join(&invitation.node));
        Ok(invitation)
    }

    /// A runner that must not join any more.
    pub(crate) fn revoke(&self, node: &NodeId) {
        self.listener.revoke(node);
        drop(lock(&self.expected).remove(node));
    }

    /// Why a runner was refused, if it was.
    pub(crate) fn refusal(&self, node: &NodeId) -> Option<Refusal> {
        self.listener.refusal(node)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        self.listener.close();
    }
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reception").field("address", &self.address()).finish_non_exhaustive()
    }
}

async fn receive(listener: Arc<Listener>, reception: Weak<Reception>) {
    loop {
        let joined: Result<Joined, AcceptError> = listener.accept().await;
        // Refused ones were told so and traced by the listener.
        let Ok(joined) = joined else { return };
        let Some(reception) = reception.upgrade() else { return };
        let on_join = lock(&reception.expected).remove(joined.peer());
        match on_join {
            Some(on_join) => on_join(joined),
            None => tracing::warn!(runner = %joined.peer(), "a runner has joined that nobody waits for"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
