//! The other end of a link, as actors see it: what was exported to it and what is known of it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use actix::ArbiterHandle;
use bytes::{Bytes, BytesMut};
use flame_transport::{Inbox, Joined, Lane, Link, LinkLost, MAIN_PORT, NodeId, Service, varint};

use super::{
    error::{DownReason, SendError},
    export::{ExportKey, Exportable},
    reference::{self, Encoded},
    target::{Keeper, Remote},
    watching::{DOWN, PLACED, UNWATCH, WATCH, WATCH_NODE, Watched},
};
use crate::{
    backend::{BoxFuture, ExitReason},
    dead_letters,
    watch::{EndWatch, vigil::Vigil},
};

/// What a peer's owner (a pool, or a runner) hears of it, on the network thread: it must not be held up.
pub(crate) trait PeerEvents: Send + Sync + 'static {
    /// A notice has come.
    fn signal(&self, body: &[u8]);

    /// The link is lost, and nobody has heard of it yet.
    fn losing(&self) {}

    /// The link is lost. Called once.
    fn lost(&self, reason: &LinkLost);

    /// How the peer's instance ends, where that can be seen.
    fn exit(&self) -> Option<BoxFuture<ExitReason>> {
        None
    }
}

/// Takes back what returns unhandled from a port of the peer's.
pub(super) trait TakesBack: Send + Sync {
    /// A message that has no answer is here again; those with one come back to who asked. All come in order.
    fn take_back(&self, message: Encoded);

    /// Nothing returns any more.
    fn settled(&self);
}

/// A node that this one has a link to.
pub(crate) struct Peer {
    /// Set when the link has started, before anything can come over it.
    link: OnceLock<Link>,
    node: NodeId,
    /// Where messages for this node's own actors are decoded.
    arbiter: ArbiterHandle,
    network: tokio::runtime::Handle,
    exports: Mutex<Exports>,
    remotes: Mutex<HashMap<u32, Weak<Remote>>>,
    holds: Mutex<Holds>,
    /// Who takes back what returns from the peer's ports.
    returns: Mutex<HashMap<u32, Arc<dyn TakesBack>>>,
    /// Who waits for the loss of the peer, or for the end of one of its actors.
    pub(super) vigil: Vigil<Watched>,
    /// How the peer's instance ended, if that was seen before the loss of the link.
    pub(super) exit: OnceLock<ExitReason>,
    /// Ends of this node's actors that the peer waits for, by its numbers.
    pub(super) watched: Mutex<HashMap<u64, EndWatch>>,
    events: Arc<dyn PeerEvents>,
}

/// References to the peer's own actors in messages that it has not read yet.
#[derive(Default)]
struct Holds {
    next: u64,
    by_number: HashMap<u64, Vec<Arc<Remote>>>,
}

/// What a signal is: for the peer's owner, or that a table of references was read.
const FOR_OWNER: u8 = 0;
const TAKEN: u8 = 1;

#[derive(Default)]
struct Exports {
    by_port: HashMap<u32, Export>,
    by_key: HashMap<ExportKey, u32>,
    /// Tells the entries of one port's lives apart.
    next: u64,
    /// How the actors behind the ports closed last ended, for who asks too late.
    ended: VecDeque<(u32, DownReason)>,
}

struct Export {
    actor: Arc<dyn Exportable>,
    key: ExportKey,
    life: u64,
    /// What is given back when the peer has no reference any more.
    keeper: Option<Keeper>,
}

/// An entry of the table of exports; dropped by whoever serves it, when it is done.
pub(crate) struct ExportGuard {
    peer: Weak<Peer>,
    port: u32,
    life: u64,
}

impl Peer {
    /// How long is waited for a backend's word on a lost node.
    pub(crate) const WORD: Duration = Duration::from_secs(1);

    /// Starts the link to a node that has joined. The inbox is that of its main port.
    pub(crate) fn start(
        joined: Joined,
        arbiter: ArbiterHandle,
        network: &tokio::runtime::Handle,
        events: Arc<dyn PeerEvents>,
    ) -> (Arc<Self>, Inbox) {
        let peer = Arc::new(Self {
            link: OnceLock::new(),
            node: joined.peer().clone(),
            arbiter,
            network: network.clone(),
            exports: Mutex::default(),
            remotes: Mutex::default(),
            holds: Mutex::default(),
            returns: Mutex::default(),
            vigil: Vigil::default(),
            exit: OnceLock::new(),
            watched: Mutex::default(),
            events,
        });
        let (link, inbox) = Link::start(joined, Arc::new(Upcalls(Arc::downgrade(&peer))), network);
        // Nothing else sets it.
        let _ = peer.link.set(link);
        (peer, inbox)
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.node
    }

