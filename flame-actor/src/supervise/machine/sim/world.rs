//! What is outside the machine: senders, watchers, links, a backend, and nodes with their clocks and leases.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Random, Step};
use crate::{
    remote::DownReason,
    supervise::{
        machine::{Action, Event, Incarnation, Machine, WatcherId},
        policy::Policy,
    },
};

pub(super) type Verdict = Result<(), String>;

/// A message: its sender and its number there.
pub(super) type Letter = (usize, u64);

/// A snapshot: how many were published before it, in all.
pub(super) type Snapshot = u64;

pub(super) const PING: Duration = Duration::from_millis(500);
pub(super) const LEASE: Duration = Duration::from_secs(4);
pub(super) const MARGIN: Duration = Duration::from_secs(1);

pub(super) struct World {
    pub(super) machine: Machine<Letter, u64, Snapshot>,
    pub(super) policy: Policy,
    pub(super) random: Random,
    pub(super) start: Instant,
    pub(super) now: Instant,
    /// What is on its way, by when it arrives.
    agenda: BTreeMap<(Instant, u64), Arrival>,
    next_arrival: u64,
    pub(super) nodes: Vec<Node>,
    delay: Duration,
    refuse_next: bool,
    blind: bool,
    sent: [u64; 3],
    pub(super) published: Snapshot,
    watchers: Vec<(u64, WatcherId)>,
    next_watcher: u64,
    pub(super) book: super::oracle::Book,
    pub(super) trace: Vec<String>,
}

/// A node and the one incarnation that is placed on it.
pub(super) struct Node {
    pub(super) incarnation: Incarnation,
    pub(super) alive: bool,
    pub(super) paused: bool,
    pub(super) child: Child,
    /// When the last ping was sent that was answered: what the node's lease is reckoned from.
    pub(super) granted: Instant,
    /// The node has seen its lease run out.
    pub(super) expired: bool,
    /// When the parent last answered a ping.
    answered: Instant,
    /// The parent has lost the link.
    pub(super) lost: bool,
    /// What the parent has put on its way to the node and not heard of again.
    under_way: BTreeSet<Letter>,
    /// The parent has heard that the child takes no more.
    closed: bool,
    settled: bool,
    pub(super) snapshots: u64,
    last_published: Option<Snapshot>,
    /// What came while the node was paused.
    held: Vec<Down>,
    up: Wire,
    up_data: Wire,
    down: Wire,
    down_data: Wire,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    Ordered,
    Running,
    Ended,
}

/// One direction of a stream: nothing overtakes, and nothing arrives while it is cut.
#[derive(Debug, Clone, Copy)]
struct Wire {
    cut_until: Instant,
    last: Instant,
}

#[derive(Debug, Clone)]
enum Arrival {
    Up(usize, Up),
    Down(usize, Down),
    /// The node's own timer.
    Ping(usize),
    /// The parent looks when it last heard of the node.
    Look(usize),
    /// The backend sees the node's exit.
    Exit(usize),
    /// The backend's order to end it takes effect.
    End(usize),
    /// The parent has waited for the backend's word on a lost node.
    Word(usize),
}

#[derive(Debug, Clone)]
enum Up {
    Ping(Instant),
    Started,
    Refused,
    Ended(DownReason, u64),
    Snapshot(Snapshot),
    /// The child takes no more messages.
    Closed,
    /// It did not take this one.
    Returned(Letter),
}

#[derive(Debug, Clone)]
enum Down {
    Start,
    Pong(Instant),
    Stop(DownReason),
    HandOver,
    Letter(Letter),
}

impl World {
    pub(super) fn new(policy: Policy, seed: u64) -> Result<Self, String> {
        let start = Instant::now();
        let mut actions = Vec::new();
        let mut world = Self {
            machine: Machine::new(policy, 0, &mut actions),
            policy,
            random: Random(seed),
            start,
            now: start,
            agenda: BTreeMap::new(),
            next_arrival: 0,
            nodes: Vec::new(),
            delay: Duration::from_millis(1),
            refuse_next: false,
            blind: false,
            sent: [0; 3],
            published: 0,
            watchers: Vec::new(),
            next_watcher: 0,
            book: super::oracle::Book::default(),
            trace: Vec::new(),
        };
        world.carry_out(actions)?;
        Ok(world)
    }

