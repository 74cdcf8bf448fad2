//! The receiving end of a link: the ports that the peer may address, and the frames that arrive for them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf, Bytes, BytesMut};
use rustc_hash::FxHashMap;

use super::{
    Limits, MAX_CUTS, MAX_QUESTIONS, Outcome, Window,
    credit::{Account, cost},
    inbox::{InboxQueue, KEEP},
};
use crate::wire::{
    Malformed,
    frame::{self, Frame, Kind, WHOLE},
};

/// Answers up to this long are copied out of the read buffer, and those that stand side by side together up to this length,
/// so that one that is not fetched holds no more than that.
const COPY_ANSWER: usize = 4 * 1024;

/// The queue of one port, shared with whoever takes from it.
#[derive(Debug)]
pub(crate) struct PortQueue {
    state: Mutex<PortState>,
    pub(crate) waker: futures_util::task::AtomicWaker,
}

#[derive(Debug)]
pub(crate) struct PortState {
    pub(crate) queue: InboxQueue,
    account: Account,
    /// The port's number, while it has it.
    port: Option<u32>,
}

impl PortQueue {
    pub(crate) fn lock(&self) -> MutexGuard<'_, PortState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credit to be sent to the peer.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    pub(crate) lane: Option<(u32, Window)>,
    pub(crate) link: Option<Window>,
}

/// What arrived beside messages, for the sending end and for whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    /// Ports of the peer that are closed, and its words on it.
    pub(crate) closed: Vec<(u32, Bytes)>,
    /// Messages of this node's that came back, in order.
    pub(crate) returned: Vec<Returned>,
    /// Messages that came for a port that takes none any more and sends them back.
    pub(crate) returning: Vec<Returned>,
    /// Asks that came for a port that takes none any more.
    pub(crate) refused: Vec<u32>,
    /// Ports whose last reference the peer has given back.
    pub(crate) released: Vec<u32>,
    /// Questions that nobody waits for any more.
    pub(crate) cancelled: Vec<u32>,
    /// Tells that came for a port that takes none any more: its number and the body.
    pub(crate) dead: Vec<(u32, Bytes)>,
    /// Queues that were empty and are not any more, or have ended.
    pub(crate) wake: Vec<Arc<PortQueue>>,
    pub(crate) grants: Vec<Grant>,
}

/// A message that goes back to its sender, and the question if it is an ask.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) port: u32,
    pub(crate) question: Option<u32>,
    pub(crate) body: Bytes,
}

impl Returned {
    pub(crate) fn of(port: u32, kind: Kind, body: &[u8]) -> Self {
        let question = if let Kind::Ask { question, .. } = kind { Some(question) } else { None };
        Self { port, question, body: Bytes::copy_from_slice(body) }
    }
}

impl Answered {
    /// A question has come. A cancel that came before was of another one, with the same number, which is settled.
    fn new_question(&mut self, question: u32, asked: &mut dyn FnMut(u32)) {
        if !self.cancelled.is_empty() {
            self.cancelled.retain(|&cancelled| cancelled != question);
        }
        asked(question);
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    limits: Limits,
    ports: FxHashMap<u32, Port>,
    /// Numbers are not used again until all others were: credit for a port is sent apart from the messages that end it,
    /// and must not be taken for that of another.
    next_port: u32,
    account: Account,
    cuts: HashMap<u32, BytesMut>,
}

#[derive(Debug)]
struct Port {
    queue: Arc<PortQueue>,
    /// How often the port was named to the peer and not given back.
    references: u64,
    /// Its owner takes no more messages.
    closed: bool,
    /// What comes then goes back.
    returns: bool,
}

/// Frames of one kind that stand side by side at the head of the read buffer.
#[derive(Default)]
struct Run {
    /// Where the last of them ends.
    end: usize,
    /// Small messages: whose port they are for, and how much they are.
    port: u32,
    amount: Window,
    /// Or small answers: their questions, and where their bodies stand.
    answers: Vec<(u32, Range<usize>)>,
}

impl Run {
    fn takes_message_of(&self, port: u32) -> bool {
        self.end == 0 || (self.port == port && self.answers.is_empty())
    }