    /// The link; `None` only while it is being started.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    pub(crate) fn max_message(&self) -> usize {
        self.link().map_or(0, Link::max_message)
    }

    /// Runs a task where messages for this node's actors are decoded.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static + Send) {
        self.arbiter.spawn(task);
    }

    /// Runs a task beside the link, which it must not hold up.
    pub(super) fn spawn_network(&self, task: impl Future<Output = ()> + 'static + Send) {
        drop(self.network.spawn(task));
    }

    /// The port of an actor of this node, a reference to it counted. `None` if the link is not there.
    pub(crate) fn export(self: &Arc<Self>, actor: Arc<dyn Exportable>) -> Option<u32> {
        let link = self.link()?;
        let key = actor.key();
        let mut exports = lock(&self.exports);
        if let Some(&port) = exports.by_key.get(&key)
            && exports.by_port.get(&port).is_some_and(|export| export.key == key)
            && link.export(port)
        {
            return Some(port);
        }
        let inbox = link.open_port();
        let port = inbox.port();
        let counted = link.export(port);
        let before = exports.insert(port, key, Arc::clone(&actor));
        drop(exports);
        drop(before);
        actor.serve(inbox, self);
        counted.then_some(port)
    }

    /// Opens a port for an actor that serves it itself, a reference to it counted.
    pub(crate) fn export_served(
        self: &Arc<Self>,
        actor: Arc<dyn Exportable>,
    ) -> Option<(Inbox, ExportGuard)> {
        let link = self.link()?;
        let mut exports = lock(&self.exports);
        let inbox = link.open_port();
        let port = inbox.port();
        if !link.export(port) {
            return None;
        }
        let (life, before) = exports.insert(port, actor.key(), actor);
        drop(exports);
        drop(before);
        Some((inbox, ExportGuard { peer: Arc::downgrade(self), port, life }))
    }

    /// Removes an actor from the table when its inbox has ended.
    pub(crate) fn guard(self: &Arc<Self>, port: u32) -> ExportGuard {
        let life = lock(&self.exports).by_port.get(&port).map_or(0, |export| export.life);
        ExportGuard { peer: Arc::downgrade(self), port, life }
    }

    /// Holds something until the peer can address none of these ports any more.
    pub(super) fn keep_exports(&self, ports: &[u32], keeper: &Keeper) {
        let mut exports = lock(&self.exports);
        for port in ports {
            if let Some(export) = exports.by_port.get_mut(port) {
                export.keeper.get_or_insert_with(|| Arc::clone(keeper));
            }
        }
    }

    /// Takes back a reference that was counted and not sent.
    pub(crate) fn unexport(&self, port: u32) {
        if let Some(link) = self.link() {
            link.unexport(port);
        }
    }

    /// The actor of this node behind a port.
    pub(super) fn exported(&self, port: u32) -> Option<Arc<dyn Exportable>> {
        lock(&self.exports).by_port.get(&port).map(|export| Arc::clone(&export.actor))
    }

    /// What became of the actor behind a port that is closed.
    pub(super) fn end_of(&self, port: u32) -> DownReason {
        let exports = lock(&self.exports);
        let known = exports.ended.iter().rev().find(|(ended, _)| *ended == port);
        known.map_or_else(
            || DownReason::NotStarted { message: "no actor is known at this address".to_owned() },
            |(_, reason)| reason.clone(),
        )
    }

    /// Tells the peer's owner something, ahead of all messages; false if it cannot be told.
    pub(crate) fn signal(&self, body: &[u8]) -> bool {
        self.link().is_some_and(|link| link.signal(&[&[FOR_OWNER], body].concat()))
    }

    /// Keeps references to the peer's own actors until it has read the table that they stand in.
    pub(super) fn hold(&self, references: Vec<Arc<Remote>>) -> u64 {
        let mut holds = lock(&self.holds);
        holds.next += 1;
        let number = holds.next;
        holds.by_number.insert(number, references);
        number
    }

    /// What is held under a number.
    pub(super) fn held(&self, hold: u64) -> Vec<Arc<Remote>> {
        lock(&self.holds).by_number.get(&hold).cloned().unwrap_or_default()
    }

    /// The lane to a port of the peer's that it has named once and that sends back what it does not handle; `None` on a lost link.
    pub(super) fn returning_lane(&self, port: u32, taker: Arc<dyn TakesBack>) -> Option<Lane> {
        let link = self.link()?;
        // In place before anything can come back.
        lock(&self.returns).insert(port, taker);
        let lane = link.returning_lane(port);
        if lane.is_none() {
            lock(&self.returns).remove(&port);
        }
        lane
    }

    /// The end of a hold: its message was read, or never sent.
    pub(super) fn let_go(&self, hold: u64) {
        // Dropped outside of the lock: the last reference to an actor may go with them.
        let references = lock(&self.holds).by_number.remove(&hold);
        drop(references);
    }

    /// This node has read a table that the peer holds references for.
    pub(super) fn taken(&self, hold: u64) {
        let mut signal = BytesMut::from(&[TAKEN][..]);
        varint::put(&mut signal, hold);
        if let Some(link) = self.link() {
            link.signal(&signal);
        }
    }

    /// How many actors of this node the peer can address.
    pub(crate) fn export_count(&self) -> usize {
        lock(&self.exports).by_port.len()
    }

    /// The actor of the peer's behind a port which it has named once. All references to it share one target.
    pub(crate) fn remote(self: &Arc<Self>, port: u32) -> Arc<Remote> {
        let Some(link) = self.link() else { return Remote::unconnected() };
        let lane = link.lane(port);
        let mut remotes = lock(&self.remotes);
        if let Some(known) = remotes.get(&port).and_then(Weak::upgrade) {
            drop(remotes);
            // `lane` goes here, and gives this naming back.
            return known;
        }
        let remote = Remote::connected(Arc::clone(self), lane);
        remotes.insert(port, Arc::downgrade(&remote));
        remote
    }

    /// Makes a target that had no lane yet the one of this port, which the peer has named once.
    pub(crate) fn adopt(self: &Arc<Self>, port: u32, remote: &Arc<Remote>) {
        let Some(link) = self.link() else { return };
        let lane = link.lane(port);
        let named = lock(&self.remotes).insert(port, Arc::downgrade(remote));
        if let Some(named) = named.and_then(|named| named.upgrade()) {
            named.equals(remote);
        }
        // A placed actor has a slot of its own, which keeps its runner up.
        remote.keep(&(Arc::new(()) as Keeper));
        remote.connect(Arc::clone(self), lane);
    }

    /// The target of the peer's actor behind a port, if there is one.
    pub(super) fn known(&self, port: u32) -> Option<Arc<Remote>> {
        lock(&self.remotes).get(&port).and_then(Weak::upgrade)
    }

    /// A target has been dropped.
    pub(super) fn forget(&self, port: u32) {
        let mut remotes = lock(&self.remotes);
        if remotes.get(&port).is_some_and(|remote| remote.strong_count() == 0) {
            remotes.remove(&port);
        }
    }
}

