//! What the tasks of a link, its lanes and its inboxes share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use tokio::sync::{oneshot, watch};

use super::{AskError, LinkLost, Service, bulk::Bulks, lease::Pulse};
use crate::{
    Joined, NodeId,
    lane::{
        Abandoned, Answered, Body, Grant, Homecoming, Limits, Outcome, PortQueue, Receiver, Returned, Sender,
        Settled, Unsent, UnsentBody, Window,
    },
    wire::{
        Malformed,
        control::{self, Control},
        frame::{Failure, Kind},
    },
};
use bytes::Bytes;

/// A control buffer this large is not being read by the peer.
const CONTROL_LIMIT: usize = 4 * 1024 * 1024;

/// Who waits for an answer.
pub(super) enum Waiter {
    /// A future.
    Future(oneshot::Sender<Result<Bytes, AskError>>),
    /// Someone who is to be called, on the network thread.
    Callback(Callback),
    /// The same, who takes the message back if it comes home.
    Keeper(Callback),
}

pub(super) type Callback = Box<dyn FnOnce(Result<Bytes, AskError>) + Send>;

impl Waiter {
    /// Hands over the outcome; an answer comes back if nobody waits any more.
    pub(super) fn wake(self, outcome: Result<Bytes, AskError>) -> Option<Bytes> {
        match self {
            Self::Future(sender) => sender.send(outcome).err()?.ok(),
            Self::Callback(callback) | Self::Keeper(callback) => {
                callback(outcome);
                None
            }
        }
    }
}

pub(super) struct Shared {
    pub(super) local: NodeId,
    pub(super) peer: NodeId,
    pub(super) limits: Limits,
    pub(super) service: Arc<dyn Service>,
    pub(super) lost: watch::Sender<Option<LinkLost>>,
    pub(super) pulse: Pulse,
    pub(super) connection: quinn::Connection,
    pub(super) bulks: Bulks,
    /// What one stream may hold unread, and all those of the lanes.
    windows: (u32, u32),
    sender: Mutex<Outgoing<Sender<Waiter>>>,
    sender_waker: AtomicWaker,
    receiver: Mutex<Receiver>,
    control: Mutex<Outgoing<BytesMut>>,
    control_waker: AtomicWaker,
    cancels: Mutex<HashMap<u32, Cancel>>,
    /// The size of `cancels`, so that answering need not lock it while it is empty.
    cancel_count: AtomicUsize,
    closing: watch::Sender<Option<Closing>>,
}

/// How this node wants the link to end.
#[derive(Debug, Clone)]
pub(super) struct Closing {
    pub(super) reason: String,
    pub(super) flush: bool,
}

/// State that fills a stream; its writer sleeps while there is nothing to write.
struct Outgoing<T> {
    state: T,
    asleep: bool,
}

enum Cancel {
    /// Nobody waits for the answer any more.
    Cancelled,
    /// Wants to hear of it.
    Watched(Waker),
}

impl Shared {
    pub(super) fn new(joined: &Joined, service: Arc<dyn Service>) -> Self {
        let limits = joined.config.limits();
        Self {
            local: joined.local.clone(),
            peer: joined.peer.clone(),
            limits,
            service,
            lost: watch::Sender::new(None),
            pulse: Pulse::new(),
            connection: joined.connection.clone(),
            bulks: Bulks::default(),
            windows: (joined.config.stream_window(), joined.config.connection_window()),
            sender: Mutex::new(Outgoing { state: Sender::new(limits), asleep: false }),
            sender_waker: AtomicWaker::new(),
            receiver: Mutex::new(Receiver::new(limits)),
            control: Mutex::new(Outgoing { state: BytesMut::new(), asleep: false }),
            control_waker: AtomicWaker::new(),
            cancels: Mutex::new(HashMap::new()),
            cancel_count: AtomicUsize::new(0),
            closing: watch::Sender::new(None),
        }
    }