    pub(super) fn step(&mut self, step: Step) -> Verdict {
        match step {
            Step::Wait { ms } => self.run_until(self.now + Duration::from_millis(ms), false)?,
            Step::Oversleep { ms } => self.run_until(self.now + Duration::from_millis(ms), true)?,
            Step::Send { sender } => {
                let letter = (sender, self.sent[sender]);
                self.sent[sender] += 1;
                self.book.sent.insert(letter);
                if self.nodes.last().is_some_and(|node| node.closed) {
                    self.feed(Event::Silent(self.present()))?;
                }
                self.feed(Event::Message { message: letter, bytes: 100 })?;
            }
            Step::Watch => {
                self.next_watcher += 1;
                let watcher = self.next_watcher;
                self.book.watching.insert(watcher);
                match self.machine.watch(watcher) {
                    Ok(id) => self.watchers.push((watcher, id)),
                    Err((watcher, reason)) => self.notified(watcher, &reason)?,
                }
            }
            Step::Unwatch(nth) => {
                if let Some((watcher, id)) = choose(&self.watchers, nth) {
                    self.watchers.retain(|&(other, _)| other != watcher);
                    self.machine.unwatch(id);
                    self.book.watching.remove(&watcher);
                }
            }
            Step::Kill(nth) => {
                if let Some(node) = self.nth(nth, |node| node.alive) {
                    self.kill(node);
                }
            }
            Step::Pause(nth) => {
                if let Some(node) = self.nth(nth, |node| node.alive) {
                    self.nodes[node].paused = true;
                }
            }
            Step::Resume(nth) => {
                if let Some(node) = self.nth(nth, |node| node.alive && node.paused) {
                    self.resume(node)?;
                }
            }
            Step::Break(nth) => {
                if let Some(node) = self.nth(nth, |node| node.alive && !node.lost) {
                    self.lose(node)?;
                }
            }
            Step::Cut { nth, up, ms } => {
                let until = self.now + Duration::from_millis(ms);
                if let Some(node) = self.nth(nth, |node| node.alive) {
                    let node = &mut self.nodes[node];
                    let wires = if up {
                        [&mut node.up, &mut node.up_data]
                    } else {
                        [&mut node.down, &mut node.down_data]
                    };
                    wires.into_iter().for_each(|wire| wire.cut_until = until);
                }
            }
            Step::Delay { ms } => self.delay = Duration::from_millis(ms),
            Step::Panic => self.child_ends(DownReason::Panicked { message: "on purpose".into() }),
            Step::StopsItself => self.child_ends(DownReason::Stopped),
            Step::Lifetime => self.child_ends(DownReason::Deadline { lifetime: LEASE }),
            Step::Publish => {
                if let Some(node) = self.running() {
                    self.published += 1;
                    self.nodes[node].snapshots += 1;
                    self.nodes[node].last_published = Some(self.published);
                    self.up(node, Up::Snapshot(self.published));
                }
            }
            Step::Drain => {
                let present = self.present();
                self.feed(Event::Drain(present))?;
            }
            Step::Refuse => self.refuse_next = true,
            Step::GoBlind => self.blind = true,
            Step::OwnerStops => {
                let reason = DownReason::Shutdown { reason: "done".into() };
                self.feed(Event::Stop { reason, grace: None })?;
            }
            Step::Stale { kind, id } => {
                // Never about the present one, of which the world tells the truth.
                let present = self.present();
                let incarnation = Incarnation(if Incarnation(id) == present { 1_000_000 } else { id });
                let reason = DownReason::Stopped;
                self.feed(match kind % 9 {
                    0 => Event::Started(incarnation),
                    1 => Event::StartFailed { incarnation, reason, doubt: None, hopeless: true },
                    2 => Event::Ended { incarnation, reason, snapshots: 0 },
                    3 => Event::NodeLost { incarnation, reason, until: self.now },
                    4 => Event::Silent(incarnation),
                    5 => Event::Snapshot { incarnation, from: 1_000_000 },
                    6 => Event::Settled(incarnation),
                    7 => Event::Handed(incarnation),
                    _ => Event::Gone(incarnation),
                })?;
            }
        }
        self.run_until(self.now, false)
    }

