//! The sending end of a link: lanes, their credit and what waits for it, and the questions that are not answered yet.

use std::{
    collections::{HashMap, VecDeque},
    task::{Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use slab::Slab;

use super::{
    Limits, MAX_CUTS, MAX_QUESTIONS,
    credit::{Credit, cost},
    leftover::{Abandoned, Homecoming, Settled, Unsent, UnsentBody},
    outbox::{Body, Outbox},
    receiver::Returned,
};
use crate::wire::{Malformed, frame::Kind};

/// What a message does when its lane has no credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It is refused.
    Now,
    /// It waits, as long as the lane's backlog has room.
    Backlog,
    /// It waits: its caller waits too, and so bounds what can wait.
    Wait,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The lane or the link has no credit.
    Full,
    /// The lane's backlog is full.
    Overflow,
    /// The port is closed; the peer's words on it.
    Closed(Bytes),
}

/// The key of a lane on a link that is lost.
const NO_LANE: usize = usize::MAX;

/// The sending end of a link. `W` is who waits for an answer.
#[derive(Debug)]
pub(crate) struct Sender<W> {
    limits: Limits,
    outbox: Outbox,
    lanes: Slab<Lane>,
    by_port: HashMap<u32, usize>,
    questions: Slab<Question<W>>,
    credit: Credit,
    /// Lanes that have credit of their own and wait for the link's.
    starved: VecDeque<usize>,
    ended: bool,
    /// More bytes than a peer that reads lets wait.
    overfull: usize,
    next_serial: u64,
    /// Who is to be woken, once the link's lock is free.
    woken: Vec<Waker>,
}

/// A question that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    number: u32,
    serial: u64,
}

#[derive(Debug)]
struct Lane {
    port: u32,
    /// How many handles this node holds; the peer's count of references is given back with each.
    handles: usize,
    credit: Credit,
    waiting: VecDeque<Waiting>,
    backlog: usize,
    starved: bool,
    closed: Option<Bytes>,
    /// What comes to the port when it is closed comes back, and what has not left by then is not given up before it has.
    returns: bool,
    /// Who waits for room, or for the end of the lane, each with a number of its own.
    watchers: Vec<(u64, Waker)>,
}

#[derive(Debug)]
struct Waiting {
    kind: Kind,
    body: Bytes,
    in_backlog: bool,
}

impl Waiting {
    fn unsent(self, port: u32) -> Option<UnsentBody> {
        let is_tell = match self.kind {
            Kind::Tell { .. } => true,
            Kind::Ask { .. } => false,
            _ => return None,
        };
        Some(UnsentBody { port, body: self.body, is_tell })
    }
}

#[derive(Debug)]
struct Question<W> {
    lane: usize,
    /// Tells this question from others that had or will have its number.
    serial: u64,
    /// `None` once nobody waits; the number stays taken until the peer has answered, or its late answer could be taken
    /// for another's.
    waiter: Option<W>,
}

impl<W> Sender<W> {
    pub(crate) fn new(limits: Limits) -> Self {
        const SMALL: usize = 64 * 1024 * 1024;
        let credited = usize::try_from(limits.link.bytes).unwrap_or(usize::MAX);
        let long = limits.max_message.saturating_mul(MAX_CUTS);
        Self {
            overfull: SMALL.saturating_add(credited).saturating_add(long),
            limits,
            outbox: Outbox::default(),
            lanes: Slab::new(),
            by_port: HashMap::new(),
            questions: Slab::new(),
            credit: Credit::new(limits.link),
            starved: VecDeque::new(),
            ended: false,
            next_serial: 0,
            woken: Vec::new(),
        }
    }

