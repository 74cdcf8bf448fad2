//! The address of a supervised actor, which stays valid over its restarts.
//!
//! What is decided is the machine's ([`crate::supervise::machine`]). Here messages and watchers are brought to it, and its
//! messages onto the lane of the incarnation that serves, all under one lock, which makes their order. What takes its
//! time (an incarnation is placed, or told to stop) is left to the actor's *keeper*, which takes it with
//! [`Supervised::orders`].

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use flame_transport::{Body, Lane};

use super::{
    error::{DownReason, SendError},
    line::{Done, Line, Patience, Pending},
    outgoing::hand_over,
    peer::Peer,
    reference::{Encoded, Ready},
};
use crate::{
    dead_letters,
    supervise::{
        machine::{Action, Event, Incarnation, Machine, Refusal},
        policy::Policy,
    },
    watch::{EndWatch, Notify},
};

/// One supervised actor, through all of its incarnations.
pub(crate) struct Supervised {
    state: Mutex<State>,
    /// Wakes the keeper.
    changed: tokio::sync::Notify,
    /// The last address is gone.
    abandoned: AtomicBool,
    max_message: usize,
}

struct State {
    machine: Machine<Letter, Notify, Encoded>,
    /// To the incarnation that serves.
    line: Option<(Incarnation, Line)>,
    orders: VecDeque<Order>,
    /// Who waits for a lane.
    wakers: Vec<Waker>,
}

/// A message, and what is to be done with its answer if it is to have one.
type Letter = (Encoded, Option<Done>);

/// What the keeper has to do.
pub(crate) enum Order {
    Start { incarnation: Incarnation, from: Arc<Encoded> },
    Cancel(Incarnation),
    Stop { incarnation: Incarnation, reason: DownReason, grace: Option<Duration> },
    Report { reason: DownReason, restarts: usize, delay: Duration },
}

/// What is done when the lock is free: it may lead anywhere.
#[derive(Default)]
struct After {
    refused: Vec<(Letter, Refusal)>,
    told: Vec<(Notify, DownReason)>,
    wakers: Vec<Waker>,
    ended: Option<(Incarnation, Line)>,
    changed: bool,
}

impl Supervised {
    /// An actor that is to be started from `value`, by whoever takes the [orders](Self::orders).
    pub(crate) fn new(policy: Policy, value: Encoded, max_message: usize) -> Arc<Self> {
        let mut actions = Vec::new();
        let machine = Machine::new(policy, value, &mut actions);
        let mut state = State { machine, line: None, orders: VecDeque::new(), wakers: Vec::new() };
        state.sort(actions, &mut After::default());
        Arc::new(Self {
            state: Mutex::new(state),
            changed: tokio::sync::Notify::new(),
            abandoned: AtomicBool::new(false),
            max_message,
        })
    }

    /// Tells the machine what happened.
    pub(crate) fn feed(&self, event: Event<Letter, Encoded>) {
        let mut state = self.state();
        let mut after = After::default();
        state.on(event, &mut after);
        drop(state);
        self.finish(after);
    }

    /// An incarnation takes messages at a port which its node has named once.
    pub(crate) fn started(&self, incarnation: Incarnation, peer: &Arc<Peer>, port: u32) {
        let Some(link) = peer.link() else { return };
        let line = Line { peer: Arc::clone(peer), lane: link.lane(port) };
        let mut state = self.state();
        let mut after = After::default();
        let before = state.line.replace((incarnation, line));
        state.on(Event::Started(incarnation), &mut after);
        // It may have ended before its start was told.
        let unused = if state.machine.serving() == Some(incarnation) { None } else { state.line.take() };
        drop(state);
        drop((before, unused));
        self.finish(after);
    }

    /// What the keeper has to do, and when it has to [tick](Event::Tick).
    pub(crate) fn orders(&self) -> (VecDeque<Order>, Option<Instant>) {
        let mut state = self.state();
        (std::mem::take(&mut state.orders), state.machine.next_wake())
    }

    /// Waits until there may be something for the keeper.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether nobody has an address any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Why the actor is gone for good, if it is.
    pub(crate) fn gone(&self) -> Option<DownReason> {
        self.state().machine.gone().cloned()
    }

    pub(super) fn abandon(&self) {
        // Not told to the machine here: the last address may go in the middle of anything.
        self.abandoned.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn max_message(&self) -> usize {
        self.max_message
    }

    /// To the incarnation that serves.
    pub(super) fn line(&self) -> Option<Line> {
        self.state().serving().cloned()
    }

    pub(super) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        let mut state = self.state();
        match state.serving() {
            Some(line) => line.tell(message, patience),
            None => self.post(state, message.into_encoded(), None),
        }
    }

    pub(super) fn ask(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        let mut state = self.state();
        match state.serving() {
            Some(line) => line.ask(message, patience),
            None => {
                let (done, pending) = Pending::queued();
                self.post(state, message.into_encoded(), Some(done))?;
                Ok(pending)
            }
        }
    }

    pub(super) fn ask_then(&self, message: Encoded, done: Done) {
        let mut state = self.state();
        match state.serving() {
            Some(line) => line.ask_then(message, done),
            None => {
                // Refused, it is dropped, and with it the one who waits.
                let _ = self.post(state, message, Some(done));
            }
        }
    }

