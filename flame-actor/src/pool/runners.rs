//! What a pool knows of its runners.

use std::{collections::HashMap, sync::Arc};

use flame_transport::NodeId;

use super::machine::RunnerSeq;
use crate::{backend::Instance, remote::Peer};

/// The runners that boot, serve or end, and the children on them, each with its seat `S`.
pub(super) struct Runners<S> {
    by_number: HashMap<RunnerSeq, Runner<S>>,
}

struct Runner<S> {
    node: NodeId,
    instance: Option<Arc<dyn Instance>>,
    peer: Option<Arc<Peer>>,
    /// Each child's slot, given back when it has ended.
    children: HashMap<u64, S>,
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

    pub(super) fn instance(&self, runner: RunnerSeq) -> Option<Arc<dyn Instance>> {
        self.by_number.get(&runner)?.instance.clone()
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