impl Exports {
    /// The most ends that are remembered.
    const MAX_ENDED: usize = 256;

    /// The entry's life, and the entry before it, which is to be dropped outside of the lock.
    fn insert(&mut self, port: u32, key: ExportKey, actor: Arc<dyn Exportable>) -> (u64, Option<Export>) {
        self.next += 1;
        let life = self.next;
        self.ended.retain(|(ended, _)| *ended != port);
        let before = self.by_port.insert(port, Export { actor, key, life, keeper: None });
        // One whose port was released and that is slow to see it.
        if let Some(before) = &before
            && self.by_key.get(&before.key) == Some(&port)
        {
            self.by_key.remove(&before.key);
        }
        self.by_key.insert(key, port);
        (life, before)
    }

    fn remove(&mut self, port: u32, life: u64) -> Option<Export> {
        self.by_port.get(&port).filter(|export| export.life == life)?;
        let export = self.by_port.remove(&port)?;
        if self.by_key.get(&export.key) == Some(&port) {
            self.by_key.remove(&export.key);
        }
        if let Some(reason) = export.actor.end() {
            if self.ended.len() >= Self::MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back((port, reason));
        }
        Some(export)
    }
}

impl Drop for ExportGuard {
    fn drop(&mut self) {
        let Some(peer) = self.peer.upgrade() else { return };
        // The actor's address is dropped outside of the lock: that may stop it.
        let gone = lock(&peer.exports).remove(self.port, self.life);
        drop(gone);
    }
}