    pub(super) fn watch(self: &Arc<Self>, notify: Notify) -> EndWatch {
        let placed = self.state().machine.watch(notify);
        match placed {
            Ok(id) => {
                let supervised = Arc::downgrade(self);
                Box::new(move || {
                    let known = supervised.upgrade().and_then(|this| this.state().machine.unwatch(id));
                    drop(known);
                })
            }
            Err((notify, reason)) => {
                notify.tell(reason);
                Box::new(|| {})
            }
        }
    }

    /// Waits for a lane that takes messages.
    pub(super) fn poll_lane(&self, cx: &mut Context<'_>) -> Poll<Result<Lane, DownReason>> {
        let mut state = self.state();
        if let Some(reason) = state.machine.gone() {
            return Poll::Ready(Err(reason.clone()));
        }
        if let Some(line) = state.serving() {
            return Poll::Ready(Ok(line.lane.clone()));
        }
        state.wakers.retain(|waker| !waker.will_wake(cx.waker()));
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    fn post(
        &self,
        mut state: MutexGuard<'_, State>,
        message: Encoded,
        done: Option<Done>,
    ) -> Result<(), SendError> {
        let bytes = message.len();
        let mut after = After::default();
        state.on(Event::Message { message: (message, done), bytes }, &mut after);
        drop(state);
        // Nobody else's message can have been refused by this one's coming.
        let refused = after.refused.pop();
        self.finish(after);
        refused.map_or(Ok(()), |(_, refusal)| Err(refusal.into()))
    }

    fn finish(&self, after: After) {
        if after.changed {
            self.changed.notify_one();
        }
        after.wakers.into_iter().for_each(Waker::wake);
        after.told.into_iter().for_each(|(notify, reason)| notify.tell(reason));
        for ((message, done), refusal) in after.refused {
            drop(message);
            let error = SendError::from(refusal);
            match done {
                Some(done) => done(Err(error)),
                None => {
                    tracing::debug!(target: "flame::dead_letter", %error, "a message to an actor that was not started again");
                    dead_letters::publish(None, None, &error);
                }
            }
        }
        drop(after.ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The way to the incarnation that serves.
    fn serving(&mut self) -> Option<&Line> {
        let serving = self.machine.serving()?;
        let (incarnation, line) = self.line.as_ref()?;
        if *incarnation == serving && !line.lane.is_closed() {
            return self.line.as_ref().map(|(_, line)| line);
        }
        // Its end, or the loss of its node, is about to be told.
        self.machine.on(Event::Silent(serving), Instant::now(), &mut Vec::new());
        None
    }

    fn on(&mut self, event: Event<Letter, Encoded>, after: &mut After) {
        let mut actions = Vec::new();
        let (was_serving, woke) = (self.machine.serving(), self.machine.next_wake());
        self.machine.on(event, Instant::now(), &mut actions);
        self.sort(actions, after);
        if self.machine.serving() != was_serving {
            after.wakers.append(&mut self.wakers);
        }
        let wake = self.machine.next_wake();
        after.changed |= wake != woke;
        if wake.is_some() || self.machine.gone().is_some() {
            after.changed |= self.machine.gone().is_some();
            after.ended = self.line.take();
        }
    }

    fn sort(&mut self, actions: Vec<Action<Letter, Notify, Encoded>>, after: &mut After) {
        for action in actions {
            let order = match action {
                Action::Deliver { incarnation, message: (message, done) } => {
                    match &self.line {
                        Some((there, line)) if *there == incarnation => line.send_waiting(message, done),
                        // Its link went before it could be used; the machine will hear of it.
                        _ => after.refused.push(((message, done), Refusal::Restarting)),
                    }
                    continue;
                }
                Action::HandOver(incarnation) => {
                    if let Some((there, line)) = &self.line
                        && *there == incarnation
                    {
                        // On a lost link the loss is the answer.
                        let _ = line.lane.tell_in_turn(Body::Copy(&hand_over()));
                    }
                    continue;
                }
                Action::Refuse { message, refusal } => {
                    after.refused.push((message, refusal));
                    continue;
                }
                Action::Notify { watcher, reason } => {
                    after.told.push((watcher, reason));
                    continue;
                }
                Action::Start { incarnation, from } => Order::Start { incarnation, from },
                Action::Cancel(incarnation) => Order::Cancel(incarnation),
                Action::Stop { incarnation, reason, grace } => Order::Stop { incarnation, reason, grace },
                Action::Report { reason, restarts, delay } => Order::Report { reason, restarts, delay },
            };
            self.orders.push_back(order);
            after.changed = true;
        }
    }
}

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Restarting => Self::Restarting,
            Refusal::Gone(reason) => Self::Gone(reason),
        }
    }
}

/// What a pool remembers of a supervised child on one of its runners.
#[derive(Clone)]
pub(crate) struct Charge {
    pub(crate) supervised: Weak<Supervised>,
    pub(crate) incarnation: Incarnation,
}

impl Charge {
    pub(crate) fn feed(&self, event: impl FnOnce(Incarnation) -> Event<Letter, Encoded>) {
        if let Some(supervised) = self.supervised.upgrade() {
            supervised.feed(event(self.incarnation));
        }
    }
}
