//! The judge: what each action may be, and what must be true at each moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::world::{Child, LEASE, Letter, Snapshot, Verdict, World};
use crate::{
    remote::DownReason,
    supervise::{
        machine::{Action, Event, Incarnation},
        policy::{Between, Restart},
    },
};

/// What was seen so far.
#[derive(Default)]
pub(super) struct Book {
    /// On its way: neither delivered nor refused.
    pub(super) sent: BTreeSet<Letter>,
    delivered: BTreeMap<Letter, Incarnation>,
    handled: BTreeSet<Letter>,
    /// The last of each sender that was handled by one that served.
    last_handled: BTreeMap<usize, u64>,
    last_delivered: BTreeMap<usize, u64>,
    /// That wait to hear.
    pub(super) watching: BTreeSet<u64>,
    pub(super) started: BTreeSet<Incarnation>,
    restarts: Vec<Instant>,
    over: Option<DownReason>,
    newest: Snapshot,
    arrived: BTreeMap<Incarnation, u64>,
    /// The last snapshot of an incarnation that ended in order.
    pub(super) promised: Option<(Incarnation, Snapshot)>,
    /// The owner wants its end.
    stopping: bool,
}

impl Book {
    pub(super) fn arrived(&mut self, incarnation: Incarnation, snapshot: Snapshot) {
        self.newest = self.newest.max(snapshot);
        *self.arrived.entry(incarnation).or_default() += 1;
    }

    pub(super) fn arrived_of(&self, incarnation: Incarnation) -> u64 {
        self.arrived.get(&incarnation).copied().unwrap_or_default()
    }
}

impl World {
    pub(super) fn judge(
        &mut self,
        event: &Event<Letter, Snapshot>,
        actions: &[Action<Letter, u64, Snapshot>],
    ) -> Verdict {
        let present = self.present();
        match event {
            Event::Started(incarnation) if *incarnation == present => {
                self.book.started.insert(*incarnation);
            }
            Event::Stop { .. } => self.book.stopping = true,
            _ => {}
        }
        for action in actions {
            if let Action::Report { reason, .. } = action {
                self.judge_restart(&reason.clone())?;
            }
        }
        if let Some(reason) = self.machine.gone() {
            let first = self.book.over.is_none();
            self.book.over.get_or_insert(reason.clone());
            if first {
                self.judge_end(&reason.clone())?;
            }
        }
        Ok(())
    }

    /// At every moment at most one incarnation serves.
    pub(super) fn judge_now(&self) -> Verdict {
        let serving: Vec<Incarnation> = self
            .nodes
            .iter()
            .filter(|node| node.alive && !node.paused && node.child == Child::Running)
            .filter(|node| !node.expired && self.now < node.granted + LEASE)
            .map(|node| node.incarnation)
            .collect();
        self.require(serving.len() <= 1, || format!("several serve: {serving:?}"))?;
        self.judge_queue()
    }

    /// Nor may one that comes find another that still could.
    pub(super) fn judge_start(&mut self, incarnation: Incarnation, from: Snapshot) -> Verdict {
        let next = self.present().0 + 1;
        self.require(incarnation.0 == next, || format!("{incarnation:?} started, not {next}"))?;
        self.require(self.book.over.is_none(), || "started after its end".into())?;
        let able = self.nodes.iter().find(|node| {
            node.alive && node.child != Child::Ended && !node.expired && self.now < node.granted + LEASE
        });
        let able = able.map(|node| node.incarnation);
        self.require(able.is_none(), || format!("{incarnation:?} starts while {able:?} may serve"))?;
        let newest = self.book.newest;
        self.require(from == newest, || format!("it starts from {from}, and {newest} had come"))?;
        if let Some((ended, last)) = self.book.promised.take()
            && ended == self.present()
            && !self.nodes.last().is_some_and(|node| node.lost)
        {
            self.require(from == last, || format!("it starts from {from}, and {last} was published"))?;
        }
        Ok(())
    }

    pub(super) fn delivered(&mut self, letter: Letter, to: Incarnation) -> Verdict {
        let known = self.book.sent.remove(&letter);
        self.require(known, || format!("{letter:?} is delivered, which was delivered or refused before"))?;
        let present = self.present();
        self.require(to == present, || {
            format!("{letter:?} is delivered to {to:?}, and {present:?} is there")
        })?;
        let last = self.book.last_delivered.insert(letter.0, letter.1);
        self.require(last.is_none_or(|last| last < letter.1), || format!("{letter:?} is overtaken"))?;
        self.book.delivered.insert(letter, to);
        Ok(())
    }