    fn takes_answer(&self, len: usize) -> bool {
        self.end == 0 || (!self.answers.is_empty() && self.end + len <= COPY_ANSWER)
    }
}

impl Receiver {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ports: FxHashMap::default(),
            next_port: 0,
            account: Account::new(limits.link, limits.max_message),
            cuts: HashMap::new(),
        }
    }

    /// A new port with no references yet.
    pub(crate) fn open(&mut self) -> (u32, Arc<PortQueue>) {
        // 4 billion ports of one link do not fit into memory, so one is free.
        while self.ports.contains_key(&self.next_port) {
            self.next_port = self.next_port.wrapping_add(1);
        }
        let port = self.next_port;
        self.next_port = self.next_port.wrapping_add(1);
        let state = PortState {
            queue: InboxQueue::default(),
            account: Account::new(self.limits.lane, self.limits.max_message),
            port: Some(port),
        };
        let queue = Arc::new(PortQueue { state: Mutex::new(state), waker: Default::default() });
        self.ports
            .insert(port, Port { queue: Arc::clone(&queue), references: 0, closed: false, returns: false });
        (port, queue)
    }

    /// Counts a reference to a port that is being sent to the peer; false if the port is gone.
    pub(crate) fn export(&mut self, port: u32) -> bool {
        let Some(port) = self.ports.get_mut(&port) else { return false };
        port.references += 1;
        true
    }

    /// Takes back references: the peer's that are gone, or own ones that were never sent. True if they were the last,
    /// and the port with them.
    pub(crate) fn release(
        &mut self,
        port: u32,
        count: u64,
        wake: &mut Vec<Arc<PortQueue>>,
    ) -> Result<bool, Malformed> {
        const UNKNOWN: Malformed = Malformed("release: of more than was given");
        let entry = self.ports.get_mut(&port).ok_or(UNKNOWN)?;
        entry.references = entry.references.checked_sub(count).ok_or(UNKNOWN)?;
        if entry.references > 0 {
            return Ok(false);
        }
        let Some(Port { queue, .. }) = self.ports.remove(&port) else { return Err(UNKNOWN) };
        let mut state = queue.lock();
        state.port = None;
        state.queue.end();
        drop(state);
        wake.push(queue);
        Ok(true)
    }

    /// The owner of a port takes no more messages; with `returns` they go back. Its number, if the peer has to be told.
    pub(crate) fn close(&mut self, queue: &Arc<PortQueue>, returns: bool) -> Option<u32> {
        let port = queue.lock().port?;
        let entry = self.ports.get_mut(&port)?;
        entry.closed = true;
        entry.returns = returns;
        if entry.references == 0 {
            self.ports.remove(&port);
            queue.lock().port = None;
        }
        Some(port)
    }

    /// How many ports the peer may address.
    pub(crate) fn exported(&self) -> usize {
        self.ports.values().filter(|port| !port.closed).count()
    }

    /// Messages of a port have been handled, or given up.
    pub(crate) fn handled(&mut self, queue: &PortQueue, amount: Window) -> Grant {
        let mut state = queue.lock();
        let lane = state.account.handled(amount);
        Grant { lane: state.port.zip(lane), link: self.account.handled(amount) }
    }

    /// Messages of a port go back.
    pub(crate) fn sent_back(&mut self, queue: &PortQueue, amount: Window) {
        queue.lock().account.sent_back(amount);
        self.account.sent_back(amount);
    }

    /// All the credit of a port that was not granted yet: its sender waits for the last of it.
    pub(crate) fn settle(&mut self, port: u32, queue: &PortQueue) -> Grant {
        let rest = queue.lock().account.rest();
        Grant { lane: (rest.messages > 0).then_some((port, rest)), link: None }
    }

    /// Takes every whole frame from `buf`. `asked` hears each question before anyone can take it.
    pub(crate) fn absorb(
        &mut self,
        buf: &mut BytesMut,
        answered: &mut Answered,
        asked: &mut dyn FnMut(u32),
    ) -> Result<(), Malformed> {
        let mut run = Run::default();
        loop {
            let rest = buf.get(run.end..).unwrap_or_default();
            let Some(Frame { kind, body, len }) = frame::peek(rest, WHOLE)? else { break };
            let body = body.len();
            if let Kind::Ask { question, .. } = kind {
                answered.new_question(question, asked);
            }
            match kind {
                Kind::Tell { port } | Kind::Ask { port, .. } if len < KEEP => {
                    if !run.takes_message_of(port) {
                        self.deliver_run(buf, &mut run, answered)?;
                    }
                    run.end += len;
                    run.port = port;
                    run.amount.messages += 1;
                    run.amount.bytes += cost(body);
                }
                Kind::Reply { question } if body <= COPY_ANSWER => {
                    if !run.takes_answer(len) {
                        self.deliver_run(buf, &mut run, answered)?;
                    }
                    run.end += len;
                    run.answers.push((question, run.end - body..run.end));
                }
                _ => {
                    self.deliver_run(buf, &mut run, answered)?;
                    self.take_single(buf, kind, len, body, answered, asked)?;
                }
            }
        }
        self.deliver_run(buf, &mut run, answered)
    }

    /// Everyone's queue ends: the link is lost.
    pub(crate) fn abandon(&mut self) -> Vec<Arc<PortQueue>> {
        self.cuts.clear();
        self.ports
            .drain()
            .map(|(_, port)| {
                let mut state = port.queue.lock();
                state.port = None;
                state.queue.end();
                drop(state);
                port.queue
            })
            .collect()
    }

    /// Moves a run of small messages, which stands at the head of `buf`, to its port, or one of small answers out.
    fn deliver_run(
        &mut self,
        buf: &mut BytesMut,
        run: &mut Run,
        answered: &mut Answered,
    ) -> Result<(), Malformed> {
        let end = std::mem::take(&mut run.end);
        if end == 0 {
            return Ok(());
        }
        let frames = buf.get(..end).unwrap_or_default();
        if run.answers.is_empty() {
            let amount = std::mem::take(&mut run.amount);
            match self.arrive(run.port, amount)? {
                Some(queue) => {
                    if queue.lock().queue.copy(frames) {
                        answered.wake.push(queue);
                    }
                }
                None => self.refuse(run.port, Bytes::copy_from_slice(frames), amount, answered),
            }
        } else {
            let frames = Bytes::copy_from_slice(frames);
            let replies = run.answers.drain(..);
            answered
                .outcomes
                .extend(replies.map(|(question, at)| (question, Outcome::Reply(frames.slice(at)))));
        }
        buf.advance(end);
        Ok(())
    }

    /// Takes one frame from the head of `buf` that is neither a small message nor a small answer.
    fn take_single(
        &mut self,
        buf: &mut BytesMut,
        kind: Kind,
        len: usize,
        body: usize,
        answered: &mut Answered,
        asked: &mut dyn FnMut(u32),
    ) -> Result<(), Malformed> {
        let take_body = |buf: &mut BytesMut| {
            buf.advance(len - body);
            if body <= COPY_ANSWER {
                let bytes = Bytes::copy_from_slice(buf.get(..body).unwrap_or_default());
                buf.advance(body);
                bytes
            } else {
                buf.split_to(body).freeze()
            }
        };
        match kind {
            Kind::Tell { .. } | Kind::Ask { .. } => {
                let frame = buf.split_to(len).freeze();
                self.deliver_kept(kind, frame, body, answered)?;
            }
            Kind::Reply { question } => answered.outcomes.push((question, Outcome::Reply(take_body(buf)))),
            Kind::Fail { question, failure } => {
                answered.outcomes.push((question, Outcome::Fail(failure, take_body(buf))));
            }
            Kind::Closed { port } => answered.closed.push((port, take_body(buf))),
            Kind::Return { port, question } => {
                let body = take_body(buf);
                answered.returned.push(Returned { port, question, body });
            }
            Kind::Release { port, count } => {
                buf.advance(len);
                if self.release(port, u64::from(count), &mut answered.wake)? {
                    answered.released.push(port);
                }
            }
            Kind::Cancel { question } => {
                buf.advance(len);
                if question as usize >= MAX_QUESTIONS {
                    return Err(Malformed("cancel: of no question"));
                }
                answered.cancelled.push(question);
            }
            Kind::Cut { slot, last } => {
                buf.advance(len - body);
                self.join(slot, last, buf.get(..body).unwrap_or_default(), answered, asked)?;
                buf.advance(body);
            }
        }
        Ok(())
    }

    /// Adds a piece to a cut frame. The memory grows with what has arrived, never with what is announced.
    fn join(
        &mut self,
        slot: u32,
        last: bool,
        piece: &[u8],
        answered: &mut Answered,
        asked: &mut dyn FnMut(u32),
    ) -> Result<(), Malformed> {
        // The head of the message and its reference table come on top of what the sender counts as the message.
        let limit = self.limits.max_message + WHOLE;
        if !self.cuts.contains_key(&slot) && self.cuts.len() >= MAX_CUTS {
            return Err(Malformed("cut frame: too many at a time"));
        }
        let joined = self.cuts.entry(slot).or_default();
        joined.extend_from_slice(piece);
        if joined.len() > limit {
            return Err(Malformed("cut frame: beyond the limit"));
        }
        if !last {
            return Ok(());
        }
        let mut whole = self.cuts.remove(&slot).unwrap_or_default().freeze();
        let Some(Frame { kind, body, len }) = frame::peek(&whole, limit)? else {
            return Err(Malformed("cut frame: incomplete"));
        };
        if len != whole.len() {
            return Err(Malformed("cut frame: longer than it says"));
        }
        let body = body.len();
        if let Kind::Ask { question, .. } = kind {
            answered.new_question(question, asked);
        }
        match kind {
            Kind::Tell { .. } | Kind::Ask { .. } => self.deliver_kept(kind, whole, body, answered)?,
            Kind::Reply { question } => {
                whole.advance(len - body);
                answered.outcomes.push((question, Outcome::Reply(whole)));
            }
            Kind::Fail { question, failure } => {
                whole.advance(len - body);
                answered.outcomes.push((question, Outcome::Fail(failure, whole)));
            }
            Kind::Return { port, question } => {
                whole.advance(len - body);
                answered.returned.push(Returned { port, question, body: whole });
            }
            _ => return Err(Malformed("cut frame: of a kind that is never long")),
        }
        Ok(())
    }

    fn deliver_kept(
        &mut self,
        kind: Kind,
        frame: Bytes,
        body: usize,
        answered: &mut Answered,
    ) -> Result<(), Malformed> {
        let (Kind::Tell { port } | Kind::Ask { port, .. }) = kind else { return Ok(()) };
        let amount = Window { messages: 1, bytes: cost(body) };
        match self.arrive(port, amount)? {
            Some(queue) => {
                if queue.lock().queue.keep(frame) {
                    answered.wake.push(queue);
                }
            }
            None => self.refuse(port, frame, amount, answered),
        }
        Ok(())
    }

    /// Counts messages in; the queue that takes them, or `None` if the port takes none any more.
    fn arrive(&mut self, port: u32, amount: Window) -> Result<Option<Arc<PortQueue>>, Malformed> {
        self.account.arrived(amount)?;
        // A port stays until the peer has given back all its references, so one that is not there was never named.
        let entry = self.ports.get(&port).ok_or(Malformed("message: to no port"))?;
        entry.queue.lock().account.arrived(amount)?;
        Ok((!entry.closed).then(|| Arc::clone(&entry.queue)))
    }

    /// Answers asks to a closed port, and hands the tells to whoever counts them; or sends both back.
    fn refuse(&mut self, port: u32, frames: Bytes, amount: Window, answered: &mut Answered) {
        let mut frames = frame::Frames::new(frames);
        if let Some(Port { returns: true, queue, .. }) = self.ports.get(&port) {
            let queue = Arc::clone(queue);
            while let Some((kind, body)) = frames.next() {
                answered.returning.push(Returned::of(port, kind, body));
            }
            return self.sent_back(&queue, amount);
        }
        while let Some((kind, body)) = frames.next() {
            if let Kind::Ask { question, .. } = kind {
                answered.refused.push(question);
            }
            answered.dead.push((port, Bytes::copy_from_slice(body)));
        }
        let Some(queue) = self.ports.get(&port).map(|entry| Arc::clone(&entry.queue)) else { return };
        answered.grants.push(self.handled(&queue, amount));
    }
}