    /// Works on the sending end, and wakes the writer if there is something for it now.
    #[inline]
    pub(super) fn sender<R>(&self, work: impl FnOnce(&mut Sender<Waiter>) -> R) -> R {
        let mut outgoing = lock(&self.sender);
        let result = work(&mut outgoing.state);
        let wake = outgoing.asleep && outgoing.state.has_output();
        if wake {
            outgoing.asleep = false;
        }
        let overfull = outgoing.state.is_overfull();
        let woken = outgoing.state.take_woken();
        drop(outgoing);
        if let Some(woken) = woken {
            woken.into_iter().for_each(Waker::wake);
        }
        if wake {
            self.sender_waker.wake();
        }
        if overfull {
            self.close("the peer does not read its data stream", false);
        }
        result
    }

    /// Moves what is to be written to the data stream into `chunks`; false, and the writer asleep, if that is nothing.
    pub(super) fn poll_data(&self, waker: &Waker, chunks: &mut Vec<Bytes>) -> bool {
        self.sender_waker.register(waker);
        let mut outgoing = lock(&self.sender);
        let some = outgoing.state.take_output(chunks);
        outgoing.asleep = !some;
        some
    }

    /// Whether messages wait for credit.
    pub(super) fn has_waiting(&self) -> bool {
        lock(&self.sender).state.has_waiting()
    }

    /// The same for the control stream.
    pub(super) fn poll_control(&self, waker: &Waker, bytes: &mut BytesMut) -> bool {
        self.control_waker.register(waker);
        let mut outgoing = lock(&self.control);
        std::mem::swap(&mut outgoing.state, bytes);
        outgoing.asleep = bytes.is_empty();
        !bytes.is_empty()
    }

    pub(super) fn control(&self, frame: Control<'_>) -> bool {
        let mut outgoing = lock(&self.control);
        if outgoing.state.len() > CONTROL_LIMIT {
            drop(outgoing);
            self.close("the peer does not read its control stream", false);
            return false;
        }
        control::put(&mut outgoing.state, frame);
        let wake = std::mem::take(&mut outgoing.asleep);
        drop(outgoing);
        if wake {
            self.control_waker.wake();
        }
        true
    }