    /// A handle on the lane to a port of the peer; every one is given back by [`Sender::release`].
    pub(crate) fn open(&mut self, port: u32) -> usize {
        if self.ended {
            return NO_LANE;
        }
        let key = *self.by_port.entry(port).or_insert_with(|| {
            self.lanes.insert(Lane {
                port,
                handles: 0,
                credit: Credit::new(self.limits.lane),
                waiting: VecDeque::new(),
                backlog: 0,
                starved: false,
                closed: None,
                returns: false,
                watchers: Vec::new(),
            })
        });
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.handles += 1;
        }
        key
    }

    /// As [`Sender::open`], of a port that sends back what comes when it is closed. `None` if the link is lost.
    pub(crate) fn open_returning(&mut self, port: u32) -> Option<usize> {
        let key = self.open(port);
        let lane = self.lanes.get_mut(key)?;
        lane.returns = lane.closed.is_none();
        Some(key)
    }

    /// Gives back a handle and the `references` that the peer counts for it, behind all that was sent before.
    pub(crate) fn release(&mut self, key: usize, references: u32) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.handles -= 1;
        let kind = Kind::Release { port: lane.port, count: references };
        if references == 0 {
            // The main port is not counted.
        } else if lane.waiting.is_empty() {
            self.outbox.push(kind, Body::Copy(&[]));
        } else {
            lane.waiting.push_back(Waiting { kind, body: Bytes::new(), in_backlog: false });
        }
        self.forget_if_done(key);
    }

    /// Sends a message that has no answer.
    #[inline]
    pub(crate) fn tell(&mut self, key: usize, body: Body<'_>, room: Room) -> Result<(), Refused> {
        self.submit(key, |port| Kind::Tell { port }, body, room)
    }

    /// Sends a message whose answer goes to `waiter`, which comes back if the message is refused.
    #[inline]
    pub(crate) fn ask(
        &mut self,
        key: usize,
        body: Body<'_>,
        waiter: W,
        room: Room,
    ) -> Result<Asked, (Refused, Option<W>)> {
        if self.questions.len() >= MAX_QUESTIONS {
            return Err((self.lane(key).err().unwrap_or(Refused::Full), Some(waiter)));
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let slot = self.questions.insert(Question { lane: key, serial, waiter: Some(waiter) });
        // The table holds at most `MAX_QUESTIONS`, so its keys fit.
        let number = slot as u32;
        match self.submit(key, |port| Kind::Ask { port, question: number }, body, room) {
            Ok(()) => Ok(Asked { number, serial }),
            Err(refused) => {
                Err((refused, self.questions.try_remove(slot).and_then(|question| question.waiter)))
            }
        }
    }

    pub(crate) fn is_closed(&self, key: usize) -> bool {
        self.lane(key).is_err()
    }

    /// A number for someone who watches lanes.
    pub(crate) fn watcher(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Whether a message would leave at once; else the watcher is woken when it might.
    pub(crate) fn poll_room(&mut self, key: usize, watcher: u64, waker: &Waker) -> Poll<Result<(), Refused>> {
        match self.lane(key) {
            Err(refused) => Poll::Ready(Err(refused)),
            Ok(lane) if self.has_room(lane) => Poll::Ready(Ok(())),
            Ok(_) => {
                self.watch(key, watcher, waker);
                self.starve(key);
                Poll::Pending
            }
        }
    }

    /// Whether the lane takes no more messages; else the watcher is woken when it might be so.
    pub(crate) fn poll_closed(&mut self, key: usize, watcher: u64, waker: &Waker) -> Poll<Refused> {
        match self.lane(key) {
            Err(refused) => Poll::Ready(refused),
            Ok(_) => {
                self.watch(key, watcher, waker);
                Poll::Pending
            }
        }
    }

    /// The end of a watch.
    pub(crate) fn unwatch(&mut self, key: usize, watcher: u64) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.watchers.retain(|(number, _)| *number != watcher);
        }
    }

    /// Who is to be woken now, if there is anyone.
    #[inline]
    pub(crate) fn take_woken(&mut self) -> Option<Vec<Waker>> {
        (!self.woken.is_empty()).then(|| std::mem::take(&mut self.woken))
    }

    /// Nobody waits for the answer any more. A message that still waits for credit is never sent, and comes back.
    pub(crate) fn cancel(&mut self, asked: Asked) -> Unsent<W> {
        let slot = asked.number as usize;
        let entry = self.questions.get_mut(slot).filter(|entry| entry.serial == asked.serial);
        let waiter = entry.and_then(|entry| entry.waiter.take());
        if waiter.is_none() {
            return Unsent::default();
        }
        let bodies: Vec<_> = self.withdraw(asked).into_iter().collect();
        if bodies.is_empty() {
            self.outbox.push(Kind::Cancel { question: asked.number }, Body::Copy(&[]));
        } else {
            self.questions.try_remove(slot);
        }
        Unsent { waiters: waiter.into_iter().collect(), bodies }
    }

    /// The answer is not wanted any more, and its waiter hears how it ends. One whose message is never sent comes back
    /// with it.
    pub(crate) fn interrupt(&mut self, asked: Asked) -> Unsent<W> {
        let slot = asked.number as usize;
        let entry = self.questions.get(slot).filter(|entry| entry.serial == asked.serial);
        if entry.is_none_or(|entry| entry.waiter.is_none()) {
            return Unsent::default();
        }
        let bodies: Vec<_> = self.withdraw(asked).into_iter().collect();
        if bodies.is_empty() {
            self.outbox.push(Kind::Cancel { question: asked.number }, Body::Copy(&[]));
            return Unsent::default();
        }
        let question = self.questions.try_remove(slot);
        Unsent { waiters: question.and_then(|question| question.waiter).into_iter().collect(), bodies }
    }

    /// Takes back a message that waits for credit; `None` if it has left.
    fn withdraw(&mut self, asked: Asked) -> Option<UnsentBody> {
        let question = self.questions.get(asked.number as usize)?;
        let lane = self.lanes.get_mut(question.lane)?;
        let is_it = |w: &Waiting| matches!(w.kind, Kind::Ask { question, .. } if question == asked.number);
        let at = lane.waiting.iter().position(is_it)?;
        lane.waiting.remove(at)?.unsent(lane.port)
    }

    /// An answer has come: who waits for it, if anyone still does, and what is known of a closed port.
    pub(crate) fn answered(&mut self, question: u32) -> Result<(Option<W>, Option<Bytes>), Malformed> {
        let question =
            self.questions.try_remove(question as usize).ok_or(Malformed("answer: nobody asked"))?;
        let closed = self.lanes.get(question.lane).and_then(|lane| lane.closed.clone());
        Ok((question.waiter, closed))
    }

    /// Queues an answer or a notice to the peer, which need no credit.
    pub(crate) fn push(&mut self, kind: Kind, body: Body<'_>) {
        self.outbox.push(kind, body);
    }

    /// Queues answers that stand whole in `frames`.
    pub(crate) fn append(&mut self, frames: &BytesMut) {
        self.outbox.append(frames);
    }

    /// The owner of a port has handled what was sent there.
    pub(crate) fn credit(
        &mut self,
        port: u32,
        messages: u64,
        bytes: u64,
    ) -> Result<Option<Settled<W>>, Malformed> {
        // A grant may cross the last release of its port.
        let Some(&key) = self.by_port.get(&port) else { return Ok(None) };
        let Some(lane) = self.lanes.get_mut(key) else { return Ok(None) };
        lane.credit.refund(messages, bytes)?;
        if lane.closed.is_some() {
            return Ok(self.settle(key, false));
        }
        self.pump(key);
        Ok(None)
    }

    /// A message has come back, and with it its credit.
    pub(crate) fn returned(
        &mut self,
        returned: Returned,
    ) -> Result<(Homecoming<W>, Option<Settled<W>>), Malformed> {
        const UNSENT: Malformed = Malformed("return: of what was not sent");
        let Returned { port, question, body } = returned;
        let cost = cost(body.len());
        // Nobody holds a lane any more that is not there.
        let key = self.by_port.get(&port).copied();
        if let Some(lane) = key.and_then(|key| self.lanes.get_mut(key)) {
            lane.closed.as_ref().ok_or(UNSENT)?;
            lane.credit.refund(1, cost)?;
        }
        self.window(1, cost)?;
        let waiter = match question {
            None => None,
            Some(question) => self.questions.try_remove(question as usize).ok_or(UNSENT)?.waiter,
        };
        let home = Homecoming { port, body, waiter, is_tell: question.is_none() };
        Ok((home, key.and_then(|key| self.settle(key, false))))
    }

    /// Ends a lane whose messages come back, once it is closed and they have, or are not waited for.
    fn settle(&mut self, key: usize, unwanted: bool) -> Option<Settled<W>> {
        let lane = self.lanes.get_mut(key)?;
        if !(lane.returns && lane.closed.is_some() && (unwanted || lane.credit.is_whole())) {
            return None;
        }
        lane.returns = false;
        lane.backlog = 0;
        let (port, waiting) = (lane.port, std::mem::take(&mut lane.waiting));
        let mut unsent = Vec::with_capacity(waiting.len());
        for Waiting { kind, body, .. } in waiting {
            let waiter = match kind {
                Kind::Ask { question, .. } => {
                    self.questions.try_remove(question as usize).and_then(|question| question.waiter)
                }
                Kind::Tell { .. } => None,
                _ => {
                    self.outbox.push(kind, Body::Copy(&[]));
                    continue;
                }
            };
            unsent.push(Homecoming { port, body, waiter, is_tell: matches!(kind, Kind::Tell { .. }) });
        }
        self.forget_if_done(key);
        Some(Settled { port, unsent })
    }

    /// The peer has handled what was sent over the link.
    pub(crate) fn window(&mut self, messages: u64, bytes: u64) -> Result<(), Malformed> {
        self.credit.refund(messages, bytes)?;
        while self.credit.has_room()
            && let Some(key) = self.starved.pop_front()
        {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.starved = false;
                self.pump(key);
            }
        }
        Ok(())
    }

    /// A port takes no more messages: what waits for credit on its lane will never be sent.
    pub(crate) fn closed(&mut self, port: u32, reason: Bytes) -> (Unsent<W>, Option<Settled<W>>) {
        let mut unsent = Unsent::default();
        let Some(&key) = self.by_port.get(&port) else { return (unsent, None) };
        let Some(lane) = self.lanes.get_mut(key) else { return (unsent, None) };
        lane.closed = Some(reason);
        self.woken.extend(lane.watchers.drain(..).map(|(_, waker)| waker));
        if lane.returns {
            // Of one that nobody holds, nobody wants anything back.
            let unwanted = lane.handles == 0;
            return (unsent, self.settle(key, unwanted));
        }
        lane.backlog = 0;
        for waiting in std::mem::take(&mut lane.waiting) {
            match waiting.kind {
                Kind::Ask { question, .. } => {
                    let question = self.questions.try_remove(question as usize);
                    unsent.waiters.extend(question.and_then(|question| question.waiter));
                }
                Kind::Release { .. } => self.outbox.push(waiting.kind, Body::Copy(&[])),
                _ => {}
            }
            unsent.bodies.extend(waiting.unsent(port));
        }
        self.forget_if_done(key);
        (unsent, None)
    }

    /// The link is lost: everyone who still waits for an answer, and what waits for credit. Nothing comes back any more.
    pub(crate) fn abandon(&mut self) -> Abandoned<W> {
        self.ended = true;
        let unaccounted = self.unaccounted();
        let mut returning = Vec::new();
        for (key, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.returns) {
            lane.closed.get_or_insert_default();
            returning.push(key);
        }
        let settled = returning.into_iter().filter_map(|key| self.settle(key, true)).collect();
        let waiters = self.questions.drain().filter_map(|question| question.waiter).collect();
        let mut bodies = Vec::new();
        for lane in self.lanes.drain() {
            self.woken.extend(lane.watchers.into_iter().map(|(_, waker)| waker));
            bodies.extend(lane.waiting.into_iter().filter_map(|waiting| waiting.unsent(lane.port)));
        }
        let unsent = Unsent { waiters, bodies };
        self.by_port.clear();
        self.outbox = Outbox::default();
        Abandoned { unsent, settled, unaccounted }
    }

    /// How many messages of each port have left, and nobody will hear whether they were handled.
    fn unaccounted(&self) -> Vec<(u32, u64)> {
        let mut asks: HashMap<usize, u64> = HashMap::new();
        for (_, question) in &self.questions {
            *asks.entry(question.lane).or_default() += 1;
        }
        let left = self.lanes.iter().map(|(key, lane)| {
            let waiting =
                lane.waiting.iter().filter(|waiting| matches!(waiting.kind, Kind::Ask { .. })).count();
            let asked = asks.get(&key).copied().unwrap_or_default().saturating_sub(waiting as u64);
            (lane.port, lane.credit.used().saturating_sub(asked))
        });
        left.filter(|&(_, messages)| messages > 0).collect()
    }

    /// Whether messages wait for credit.
    pub(crate) fn has_waiting(&self) -> bool {
        self.lanes.iter().any(|(_, lane)| !lane.waiting.is_empty())
    }

    /// Whether more waits to be written than a peer that reads lets pile up. Messages are bounded by credit; answers by
    /// this alone.
    #[inline]
    pub(crate) fn is_overfull(&self) -> bool {
        self.outbox.bytes() > self.overfull
    }

    #[inline]
    pub(crate) fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Moves what is to be written next into `chunks`; false if that is nothing.
    pub(crate) fn take_output(&mut self, chunks: &mut Vec<Bytes>) -> bool {
        self.outbox.take(chunks)
    }

    fn lane(&self, key: usize) -> Result<&Lane, Refused> {
        let lane = self.lanes.get(key).ok_or_else(|| Refused::Closed(Bytes::new()))?;
        lane.closed.as_ref().map_or(Ok(lane), |reason| Err(Refused::Closed(reason.clone())))
    }

    #[inline]
    fn submit(
        &mut self,
        key: usize,
        kind: impl FnOnce(u32) -> Kind,
        body: Body<'_>,
        room: Room,
    ) -> Result<(), Refused> {
        let lane = match self.lanes.get_mut(key) {
            Some(lane) if lane.closed.is_none() => lane,
            lane => {
                return Err(Refused::Closed(lane.and_then(|lane| lane.closed.clone()).unwrap_or_default()));
            }
        };
        let kind = kind(lane.port);
        // As in `has_room`.
        if lane.waiting.is_empty() && lane.credit.has_room() && self.credit.has_room() {
            let cost = cost(body.len());
            lane.credit.charge(cost);
            self.credit.charge(cost);
            self.outbox.push(kind, body);
            return Ok(());
        }
        self.put_off(key, kind, body, room)
    }

    /// Has a message wait for credit.
    fn put_off(&mut self, key: usize, kind: Kind, body: Body<'_>, room: Room) -> Result<(), Refused> {
        let Some(lane) = self.lanes.get_mut(key) else { return Err(Refused::Closed(Bytes::new())) };
        let in_backlog = match room {
            Room::Now => return Err(Refused::Full),
            // Like credit itself, the backlog takes a message while anything of it is free.
            Room::Backlog if lane.backlog >= self.limits.backlog => return Err(Refused::Overflow),
            Room::Backlog => true,
            Room::Wait => false,
        };
        if in_backlog {
            lane.backlog += cost(body.len()) as usize;
        }
        lane.waiting.push_back(Waiting { kind, body: body.into_bytes(), in_backlog });
        self.starve(key);
        Ok(())
    }

    /// Sends what waits on a lane as far as the credit goes.
    fn pump(&mut self, key: usize) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.closed.is_none()) else { return };
        while let Some(next) = lane.waiting.front() {
            let needs_credit = !matches!(next.kind, Kind::Release { .. });
            if needs_credit && !(lane.credit.has_room() && self.credit.has_room()) {
                break;
            }
            let Some(Waiting { kind, body, in_backlog }) = lane.waiting.pop_front() else { break };
            let cost = cost(body.len());
            if needs_credit {
                lane.credit.charge(cost);
                self.credit.charge(cost);
            }
            if in_backlog {
                lane.backlog -= cost as usize;
            }
            self.outbox.push(kind, Body::Own(body));
        }
        if lane.waiting.is_empty() && lane.credit.has_room() && self.credit.has_room() {
            self.woken.extend(lane.watchers.drain(..).map(|(_, waker)| waker));
        }
        self.starve(key);
    }

    fn has_room(&self, lane: &Lane) -> bool {
        lane.waiting.is_empty() && lane.credit.has_room() && self.credit.has_room()
    }

    fn watch(&mut self, key: usize, watcher: u64, waker: &Waker) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match lane.watchers.iter_mut().find(|(number, _)| *number == watcher) {
            Some((_, known)) => known.clone_from(waker),
            None => lane.watchers.push((watcher, waker.clone())),
        }
    }

    /// Puts a lane in line for the link's credit, if that is all that it, or who watches it, waits for.
    fn starve(&mut self, key: usize) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let waits = !lane.waiting.is_empty() || !lane.watchers.is_empty();
        if !lane.starved && waits && lane.credit.has_room() && !self.credit.has_room() {
            lane.starved = true;
            self.starved.push_back(key);
        }
    }

    /// A lane lives until its port is closed *and* nobody holds it: forgotten earlier, its credit would start anew
    /// while the peer still counts what is under way.
    fn forget_if_done(&mut self, key: usize) {
        let Some(lane) = self.lanes.get(key) else { return };
        if lane.handles == 0 && lane.closed.is_some() && !lane.returns && lane.waiting.is_empty() {
            self.by_port.remove(&lane.port);
            self.lanes.remove(key);
        }
    }
}