    /// What was delivered has returned: it is on its way again, and before what was delivered behind it.
    pub(super) fn returned(&mut self, letter: Letter) -> Verdict {
        let known = self.book.delivered.remove(&letter).is_some() && !self.book.handled.contains(&letter);
        self.require(known, || format!("{letter:?} returns, which was not delivered, or was handled"))?;
        self.book.sent.insert(letter);
        self.trace.push("returned".into());
        if let Some(last) = self.book.last_delivered.get(&letter.0).copied()
            && last >= letter.1
        {
            match letter.1.checked_sub(1) {
                Some(before) => self.book.last_delivered.insert(letter.0, before),
                None => self.book.last_delivered.remove(&letter.0),
            };
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, letter: Letter) -> Verdict {
        let known = self.book.sent.remove(&letter);
        self.require(known, || format!("{letter:?} is refused, which was delivered or refused before"))
    }

    /// An incarnation handles a message; a zombie does so after its lease, and nobody hears of what it does.
    pub(super) fn handled(&mut self, node: usize, letter: Letter, zombie: bool) -> Verdict {
        let to = self.nodes[node].incarnation;
        let delivered = self.book.delivered.get(&letter) == Some(&to);
        self.require(delivered, || format!("{letter:?} is handled by {to:?}, which did not get it"))?;
        let first = self.book.handled.insert(letter);
        self.require(first, || format!("{letter:?} is handled twice"))?;
        if !zombie {
            let last = self.book.last_handled.insert(letter.0, letter.1);
            self.require(last.is_none_or(|last| last < letter.1), || format!("{letter:?} is out of order"))?;
        }
        Ok(())
    }

    pub(super) fn notified(&mut self, watcher: u64, reason: &DownReason) -> Verdict {
        let waits = self.book.watching.remove(&watcher);
        self.require(waits, || format!("watcher {watcher} hears twice"))?;
        let over = self.machine.gone();
        self.require(over == Some(reason), || {
            format!("watcher {watcher} hears {reason}, and {over:?} is true")
        })
    }

    pub(super) fn judge_rest(&self) -> Verdict {
        let left = self.book.sent.len();
        match &self.book.over {
            Some(_) => {
                let deaf = &self.book.watching;
                self.require(deaf.is_empty(), || format!("watchers {deaf:?} never hear"))?;
            }
            None => {
                let serving = self.machine.serving();
                self.require(serving == Some(self.present()), || "the child is neither up nor gone".into())?;
                let watching = &self.book.watching;
                let same = *watching == self.watchers_left();
                self.require(same, || format!("watchers {watching:?} are forgotten"))?;
            }
        }
        self.require(left == 0, || format!("{left} messages are neither delivered nor refused"))
    }

    fn judge_restart(&mut self, reason: &DownReason) -> Verdict {
        let wanted = match self.policy.restart {
            Restart::Temporary => false,
            Restart::Transient => *reason != DownReason::Stopped,
            Restart::Permanent => true,
        };
        let meant = matches!(reason, DownReason::Shutdown { .. } | DownReason::Deadline { .. });
        self.require(wanted && !meant, || format!("it is started again after {reason:?}"))?;
        self.book.restarts.push(self.now);
        let (most, within) = self.policy.intensity;
        let recent = self.recent(within);
        self.require(recent <= most as usize, || format!("{recent} restarts within {within:?}"))
    }

    /// It is gone for good: by its policy, its intensity, or because it never started.
    fn judge_end(&self, reason: &DownReason) -> Verdict {
        let (most, within) = self.policy.intensity;
        let spent = self.recent(within) >= most as usize;
        let first = self.present() == Incarnation(1) && !self.book.started.contains(&Incarnation(1));
        let meant = matches!(reason, DownReason::Shutdown { .. } | DownReason::Deadline { .. });
        let done = match self.policy.restart {
            Restart::Temporary => true,
            Restart::Transient => *reason == DownReason::Stopped,
            Restart::Permanent => false,
        };
        self.require(spent || first || meant || done || self.book.stopping, || {
            format!("it is given up after {reason:?}")
        })
    }

    fn recent(&self, within: std::time::Duration) -> usize {
        self.book.restarts.iter().filter(|&&at| self.now - at < within).count()
    }

    /// Whether the end of the present incarnation was told.
    fn is_between(&self) -> bool {
        self.machine.gone().is_some() || self.machine.next_wake().is_some()
    }

    /// What may wait does not grow beyond its bound.
    fn judge_queue(&self) -> Verdict {
        let most = match self.policy.between {
            _ if self.present() <= Incarnation(1) => return Ok(()),
            Between::Queue(most) => most,
            Between::Refuse => 0,
        };
        // Those that returned wait for the word on their incarnation's end, also where nothing else does.
        if self.policy.between == Between::Refuse && !self.is_between() {
            return Ok(());
        }
        let waiting = self.book.sent.len();
        self.require(waiting <= most, || format!("{waiting} messages wait, and {most} may"))
    }
}
