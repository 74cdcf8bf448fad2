//! What a pool knows of its runners.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use flame_transport::{LinkLost, NodeId, codec};

use super::{
    core::{Core, Seat},
    machine::{Event, RunnerSeq},
};
use crate::{
    backend::Instance,
    host::protocol::ToParent,
    remote::{Peer, PeerEvents},
};

/// The runners that boot, serve or end, and the children on them.
#[derive(Default)]
pub(super) struct Runners {
    by_number: HashMap<RunnerSeq, Runner>,
}

struct Runner {
    node: NodeId,
    instance: Option<Arc<dyn Instance>>,
    peer: Option<Arc<Peer>>,
    /// Each child's slot, given back when it has ended.
    children: HashMap<u64, Seat>,
    /// It must go as soon as its instance is known.
    condemned: bool,
}

/// A runner that takes work.
#[derive(Clone)]
pub(super) struct Boarding {
    pub(super) peer: Arc<Peer>,
    pub(super) instance: Arc<dyn Instance>,
}

impl Runners {
    /// A runner is being booted.
    pub(super) fn boot(&mut self, runner: RunnerSeq, node: NodeId) {
        let entry = Runner { node, instance: None, peer: None, children: HashMap::new(), condemned: false };
        self.by_number.insert(runner, entry);
    }

    /// A runner's instance is there. True if it must go at once.
    pub(super) fn created(&mut self, runner: RunnerSeq, instance: &Arc<dyn Instance>) -> bool {
        match self.by_number.get_mut(&runner) {
            Some(entry) => {
                entry.instance = Some(Arc::clone(instance));
                entry.condemned
            }
            None => true,
        }
    }

    /// A runner has joined.
    pub(super) fn joined(&mut self, runner: RunnerSeq, peer: &Arc<Peer>) {
        if let Some(entry) = self.by_number.get_mut(&runner) {
            entry.peer = Some(Arc::clone(peer));
        }
    }

    /// Whether a runner can be given work: its link and its instance are there.
    pub(super) fn boarding(&self, runner: RunnerSeq) -> Option<Boarding> {
        let entry = self.by_number.get(&runner)?;
        Some(Boarding { peer: entry.peer.clone()?, instance: entry.instance.clone()? })
    }

    pub(super) fn peer(&self, runner: RunnerSeq) -> Option<Arc<Peer>> {
        self.by_number.get(&runner)?.peer.clone()
    }

    /// How many actors of this node the runners can address.
    pub(super) fn exports(&self) -> usize {
        self.by_number.values().filter_map(|entry| entry.peer.as_ref()).map(|peer| peer.export_count()).sum()
    }

    /// A runner must go: its instance, if it is there already, and who it is.
    pub(super) fn condemn(&mut self, runner: RunnerSeq) -> Option<(NodeId, Option<Arc<dyn Instance>>)> {
        let entry = self.by_number.get_mut(&runner)?;
        entry.condemned = true;
        Some((entry.node.clone(), entry.instance.clone()))
    }

    /// A runner is gone.
    #[must_use = "the seats are given back outside of the pool's lock"]
    pub(super) fn forget(&mut self, runner: RunnerSeq) -> Vec<Seat> {
        self.by_number.remove(&runner).map(|entry| entry.children.into_values().collect()).unwrap_or_default()
    }

    /// A child holds its seat from now on. False, with the seat, if its runner is lost already.
    pub(super) fn seat_child(&mut self, child: u64, seat: Seat) -> Result<(), Seat> {
        match self.by_number.get_mut(&seat.runner) {
            Some(entry) if entry.peer.is_some() => {
                entry.children.insert(child, seat);
                Ok(())
            }
            _ => Err(seat),
        }
    }

    /// A child has ended.
    #[must_use = "the seat is given back outside of the pool's lock"]
    pub(super) fn child_ended(&mut self, runner: RunnerSeq, child: u64) -> Option<Seat> {
        self.by_number.get_mut(&runner)?.children.remove(&child)
    }

    /// A runner's link is lost, and its children with it.
    #[must_use = "the seats are given back outside of the pool's lock"]
    pub(super) fn lost(&mut self, runner: RunnerSeq) -> Vec<Seat> {
        let Some(entry) = self.by_number.get_mut(&runner) else { return Vec::new() };
        entry.peer = None;
        entry.children.drain().map(|(_, seat)| seat).collect()
    }
}

/// What a pool hears of one runner.
pub(super) struct RunnerEvents {
    pub(super) core: Weak<Core>,
    pub(super) runner: RunnerSeq,
}

impl PeerEvents for RunnerEvents {
    fn signal(&self, body: &[u8]) {
        let Some(core) = self.core.upgrade() else { return };
        match codec::decode(body) {
            Ok(ToParent::Ended { child, reason }) => {
                tracing::debug!(target: "flame::pool", runner = %self.runner, child, %reason, "a child has ended");
                let seat = core.runners(|runners| runners.child_ended(self.runner, child));
                drop(seat);
            }
            Ok(ToParent::Draining) => core.feed(Event::Draining(self.runner)),
            Ok(ToParent::Log(_)) => {}
            Err(error) => {
                tracing::warn!(target: "flame::pool", %error, "a notice of a runner cannot be decoded")
            }
        }
    }

    fn lost(&self, reason: &LinkLost) {
        let Some(core) = self.core.upgrade() else { return };
        tracing::debug!(target: "flame::pool", runner = %self.runner, %reason, "the link to a runner ended");
        let seats = core.runners(|runners| runners.lost(self.runner));
        // First the loss: the slots that come back must not be given to anyone.
        core.feed(Event::Lost(self.runner));
        drop(seats);
    }
}