    pub(super) fn receiver(&self) -> MutexGuard<'_, Receiver> {
        lock(&self.receiver)
    }

    pub(super) fn signal(&self, body: &[u8]) -> bool {
        const MAX: usize = 16_000;
        body.len() <= MAX && self.lost.borrow().is_none() && self.control(Control::Signal(body))
    }

    /// Lets the peer send ahead on so many bulk streams without taking from the lanes.
    pub(super) fn widen(&self, bulks: u32) {
        let (stream, lanes) = self.windows;
        let window = u64::from(bulks) * u64::from(stream) + u64::from(lanes);
        self.connection.set_receive_window(quinn::VarInt::from_u64(window).unwrap_or(quinn::VarInt::MAX));
    }

    /// Waits for the end of the link.
    pub(super) async fn ended(&self) -> LinkLost {
        let mut lost = self.lost.subscribe();
        let ended = lost.wait_for(Option::is_some).await.map(|reason| reason.clone());
        // The sender lives in `self`.
        ended.ok().flatten().unwrap_or(LinkLost::TimedOut)
    }

    pub(super) fn close(&self, reason: &str, flush: bool) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            // Ending at once overrides ending when all is sent.
            let change = first || !flush;
            if change {
                let reason = closing.take().map_or_else(|| reason.to_owned(), |closing| closing.reason);
                *closing = Some(Closing { reason, flush });
            }
            change
        });
    }

    /// Waits until this node wants the link to end in the given way.
    pub(super) async fn closing(&self, flush: bool) -> String {
        let mut closing = self.closing.subscribe();
        let wanted = closing.wait_for(|closing| closing.as_ref().is_some_and(|c| c.flush == flush)).await;
        wanted.ok().and_then(|closing| closing.as_ref().map(|c| c.reason.clone())).unwrap_or_default()
    }

    pub(super) fn unexport(&self, port: u32) {
        let mut wake = Vec::new();
        // An error would say that it was not counted, and so that the link is lost.
        let _ = self.receiver().release(port, 1, &mut wake);
        wake.iter().for_each(|queue| queue.waker.wake());
    }

    pub(super) fn handled(&self, queue: &PortQueue, amount: Window) {
        let grant = self.receiver().handled(queue, amount);
        self.grant(grant);
    }

    /// Carries out what the receiving end took from the stream.
    pub(super) fn apply(&self, answered: &mut Answered) -> Result<(), Malformed> {
        for queue in answered.wake.drain(..) {
            queue.waker.wake();
        }
        let mut done = Vec::with_capacity(answered.outcomes.len());
        let mut unclaimed = Vec::new();
        let mut unsent = Vec::new();
        let mut home = Vec::new();
        let mut settled = Vec::new();
        let mut sound = Ok(());
        if !(answered.outcomes.is_empty()
            && answered.closed.is_empty()
            && answered.returned.is_empty()
            && answered.returning.is_empty()
            && answered.refused.is_empty()
            && answered.released.is_empty())
        {
            self.sender(|sender| {
                for (question, outcome) in answered.outcomes.drain(..) {
                    match sender.answered(question) {
                        Ok((Some(waiter), closed)) => done.push((waiter, outcome_of(outcome, closed))),
                        Ok((None, _)) => unclaimed.extend(outcome.reply()),
                        Err(malformed) => sound = Err(malformed),
                    }
                }
                for (port, reason) in &answered.closed {
                    let (Unsent { waiters, bodies }, ended) = sender.closed(*port, reason.clone());
                    settled.extend(ended);
                    unsent.extend(bodies);
                    done.extend(
                        waiters.into_iter().map(|w| (w, Err(AskError::Closed { reason: reason.clone() }))),
                    );
                }
                // Behind the word that their port is closed.
                for returned in answered.returned.drain(..) {
                    match sender.returned(returned) {
                        Ok((message, ended)) => {
                            home.push(message);
                            settled.extend(ended);
                        }
                        Err(malformed) => sound = Err(malformed),
                    }
                }
                for Returned { port, question, body } in answered.returning.drain(..) {
                    sender.push(Kind::Return { port, question }, Body::Own(body));
                }
                for question in answered.refused.drain(..) {
                    sender.push(Kind::Fail { question, failure: Failure::Closed }, Body::Copy(&[]));
                }
                for &port in &answered.released {
                    sender.push(Kind::Closed { port }, Body::Copy(&[]));
                }
            });
        }
        // Also when the peer has broken the protocol: what it has answered is answered.
        unclaimed.extend(done.into_iter().filter_map(|(waiter, outcome)| waiter.wake(outcome)));
        unclaimed.into_iter().for_each(|body| self.service.unclaimed(body));
        self.report(unsent);
        self.welcome(home);
        settled.into_iter().for_each(|settled| self.settled(settled));
        sound?;
        if !answered.closed.is_empty() {
            // A link that is being closed may have waited for credit of these alone.
            self.sender_waker.wake();
        }
        answered.closed.clear();
        answered.released.clear();
        answered.dead.drain(..).for_each(|(port, body)| self.service.dead_letter(port, body));
        answered.cancelled.drain(..).for_each(|question| self.cancelled(question));
        answered.grants.drain(..).for_each(|grant| self.grant(grant));
        Ok(())
    }

    /// Everyone who holds on to the link hears of its end.
    pub(super) fn fail(&self, reason: &LinkLost) {
        let first =
            self.lost.send_if_modified(|lost| lost.is_none() && lost.replace(reason.clone()).is_none());
        if !first {
            return;
        }
        self.service.losing();
        let Abandoned { unsent: Unsent { waiters, bodies }, settled, unaccounted } =
            self.sender(Sender::abandon);
        settled.into_iter().for_each(|settled| self.settled(settled));
        for waiter in waiters {
            let _ = waiter.wake(Err(AskError::Lost(reason.clone())));
        }
        self.report(bodies);
        unaccounted.into_iter().for_each(|(port, messages)| self.service.unaccounted(port, messages, reason));
        let queues = self.receiver().abandon();
        for queue in queues {
            queue.waker.wake();
        }
        let cancels = std::mem::take(&mut *lock(&self.cancels));
        for cancel in cancels.into_values() {
            if let Cancel::Watched(waker) = cancel {
                waker.wake();
            }
        }
        self.bulks.abandon();
        self.service.lost(reason);
    }

    /// Whether the asker of a question has gone; else `waker` is woken when it goes.
    pub(super) fn poll_cancelled(&self, question: u32, waker: &Waker) -> bool {
        let mut cancels = lock(&self.cancels);
        if self.lost.borrow().is_some() {
            return true;
        }
        let cancelled = matches!(cancels.get(&question), Some(Cancel::Cancelled));
        if !cancelled {
            cancels.insert(question, Cancel::Watched(waker.clone()));
            self.cancel_count.store(cancels.len(), Ordering::Release);
        }
        cancelled
    }

    /// Whether the asker of a question has gone.
    pub(super) fn is_cancelled(&self, question: u32) -> bool {
        self.cancel_count.load(Ordering::Acquire) > 0
            && matches!(lock(&self.cancels).get(&question), Some(Cancel::Cancelled))
    }

    /// A question is about to be answered, and its number free for another.
    pub(super) fn settle_question(&self, question: u32) {
        if self.cancel_count.load(Ordering::Acquire) > 0 {
            let mut cancels = lock(&self.cancels);
            cancels.remove(&question);
            self.cancel_count.store(cancels.len(), Ordering::Release);
        }
    }

    fn cancelled(&self, question: u32) {
        let mut cancels = lock(&self.cancels);
        let before = cancels.insert(question, Cancel::Cancelled);
        self.cancel_count.store(cancels.len(), Ordering::Release);
        drop(cancels);
        if let Some(Cancel::Watched(waker)) = before {
            waker.wake();
        }
    }

    /// Hands back what was not sent.
    pub(super) fn report(&self, unsent: Vec<UnsentBody>) {
        for UnsentBody { port, body, is_tell } in unsent {
            self.service.unsent(port, body, is_tell);
        }
    }

    /// The peer has handled messages of a port.
    pub(super) fn credit(&self, port: u32, messages: u64, bytes: u64) -> Result<(), Malformed> {
        if let Some(settled) = self.sender(|sender| sender.credit(port, messages, bytes))? {
            self.settled(settled);
        }
        Ok(())
    }

    /// A port is closed, and what it has not handled is here again.
    fn settled(&self, settled: Settled<Waiter>) {
        let Settled { port, unsent } = settled;
        self.welcome(unsent);
        self.service.settled(port);
    }

    /// Hands messages that had no effect to whoever wants them back.
    fn welcome(&self, messages: Vec<Homecoming<Waiter>>) {
        for Homecoming { port, body, waiter, is_tell } in messages {
            match waiter {
                Some(keeper @ Waiter::Keeper(_)) => drop(keeper.wake(Err(AskError::Returned { body }))),
                None if is_tell => self.service.returned(port, body),
                waiter => {
                    self.service.unsent(port, body, false);
                    let failed = Err(AskError::Closed { reason: Bytes::new() });
                    drop(waiter.map(|waiter| waiter.wake(failed)));
                }
            }
        }
    }

    /// Grants what is left of the credit of a port that is closed.
    pub(super) fn settle(&self, port: u32, queue: &PortQueue) {
        let grant = self.receiver().settle(port, queue);
        self.grant(grant);
    }

    fn grant(&self, grant: Grant) {
        if let Some((port, Window { messages, bytes })) = grant.lane {
            self.control(Control::Credit { port, messages, bytes });
        }
        if let Some(Window { messages, bytes }) = grant.link {
            self.control(Control::Window { messages, bytes });
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} to {:?}", self.local, self.peer)
    }
}

fn outcome_of(outcome: Outcome, closed: Option<Bytes>) -> Result<Bytes, AskError> {
    match outcome {
        Outcome::Reply(body) => Ok(body),
        Outcome::Fail(Failure::Refused, body) => Err(AskError::Refused { body }),
        Outcome::Fail(Failure::Closed, _) => Err(AskError::Closed { reason: closed.unwrap_or_default() }),
        Outcome::Fail(Failure::Dropped, _) => Err(AskError::Dropped),
    }
}

#[inline]
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // User code never runs under these locks, so a poisoned one still holds sound state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
