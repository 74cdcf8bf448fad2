//! The requests that wait: first come, first served, in one line a class and one for each runner that is required.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::event::{Affinity, Key, Request};
use crate::pool::ids::{RequestId, ResourceClass, RunnerSeq};

/// A request and its place in the order of arrival, which it keeps when it is queued again.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) arrival: u64,
    pub(super) since: Instant,
}

impl Entry {
    pub(super) fn key(&self) -> Option<&Key> {
        self.request.affinity.as_ref().map(Affinity::key)
    }

    /// The key, if only the runner that serves it will do.
    pub(super) fn required(&self) -> Option<&Key> {
        match &self.request.affinity {
            Some(Affinity::Require(key)) => Some(key),
            _ => None,
        }
    }

    pub(super) fn place(&self) -> Place {
        (self.arrival, self.request.id)
    }
}

/// Where a request stands in its line.
pub(super) type Place = (u64, RequestId);

/// All waiting requests.
#[derive(Default)]
pub(super) struct Queue {
    waiters: HashMap<RequestId, Waiter>,
    /// Those that any runner of their class can serve.
    open: BTreeMap<ResourceClass, BTreeSet<Place>>,
    /// Those that only this runner can serve, because it has the key that they require.
    pinned: BTreeMap<RunnerSeq, BTreeSet<Place>>,
    /// Those of `open` that require a key which no runner has yet: one runner will have to serve all of one key.
    unbound: HashMap<(ResourceClass, Key), BTreeSet<Place>>,
    /// How many of `unbound` exceed one runner's slots, by class: more runners would not help them.
    surplus: BTreeMap<ResourceClass, u64>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    slots: u64,
}

struct Waiter {
    entry: Entry,
    pinned: Option<RunnerSeq>,
}

impl Queue {
    /// A queue for runners with so many slots each.
    pub(super) fn new(slots: u32) -> Self {
        Self { slots: u64::from(slots), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn contains(&self, request: RequestId) -> bool {
        self.waiters.contains_key(&request)
    }

    pub(super) fn get(&self, request: RequestId) -> Option<&Entry> {
        self.waiters.get(&request).map(|waiter| &waiter.entry)
    }

    /// Waits in the line of its class, or for `pinned` alone.
    pub(super) fn push(&mut self, entry: Entry, pinned: Option<RunnerSeq>) {
        let id = entry.request.id;
        if let Some(deadline) = entry.request.deadline {
            self.deadlines.insert((deadline, id));
        }
        self.enter_line(&entry, pinned);
        self.waiters.insert(id, Waiter { entry, pinned });
    }

    /// Takes a request out, with the runner it was pinned to.
    pub(super) fn take(&mut self, request: RequestId) -> Option<(Entry, Option<RunnerSeq>)> {
        let Waiter { entry, pinned } = self.waiters.remove(&request)?;
        if let Some(deadline) = entry.request.deadline {
            self.deadlines.remove(&(deadline, request));
        }
        self.leave_line(&entry, pinned);
        Some((entry, pinned))
    }

    /// The first of all to fail, if that is at or before `now`.
    pub(super) fn overdue(&self, now: Instant) -> Option<RequestId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|&(_, id)| id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// The classes with open lines, with the first of each.
    pub(super) fn open_heads(&self) -> impl Iterator<Item = (ResourceClass, Place)> {
        self.open.iter().filter_map(|(&class, line)| line.first().map(|&place| (class, place)))
    }

    /// The first of a class's open line.
    pub(super) fn open_head(&self, class: ResourceClass) -> Option<Place> {
        self.open.get(&class)?.first().copied()
    }

    /// The first that waits for this runner alone.
    pub(super) fn pinned_head(&self, runner: RunnerSeq) -> Option<Place> {
        self.pinned.get(&runner)?.first().copied()
    }

    /// All of a class's open line, in order.
    pub(super) fn open_line(&self, class: ResourceClass) -> impl Iterator<Item = &Entry> {
        self.open.get(&class).into_iter().flatten().filter_map(|&(_, id)| self.get(id))
    }

    /// Any request at all, for emptying the queue in order of arrival within a line.
    pub(super) fn any(&self) -> Option<RequestId> {
        let open = self.open.values().filter_map(|line| line.first());
        let pinned = self.pinned.values().filter_map(|line| line.first());
        open.chain(pinned).min().map(|&(_, id)| id)
    }

    /// How many slots new runners of a class could be used for.
    pub(super) fn demand(&self, class: ResourceClass) -> u64 {
        let waiting = self.open.get(&class).map_or(0, |line| line.len() as u64);
        waiting - self.surplus.get(&class).copied().unwrap_or(0)
    }

    /// How many wait for one particular runner.
    pub(super) fn pinned_len(&self) -> usize {
        self.pinned.values().map(BTreeSet::len).sum()
    }

    /// `runner` has taken the key: those that require it wait for that runner alone. Returns how many.
    pub(super) fn pin(&mut self, class: ResourceClass, key: &Key, runner: RunnerSeq) -> usize {
        if self.unbound.is_empty() {
            return 0;
        }
        let places = self.unbound.get(&(class, key.clone())).cloned().unwrap_or_default();
        for &(_, id) in &places {
            self.move_to(id, Some(runner));
        }
        places.len()
    }

    /// `runner` takes no more work: those that waited for it alone are open again, in their old places.
    pub(super) fn unpin(&mut self, runner: RunnerSeq) {
        let places = self.pinned.get(&runner).cloned().unwrap_or_default();
        for &(_, id) in &places {
            self.move_to(id, None);
        }
    }

    fn move_to(&mut self, request: RequestId, pinned: Option<RunnerSeq>) {
        let Some(Waiter { entry, pinned: before }) = self.waiters.remove(&request) else { return };
        self.leave_line(&entry, before);
        self.enter_line(&entry, pinned);
        self.waiters.insert(request, Waiter { entry, pinned });
    }

    fn enter_line(&mut self, entry: &Entry, pinned: Option<RunnerSeq>) {
        if let Some(runner) = pinned {
            self.pinned.entry(runner).or_default().insert(entry.place());
            return;
        }
        let class = entry.request.class;
        self.open.entry(class).or_default().insert(entry.place());
        if let Some(key) = entry.required() {
            let same_key = self.unbound.entry((class, key.clone())).or_default();
            same_key.insert(entry.place());
            if same_key.len() as u64 > self.slots {
                *self.surplus.entry(class).or_default() += 1;
            }
        }
    }

    fn leave_line(&mut self, entry: &Entry, pinned: Option<RunnerSeq>) {
        if let Some(runner) = pinned {
            remove_place(&mut self.pinned, &runner, entry.place());
            return;
        }
        let class = entry.request.class;
        remove_place(&mut self.open, &class, entry.place());
        let Some(key) = entry.required() else { return };
        let name = (class, key.clone());
        let Some(same_key) = self.unbound.get_mut(&name) else { return };
        if same_key.len() as u64 > self.slots
            && let Some(surplus) = self.surplus.get_mut(&class)
        {
            *surplus -= 1;
            if *surplus == 0 {
                self.surplus.remove(&class);
            }
        }
        same_key.remove(&entry.place());
        if same_key.is_empty() {
            self.unbound.remove(&name);
        }
    }
}

fn remove_place<K: Ord>(lines: &mut BTreeMap<K, BTreeSet<Place>>, line: &K, place: Place) {
    let Some(places) = lines.get_mut(line) else { return };
    places.remove(&place);
    if places.is_empty() {
        lines.remove(line);
    }
}
