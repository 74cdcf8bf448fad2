//! What a pool knows of its runners.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use flame_transport::NodeId;

use super::{
    boot_report::{BootCause, BootPhase, BootReport},
    machine::{BootFailure, RunnerSeq},
};
use crate::{
    backend::{Instance, Resources},
    remote::{Charge, Peer},
};

/// The runners that boot, serve or end, and the children on them, each with its seat `S`.
pub(super) struct Runners<S> {
    by_number: HashMap<RunnerSeq, Runner<S>>,
    /// Who is told of the supervised children, by child.
    charges: HashMap<u64, (RunnerSeq, Charge)>,
    /// No boot is given up before this.
    boots_until: Option<Instant>,
}

struct Runner<S> {
    node: NodeId,
    /// Kept, so that they stay one class for as long as a runner has them.
    _resources: Arc<Resources>,
    /// When its boot is given up.
    until: Option<Instant>,
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
        Self { by_number: HashMap::new(), charges: HashMap::new(), boots_until: None }
    }

    /// A runner is being booted.
    pub(super) fn boot(
        &mut self,
        runner: RunnerSeq,
        node: NodeId,
        resources: Arc<Resources>,
        until: Option<Instant>,
    ) {
        self.boots_until = [self.boots_until, until].into_iter().flatten().min();
        let entry = Runner {
            node,
            _resources: resources,
            until,
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
            entry.until = None;
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

    /// The boots whose time is over and which nobody has given up yet, with all that is known, and when that was.
    pub(super) fn overdue_boots(
        &mut self,
        now: Instant,
        limit: Duration,
    ) -> Vec<(RunnerSeq, BootFailure, Instant)> {
        if self.boots_until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        let mut overdue = Vec::new();
        for (&runner, entry) in &mut self.by_number {
            let Some(due) = entry.until.filter(|&until| until <= now) else { continue };
            entry.until = None;
            let (phase, log) = match &entry.instance {
                Some(instance) => (BootPhase::Joining, instance.log_tail()),
                None => (BootPhase::Creating, Vec::new()),
            };
            let report = BootReport { phase, cause: BootCause::TimedOut(limit), log };
            overdue.push((runner, BootFailure(Arc::new(report)), due));
        }
        self.boots_until = self.by_number.values().filter_map(|entry| entry.until).min();
        overdue.sort_by_key(|(_, _, due)| *due);
        overdue
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

    /// A child is an incarnation of a supervised one, until it is [discharged](Self::discharge).
    pub(super) fn charge(&mut self, runner: RunnerSeq, child: u64, charge: Charge) {
        self.charges.insert(child, (runner, charge));
    }

    pub(super) fn discharge(&mut self, child: u64) {
        self.charges.remove(&child);
    }

    /// Whom to tell of a child of a runner.
    pub(super) fn charge_of(&self, runner: RunnerSeq, child: u64) -> Option<Charge> {
        self.charges.get(&child).filter(|(on, _)| *on == runner).map(|(_, charge)| charge.clone())
    }

    /// Whom to tell that a runner goes.
    pub(super) fn charges_on(&self, runner: RunnerSeq) -> Vec<Charge> {
        self.charges.values().filter(|(on, _)| *on == runner).map(|(_, charge)| charge.clone()).collect()
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