/// What the link calls, on the network thread. Its owner keeps the peer for as long as it cares.
struct Upcalls(Weak<Peer>);

impl Service for Upcalls {
    fn signal(&self, body: &[u8]) {
        let Some(peer) = self.0.upgrade() else { return };
        match body.split_first() {
            Some((&FOR_OWNER, body)) => peer.events.signal(body),
            Some((&TAKEN, mut number)) => {
                if let Some(hold) = varint::take(&mut number) {
                    peer.let_go(hold);
                }
            }
            Some((&kind @ (WATCH | WATCH_NODE), body)) => peer.watch_wanted(kind, body),
            Some((&UNWATCH, body)) => peer.watch_unwanted(body),
            Some((&PLACED, body)) => peer.watch_placed(body),
            Some((&DOWN, body)) => peer.down(body),
            _ => tracing::warn!(peer = %peer.node, "a notice that this build does not know"),
        }
    }

    fn dead_letter(&self, port: u32, body: Bytes) {
        let Some(peer) = self.0.upgrade() else { return };
        tracing::debug!(target: "flame::dead_letter", peer = %peer.node, port, bytes = body.len(), "a message came for an actor that has gone");
        dead_letters::publish(None, Some(&peer.node), &SendError::Gone(DownReason::Stopped));
        let body = if port == MAIN_PORT { reference::body_of_ask(&body) } else { &body[..] };
        reference::discard(body, &peer);
    }

    fn unclaimed(&self, body: Bytes) {
        if let Some(peer) = self.0.upgrade() {
            reference::discard(&body, &peer);
        }
    }

    fn unsent(&self, port: u32, body: Bytes, is_tell: bool) {
        let Some(peer) = self.0.upgrade() else { return };
        if is_tell {
            tracing::debug!(target: "flame::dead_letter", peer = %peer.node, bytes = body.len(), "a message was not sent: its actor or its node has gone");
            let error = match peer.link().and_then(Link::lost) {
                Some(reason) => SendError::NodeLost { node: peer.node.clone(), reason },
                None => SendError::Gone(DownReason::Stopped),
            };
            dead_letters::publish(None, Some(&peer.node), &error);
        }
        match port {
            // Notices hold no references.
            MAIN_PORT if is_tell => {}
            MAIN_PORT => reference::retract(reference::body_of_ask(&body), &peer),
            _ => reference::retract(&body, &peer),
        }
    }

    fn returned(&self, port: u32, body: Bytes) {
        let Some(peer) = self.0.upgrade() else { return };
        let Some(taker) = lock(&peer.returns).get(&port).cloned() else {
            return self.unsent(port, body, true);
        };
        match reference::reclaim(&body, &peer) {
            Some(message) => taker.take_back(message),
            None => dead_letters::publish(None, Some(&peer.node), &SendError::Unreachable),
        }
    }

    fn settled(&self, port: u32) {
        let taker = self.0.upgrade().and_then(|peer| lock(&peer.returns).remove(&port));
        if let Some(taker) = taker {
            taker.settled();
        }
    }

    fn unaccounted(&self, port: u32, messages: u64, reason: &LinkLost) {
        let Some(peer) = self.0.upgrade().filter(|_| port != MAIN_PORT) else { return };
        tracing::debug!(target: "flame::dead_letter", peer = %peer.node, messages, "messages were under way to a node that is lost");
        let error = SendError::NodeLost { node: peer.node.clone(), reason: reason.clone() };
        dead_letters::publish_some(messages, Some(&peer.node), &error);
    }

    fn losing(&self) {
        if let Some(peer) = self.0.upgrade() {
            peer.events.losing();
        }
    }

    fn lost(&self, reason: &LinkLost) {
        let Some(peer) = self.0.upgrade() else { return };
        // What serves the exports sees its inbox end; the table is emptied here for those that are slow to.
        let exports = std::mem::take(&mut *lock(&peer.exports));
        let holds = std::mem::take(&mut *lock(&peer.holds));
        drop((exports, holds));
        let exit = peer.events.exit();
        peer.events.lost(reason);
        let remotes: Vec<_> = lock(&peer.remotes).values().filter_map(Weak::upgrade).collect();
        remotes.iter().for_each(|remote| remote.keep_no_more());
        peer.mourn(reason, exit);
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("node", &self.node).finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
