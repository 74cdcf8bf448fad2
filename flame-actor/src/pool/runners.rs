//! What a pool knows of its runners.

use std::{collections::HashMap, sync::Arc};

use flame_transport::NodeId;

use super::machine::RunnerSeq;
use crate::{
    backend::{Instance, Resources},
    remote::Peer,
};

/// The runners that boot, serve or end, and the children on them, each with its seat `S`.
pub(super) struct Runners<S> {
    by_number: HashMap<RunnerSeq, Runner<S>>,
}

struct Runner<S> {
    node: NodeId,
    /// Kept, so that they stay one class for as long as a runner has them.
    _resources: Arc<Resources>,
    instance: Option<Arc<dyn Instance>>,
    peer: Option<Arc<Peer>>,
    /// Each child's slot, given back when it has ended.
    children: HashMap<u64, S>,
    /// Slots in use, those included whose work is still on its way there.
    seats: u32,
    /// It is to be told to go when no slot is in use.
    retiring: bool,
    /// It must go as soon as its instance is known.
    condemned: bool,
}

/// A runner that takes work.
#[derive(Clone)]
pub(super) struct Boarding {
    pub(super) peer: Arc<Peer>,
    pub(super) instance: Arc<dyn Instance>,
}

impl<S> Runners<S> {
    pub(super) fn new() -> Self {
        Self { by_number: HashMap::new() }
    }

    /// A runner is being booted.
    pub(super) fn boot(&mut self, runner: RunnerSeq, node: NodeId, resources: Arc<Resources>) {
        let entry = Runner {
            node,
            _resources: resources,
            instance: None,
            peer: None,
            children: HashMap::new(),
            seats: 0,
            retiring: false,
            condemned: false,
        };
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

    pub(super) fn instance(&self, runner: RunnerSeq) -> Option<Arc<dyn Instance>> {
        self.by_number.get(&runner)?.instance.clone()
    }

    pub(super) fn peer(&self, runner: RunnerSeq) -> Option<Arc<Peer>> {
        self.by_number.get(&runner)?.peer.clone()
    }

    /// A slot of a runner is in use.
    pub(super) fn occupy(&mut self, runner: RunnerSeq) {
        if let Some(entry) = self.by_number.get_mut(&runner) {
            entry.seats += 1;
        }
    }

    /// A slot of a runner is free again. True if the runner is now to be told to go.
    pub(super) fn vacate(&mut self, runner: RunnerSeq) -> bool {
        let Some(entry) = self.by_number.get_mut(&runner) else { return false };
        entry.seats = entry.seats.saturating_sub(1);
        entry.seats == 0 && entry.retiring
    }

    /// A runner is to go when no slot is in use. True if that is now.
    pub(super) fn retire(&mut self, runner: RunnerSeq) -> bool {
        let Some(entry) = self.by_number.get_mut(&runner) else { return false };
        entry.retiring = true;
        entry.seats == 0
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
    pub(super) fn forget(&mut self, runner: RunnerSeq) -> Vec<S> {
        self.by_number.remove(&runner).map(|entry| entry.children.into_values().collect()).unwrap_or_default()
    }

    /// A child holds its seat from now on. The seat comes back if its runner is lost already.
    pub(super) fn seat_child(&mut self, runner: RunnerSeq, child: u64, seat: S) -> Result<(), S> {
        match self.by_number.get_mut(&runner) {
            Some(entry) if entry.peer.is_some() => {
                entry.children.insert(child, seat);
                Ok(())
            }
            _ => Err(seat),
        }
    }

    /// A child has ended.
    #[must_use = "the seat is given back outside of the pool's lock"]
    pub(super) fn child_ended(&mut self, runner: RunnerSeq, child: u64) -> Option<S> {
        self.by_number.get_mut(&runner)?.children.remove(&child)
    }

    /// A runner's link is lost, and its children with it.
    #[must_use = "the seats are given back outside of the pool's lock"]
    pub(super) fn lost(&mut self, runner: RunnerSeq) -> Vec<S> {
        let Some(entry) = self.by_number.get_mut(&runner) else { return Vec::new() };
        entry.peer = None;
        entry.children.drain().map(|(_, seat)| seat).collect()
    }
}