    /// From here on all goes well: what must come of it does, or the child is stuck.
    pub(super) fn come_to_rest(&mut self) -> Verdict {
        (self.blind, self.refuse_next) = (false, false);
        for node in 0..self.nodes.len() {
            let now = self.now;
            let it = &mut self.nodes[node];
            for wire in [&mut it.up, &mut it.up_data, &mut it.down, &mut it.down_data] {
                wire.cut_until = now;
            }
            if self.nodes[node].paused {
                self.resume(node)?;
            }
        }
        self.run_until(self.now + Duration::from_secs(120), false)?;
        self.judge_rest()
    }

    /// The incarnation that was started last.
    pub(super) fn present(&self) -> Incarnation {
        self.nodes.last().map_or(Incarnation(0), |node| node.incarnation)
    }

    /// Lets happen what happens until then. With `asleep`, the machine's own timer does not fire before that.
    fn run_until(&mut self, until: Instant, asleep: bool) -> Verdict {
        loop {
            let wake = self.machine.next_wake().filter(|_| !asleep).map(|wake| wake.max(self.now));
            let next = self.agenda.first_key_value().map(|(&(at, _), _)| at.max(self.now));
            match (wake, next) {
                (Some(wake), next) if wake <= until && next.is_none_or(|next| wake <= next) => {
                    self.now = wake;
                    self.feed(Event::Tick)?;
                }
                (_, Some(next)) if next <= until => {
                    self.now = next;
                    let Some((_, arrival)) = self.agenda.pop_first() else { break };
                    self.arrive(arrival)?;
                }
                _ => break,
            }
            self.judge_now()?;
        }
        self.now = until;
        Ok(())
    }

    fn arrive(&mut self, arrival: Arrival) -> Verdict {
        match arrival {
            Arrival::Up(node, up) => self.arrive_up(node, up),
            Arrival::Down(node, down) => self.arrive_down(node, down),
            Arrival::Ping(node) => {
                self.ping(node);
                Ok(())
            }
            Arrival::Look(node) => {
                let overdue = self.nodes[node].answered + LEASE;
                if self.nodes[node].lost {
                    Ok(())
                } else if self.now < overdue {
                    self.schedule(overdue, Arrival::Look(node));
                    Ok(())
                } else {
                    self.trace.push("lease ran out".into());
                    self.lose(node)
                }
            }
            Arrival::Exit(node) => {
                if !self.nodes[node].lost {
                    self.lose(node)?;
                }
                self.tell_of_loss(node)?;
                self.feed(Event::Gone(self.nodes[node].incarnation))
            }
            Arrival::End(node) => {
                self.kill(node);
                Ok(())
            }
            Arrival::Word(node) => self.tell_of_loss(node),
        }
    }

    /// A word of a node has come to the parent.
    fn arrive_up(&mut self, node: usize, up: Up) -> Verdict {
        if self.nodes[node].lost {
            return Ok(());
        }
        let incarnation = self.nodes[node].incarnation;
        match up {
            Up::Ping(sent) => {
                self.nodes[node].answered = self.now;
                self.down(node, Down::Pong(sent));
                Ok(())
            }
            Up::Started => self.feed(Event::Started(incarnation)),
            Up::Refused => self.feed(Event::StartFailed {
                incarnation,
                reason: DownReason::NotStarted { message: "refused".into() },
                doubt: None,
                hopeless: false,
            }),
            Up::Ended(reason, snapshots) => {
                if snapshots > self.book.arrived_of(incarnation) {
                    self.trace.push("snapshot awaited".into());
                }
                self.book.promised = self.nodes[node].last_published.map(|last| (incarnation, last));
                self.feed(Event::Ended { incarnation, reason, snapshots })
            }
            Up::Snapshot(from) => {
                self.book.arrived(incarnation, from);
                self.feed(Event::Snapshot { incarnation, from })
            }
            Up::Closed => {
                self.nodes[node].closed = true;
                self.settle(node)
            }
            Up::Returned(letter) => {
                self.nodes[node].under_way.remove(&letter);
                self.returned(letter)?;
                self.feed(Event::Returned { incarnation, message: letter, bytes: 100 })?;
                self.settle(node)
            }
        }
    }

