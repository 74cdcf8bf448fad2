//! Watching actors of the other node, and telling it of the ends of this node's.
//!
//! `WATCH number port` asks for the end of the actor behind a port, `WATCH_NODE number port` for the loss of its node, which may be a
//! third one. `PLACED number` says that it has come, `DOWN number reason` tells of the end, and `UNWATCH number` takes the question
//! back. The asking side picks the number. All are signals, which overtake messages, and may be overtaken: the actor is kept until
//! its watch is placed, or it could be gone, and forgotten, when that comes.

use std::sync::{Arc, Weak};

use bytes::BytesMut;
use flame_transport::{Lane, LinkLost, varint};

use super::{
    error::DownReason,
    peer::{Peer, lock},
};
use crate::{
    backend::{BoxFuture, ExitReason},
    watch::{EndWatch, Notify},
};

pub(super) const WATCH: u8 = 2;
pub(super) const UNWATCH: u8 = 3;
pub(super) const DOWN: u8 = 4;
pub(super) const WATCH_NODE: u8 = 5;
pub(super) const PLACED: u8 = 6;

/// What someone on this node watches.
pub(super) struct Watched {
    /// The port of the actor; `None` for its node.
    actor: Option<u32>,
    /// Keeps the actor until the watch is placed.
    lane: Option<Lane>,
}

impl Peer {
    /// Has someone told of the end of the peer's actor behind a port, or of the loss of the peer.
    pub(super) fn watch(self: &Arc<Self>, lane: &Lane, notify: Notify) -> EndWatch {
        self.vigil(notify, WATCH, lane)
    }

    /// Has someone told of the loss of the node that the actor behind a port is on: the peer, or one that it stands for.
    pub(super) fn watch_node(self: &Arc<Self>, lane: &Lane, notify: Notify) -> EndWatch {
        self.vigil(notify, WATCH_NODE, lane)
    }

    /// Answers a question of the peer's.
    pub(crate) fn tell_down(&self, number: u64, reason: &DownReason) {
        let known = lock(&self.watched).remove(&number);
        if known.is_some() {
            self.send_signal(DOWN, number, &reason.encode());
        }
    }

    /// The peer wants to hear of an end, or of the loss of a node.
    pub(super) fn watch_wanted(self: &Arc<Self>, kind: u8, body: &[u8]) {
        let mut rest = body;
        let (Some(number), Some(port)) = (varint::take(&mut rest), varint::take(&mut rest)) else { return };
        let Ok(port) = u32::try_from(port) else { return };
        self.place_watch(kind, number, port);
        self.send_signal(PLACED, number, &[]);
    }

    fn place_watch(self: &Arc<Self>, kind: u8, number: u64, port: u32) {
        let notify = Notify::Node(Arc::downgrade(self), number);
        // In place before the actor is asked, which may tell at once.
        lock(&self.watched).insert(number, Box::new(|| {}));
        let end = match (self.exported(port), kind) {
            (Some(actor), WATCH_NODE) => match actor.relayed() {
                Some(actor) => actor.watch_node(notify),
                // It is on this node, whose loss the peer sees.
                None => return,
            },
            (Some(actor), _) => actor.watch(self, notify),
            (None, WATCH_NODE) => match self.end_of(port) {
                lost @ DownReason::NodeLost { .. } => return notify.tell(lost),
                _ => return,
            },
            (None, _) => return notify.tell(self.end_of(port)),
        };
        match lock(&self.watched).get_mut(&number) {
            Some(place) => *place = end,
            None => end(),
        }
    }

    pub(super) fn watch_unwanted(&self, mut body: &[u8]) {
        let end = varint::take(&mut body).and_then(|number| lock(&self.watched).remove(&number));
        if let Some(end) = end {
            end();
        }
    }

    /// The peer has placed a watch.
    pub(super) fn watch_placed(&self, mut body: &[u8]) {
        let number = varint::take(&mut body);
        let placed = number.and_then(|number| self.vigil.with(number, |watched| watched.lane.take()));
        // Outside of the lock: it may be the last reference.
        drop(placed);
    }

    /// The peer tells of an end.
    pub(super) fn down(&self, mut body: &[u8]) {
        let told = varint::take(&mut body).and_then(|number| self.vigil.take(number));
        let Some((watched, notify)) = told else { return };
        // Its lane is closed by a message, which this has overtaken.
        if let Some(actor) = watched.actor.and_then(|port| self.known(port)) {
            actor.end();
        }
        notify.tell(DownReason::decode(body));
    }

    /// The peer's instance has ended, and its link does not know yet: whoever waits on it is told now.
    pub(crate) fn exited(&self, exit: &ExitReason) {
        let _ = self.exit.set(exit.clone());
        if let Some(link) = self.link() {
            link.abort(&format!("the runner {exit}"));
        }
    }

    /// The peer is lost. Its parent waits a moment for the backend's word on it.
    pub(super) fn mourn(self: &Arc<Self>, lost: &LinkLost, exit: Option<BoxFuture<ExitReason>>) {
        let watched = std::mem::take(&mut *lock(&self.watched));
        watched.into_values().for_each(|end| end());
        let exit = match (self.exit.get(), exit) {
            (None, Some(exit)) => exit,
            (known, _) => return self.vigil.end(&self.loss(lost, known.cloned())),
        };
        let (peer, lost) = (Arc::clone(self), lost.clone());
        self.spawn(async move {
            let exit = tokio::time::timeout(Self::WORD, exit).await.ok();
            peer.vigil.end(&peer.loss(&lost, exit));
        });
    }

    pub(crate) fn loss(&self, lost: &LinkLost, exit: Option<ExitReason>) -> DownReason {
        let node = self.node();
        let message = match &exit {
            Some(exit) => format!("{node} {exit}"),
            None => format!("{node}: {lost}"),
        };
        DownReason::NodeLost { message, exit }
    }

    fn vigil(self: &Arc<Self>, notify: Notify, kind: u8, lane: &Lane) -> EndWatch {
        let watched = Watched { actor: (kind == WATCH).then_some(lane.port()), lane: Some(lane.clone()) };
        let Some(number) = self.vigil.add(watched, notify) else { return Box::new(|| {}) };
        let mut wanted = BytesMut::new();
        varint::put(&mut wanted, u64::from(lane.port()));
        self.send_signal(kind, number, &wanted);
        let peer = Arc::downgrade(self);
        Box::new(move || end_vigil(&peer, number))
    }

    fn send_signal(&self, kind: u8, number: u64, rest: &[u8]) {
        let mut signal = BytesMut::from(&[kind][..]);
        varint::put(&mut signal, number);
        signal.extend_from_slice(rest);
        if let Some(link) = self.link() {
            // On a lost link the loss is the answer to all of it.
            link.signal(&signal);
        }
    }
}

fn end_vigil(peer: &Weak<Peer>, number: u64) {
    let Some(peer) = peer.upgrade() else { return };
    if peer.vigil.take(number).is_some() {
        peer.send_signal(UNWATCH, number, &[]);
    }
}