    /// A word of the parent has come to a node.
    fn arrive_down(&mut self, node: usize, down: Down) -> Verdict {
        let it = &mut self.nodes[node];
        if !it.alive || it.expired {
            return Ok(());
        }
        if it.paused {
            it.held.push(down);
            return Ok(());
        }
        match down {
            Down::Pong(sent) => it.granted = it.granted.max(sent),
            Down::Start if self.refuse_next => {
                self.refuse_next = false;
                self.nodes[node].child = Child::Ended;
                self.up(node, Up::Refused);
            }
            Down::Start => {
                it.child = Child::Running;
                self.up(node, Up::Started);
            }
            Down::Stop(reason) => self.end(node, reason),
            Down::HandOver => self.end(node, DownReason::Stopped),
            Down::Letter(letter) if it.child == Child::Running => {
                let zombie = self.now >= it.granted + LEASE;
                if zombie {
                    self.trace.push("zombie".into());
                }
                self.handled(node, letter, zombie)?;
                self.nodes[node].under_way.remove(&letter);
            }
            Down::Letter(letter) => self.up(node, Up::Returned(letter)),
        }
        Ok(())
    }

    fn ping(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !it.alive || it.expired {
            return;
        }
        if !it.paused {
            if self.now >= it.granted + LEASE {
                it.expired = true;
                return;
            }
            self.up(node, Up::Ping(self.now));
        }
        self.schedule(self.now + PING, Arrival::Ping(node));
    }

    /// It first handles what came meanwhile, and only then looks at its lease: as bad as it can be.
    fn resume(&mut self, node: usize) -> Verdict {
        self.nodes[node].paused = false;
        for down in std::mem::take(&mut self.nodes[node].held) {
            self.arrive_down(node, down)?;
        }
        let it = &mut self.nodes[node];
        it.expired |= self.now >= it.granted + LEASE;
        Ok(())
    }

    fn kill(&mut self, node: usize) {
        if std::mem::replace(&mut self.nodes[node].alive, false) && !self.blind {
            let seen = self.now + self.some(500);
            self.schedule(seen, Arrival::Exit(node));
        }
    }

    /// The parent gives the link up, and has the backend end the node.
    fn lose(&mut self, node: usize) -> Verdict {
        self.nodes[node].lost = true;
        self.nodes[node].under_way.clear();
        self.nodes[node].closed = true;
        if !self.blind {
            let ends = self.now + self.some(3000);
            self.schedule(ends, Arrival::End(node));
        }
        let word = self.now + self.some(1000);
        self.schedule(word, Arrival::Word(node));
        self.settle(node)?;
        self.feed(Event::Silent(self.nodes[node].incarnation))
    }

    /// The link tells when nothing returns any more.
    fn settle(&mut self, node: usize) -> Verdict {
        let it = &mut self.nodes[node];
        if !it.closed || !it.under_way.is_empty() || std::mem::replace(&mut it.settled, true) {
            return Ok(());
        }
        self.feed(Event::Settled(self.nodes[node].incarnation))
    }

    fn tell_of_loss(&mut self, node: usize) -> Verdict {
        let it = &self.nodes[node];
        let (incarnation, until) = (it.incarnation, it.answered + LEASE + MARGIN);
        let reason = DownReason::NodeLost { message: "its node is gone".into(), exit: None };
        if !self.book.started.contains(&incarnation) {
            let doubt = Some(until);
            self.feed(Event::StartFailed { incarnation, reason: reason.clone(), doubt, hopeless: false })?;
        }
        self.feed(Event::NodeLost { incarnation, reason, until })
    }

    fn child_ends(&mut self, reason: DownReason) {
        if let Some(node) = self.running() {
            self.end(node, reason);
        }
    }

    fn end(&mut self, node: usize, reason: DownReason) {
        if self.nodes[node].child == Child::Running {
            self.nodes[node].child = Child::Ended;
            let snapshots = self.nodes[node].snapshots;
            self.up(node, Up::Closed);
            self.up(node, Up::Ended(reason, snapshots));
        }
    }

    /// The node whose child can do something now.
    fn running(&self) -> Option<usize> {
        let runs = |node: &Node| node.alive && !node.paused && !node.expired && node.child == Child::Running;
        self.nodes.iter().position(runs)
    }

    fn feed(&mut self, event: Event<Letter, Snapshot>) -> Verdict {
        let mut actions = Vec::new();
        self.machine.on(event.clone(), self.now, &mut actions);
        self.judge(&event, &actions)?;
        self.carry_out(actions)
    }

    fn carry_out(&mut self, actions: Vec<Action<Letter, u64, Snapshot>>) -> Verdict {
        for action in actions {
            self.trace.push(format!("{action:?}"));
            match action {
                Action::Start { incarnation, from } => {
                    self.judge_start(incarnation, *from)?;
                    self.add(incarnation);
                }
                Action::Cancel(incarnation) => {
                    let reason = DownReason::NotStarted { message: "cancelled".into() };
                    self.feed(Event::StartFailed { incarnation, reason, doubt: None, hopeless: false })?;
                }
                Action::Stop { incarnation, reason, .. } => self.down_to(incarnation, Down::Stop(reason)),
                Action::HandOver(incarnation) => self.down_to(incarnation, Down::HandOver),
                Action::Deliver { incarnation, message } => {
                    self.delivered(message, incarnation)?;
                    if let Some(node) = self.nodes.iter_mut().find(|node| node.incarnation == incarnation) {
                        node.under_way.insert(message);
                    }
                    self.down_to(incarnation, Down::Letter(message));
                }
                Action::Refuse { message, .. } => self.refused(message)?,
                Action::Notify { watcher, reason } => {
                    self.watchers.retain(|&(other, _)| other != watcher);
                    self.notified(watcher, &reason)?;
                }
                Action::Report { .. } => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, incarnation: Incarnation) {
        let node = self.nodes.len();
        let now = self.now;
        let wire = Wire { cut_until: now, last: now };
        self.nodes.push(Node {
            incarnation,
            alive: true,
            paused: false,
            child: Child::Ordered,
            granted: now,
            expired: false,
            answered: now,
            lost: false,
            under_way: BTreeSet::new(),
            closed: false,
            settled: false,
            snapshots: 0,
            last_published: None,
            held: Vec::new(),
            up: wire,
            up_data: wire,
            down: wire,
            down_data: wire,
        });
        self.schedule(now, Arrival::Ping(node));
        self.schedule(now + LEASE, Arrival::Look(node));
        self.down(node, Down::Start);
    }

    fn up(&mut self, node: usize, up: Up) {
        let delay = self.some(1 + self.delay.as_millis() as u64);
        let it = &mut self.nodes[node];
        // Control overtakes data.
        let wire = if matches!(up, Up::Snapshot(_) | Up::Started | Up::Refused | Up::Closed | Up::Returned(_))
        {
            &mut it.up_data
        } else {
            &mut it.up
        };
        let at = wire.carry(self.now + delay);
        self.schedule(at, Arrival::Up(node, up));
    }

    fn down(&mut self, node: usize, down: Down) {
        let delay = self.some(1 + self.delay.as_millis() as u64);
        let it = &mut self.nodes[node];
        let data = matches!(down, Down::Letter(_) | Down::HandOver | Down::Start);
        let at = if data { &mut it.down_data } else { &mut it.down }.carry(self.now + delay);
        if !it.lost {
            self.schedule(at, Arrival::Down(node, down));
        }
    }

    fn down_to(&mut self, incarnation: Incarnation, down: Down) {
        if let Some(node) = self.nodes.iter().position(|node| node.incarnation == incarnation) {
            self.down(node, down);
        }
    }

    fn schedule(&mut self, at: Instant, arrival: Arrival) {
        self.next_arrival += 1;
        self.agenda.insert((at, self.next_arrival), arrival);
    }

    fn some(&mut self, below_ms: u64) -> Duration {
        Duration::from_millis(self.random.below(below_ms))
    }

    fn nth(&self, nth: usize, wanted: impl Fn(&Node) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.nodes.len()).filter(|&node| wanted(&self.nodes[node])).collect();
        choose(&all, nth)
    }

    pub(super) fn require(&self, holds: bool, complaint: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { Err(format!("{:?}: {}", self.now - self.start, complaint())) }
    }

    pub(super) fn watchers_left(&self) -> BTreeSet<u64> {
        self.watchers.iter().map(|&(watcher, _)| watcher).collect()
    }
}

impl Wire {
    /// When what is sent now and would take until `at` arrives.
    fn carry(&mut self, at: Instant) -> Instant {
        self.last = self.last.max(at).max(self.cut_until);
        self.last
    }
}

fn choose<T: Copy>(all: &[T], nth: usize) -> Option<T> {
    if all.is_empty() { None } else { all.get(nth % all.len()).copied() }
}
