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
    line::{Done, Line, Patience, Pending, report_dead},
    outgoing::{hand_over, is_hand_over},
    peer::{Peer, TakesBack},
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
    me: Weak<Supervised>,
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
    failed: Vec<(Done, SendError)>,
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
        Arc::new_cyclic(|me| {
            let mut state =
                State { me: me.clone(), machine, line: None, orders: VecDeque::new(), wakers: Vec::new() };
            // The first start, and nothing else.
            drop(state.sort(actions, &mut After::default()));
            Self {
                state: Mutex::new(state),
                changed: tokio::sync::Notify::new(),
                abandoned: AtomicBool::new(false),
                max_message,
            }
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
        let mut state = self.state();
        let charge = state.charge(incarnation);
        let mut after = After::default();
        let lane = peer.returning_lane(port, Arc::new(charge));
        let is_lost = lane.is_none();
        let line = lane.map(|lane| (incarnation, Line { peer: Arc::clone(peer), lane }));
        let before = std::mem::replace(&mut state.line, line);
        state.on(Event::Started(incarnation), &mut after);
        if is_lost {
            state.on(Event::Settled(incarnation), &mut after);
        }
        // It may have ended before its start was told, or it ends now for the next one: then something may still return.
        let unused = if state.machine.is_settled() { state.line.take() } else { None };
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
        self.state().serving().map(|(_, line)| line.clone())
    }

    pub(super) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        let mut state = self.state();
        if let Some((_, line)) = state.serving() {
            match line.tell_lent(&message, patience) {
                Err(error) if is_end(&error) => state.fall_silent(),
                sent => return sent,
            }
        }
        self.post(state, message.into_encoded(), None)
    }

    pub(super) fn ask(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        let (done, pending) = Pending::queued();
        self.ask_or_post(message, patience, done).map(|()| pending).map_err(|(error, _)| error)
    }

    pub(super) fn ask_then(&self, message: Encoded, done: Done) {
        let asked = self.ask_or_post(Ready::Referring(message), Patience::InTurn, done);
        if let Err((error, Some(done))) = asked {
            done.call(Err(error));
        }
    }

    fn ask_or_post(
        &self,
        message: Ready<'_>,
        patience: Patience,
        mut done: Done,
    ) -> Result<(), (SendError, Option<Done>)> {
        let mut state = self.state();
        if let Some((incarnation, line)) = state.serving().cloned() {
            match line.ask_lent(&message, patience, done, state.charge(incarnation).way_back()) {
                Err((error, Some(unasked))) if is_end(&error) => done = unasked,
                asked => return asked,
            }
            state.fall_silent();
        }
        self.post(state, message.into_encoded(), Some(done)).map_err(|error| (error, None))
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
        if let Some((_, line)) = state.serving() {
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
        after.refused.into_iter().for_each(|(letter, refusal)| refuse(letter, &refusal.into()));
        after.failed.into_iter().for_each(|(done, error)| done.call(Err(error)));
        drop(after.ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn charge(&self, incarnation: Incarnation) -> Charge {
        Charge { supervised: self.me.clone(), incarnation }
    }

    /// The way to the incarnation that serves.
    fn serving(&mut self) -> Option<&(Incarnation, Line)> {
        let serving = self.machine.serving()?;
        if !self.line.as_ref().is_some_and(|(there, line)| *there == serving && !line.lane.is_closed()) {
            // Its end, or the loss of its node, is about to be told.
            self.fall_silent();
            return None;
        }
        self.line.as_ref()
    }

    /// The lane to the incarnation that serves has ended.
    fn fall_silent(&mut self) {
        if let Some(serving) = self.machine.serving() {
            self.machine.on(Event::Silent(serving), Instant::now(), &mut Vec::new());
        }
    }

    fn on(&mut self, event: Event<Letter, Encoded>, after: &mut After) {
        let mut actions = Vec::new();
        let (was_serving, woke) = (self.machine.serving(), self.machine.next_wake());
        self.machine.on(event, Instant::now(), &mut actions);
        let unsent = self.sort(actions, after);
        if self.machine.serving() != was_serving {
            after.wakers.append(&mut self.wakers);
        }
        let wake = self.machine.next_wake();
        after.changed |= wake != woke;
        after.changed |= self.machine.gone().is_some();
        if self.machine.is_settled() && (wake.is_some() || self.machine.gone().is_some()) {
            after.ended = self.line.take();
        }
        // The lane had ended before they could be sent.
        for (incarnation, message) in unsent {
            let bytes = message.0.len();
            self.on(Event::Returned { incarnation, message, bytes }, after);
        }
    }

    /// Does what can be done at once, and returns what could not be delivered.
    fn sort(
        &mut self,
        actions: Vec<Action<Letter, Notify, Encoded>>,
        after: &mut After,
    ) -> Vec<(Incarnation, Letter)> {
        let mut unsent = Vec::new();
        for action in actions {
            let order = match action {
                Action::Deliver { incarnation, message } => {
                    unsent.extend(
                        self.deliver(incarnation, message, after).map(|message| (incarnation, message)),
                    );
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
        unsent
    }

    /// Puts a message onto the lane of an incarnation. It comes back if that has ended.
    fn deliver(
        &self,
        incarnation: Incarnation,
        (message, done): Letter,
        after: &mut After,
    ) -> Option<Letter> {
        let Some((_, line)) = self.line.as_ref().filter(|(there, _)| *there == incarnation) else {
            return Some((message, done));
        };
        let message = Ready::Referring(message);
        let Some(done) = done else {
            return match line.tell_lent(&message, Patience::Bounded) {
                Err(error) if is_end(&error) => Some((message.into_encoded(), None)),
                sent => {
                    report_dead(&line.peer, sent);
                    None
                }
            };
        };
        if done.is_unwanted() {
            return None;
        }
        match line.ask_lent(&message, Patience::InTurn, done, self.charge(incarnation).way_back()) {
            Ok(()) => None,
            Err((error, done)) if is_end(&error) => Some((message.into_encoded(), done)),
            Err((error, done)) => {
                after.failed.extend(done.map(|done| (done, error)));
                None
            }
        }
    }
}

/// Whether a message was not sent because its lane has ended.
fn is_end(error: &SendError) -> bool {
    matches!(error, SendError::Gone(_) | SendError::NodeLost { .. })
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

    /// Where an ask goes that the incarnation did not handle.
    fn way_back(self) -> impl FnOnce(Encoded, Done) + Send {
        move |message, done| self.return_letter((message, Some(done)))
    }

    fn return_letter(&self, letter: Letter) {
        match self.supervised.upgrade() {
            Some(supervised) => {
                let (bytes, incarnation) = (letter.0.len(), self.incarnation);
                supervised.feed(Event::Returned { incarnation, message: letter, bytes });
            }
            None => refuse(letter, &SendError::Gone(DownReason::Stopped)),
        }
    }
}

impl TakesBack for Charge {
    fn take_back(&self, message: Encoded) {
        if !is_hand_over(&message) {
            self.return_letter((message, None));
        }
    }

    fn settled(&self) {
        self.feed(Event::Settled);
    }
}

/// Tells whoever has to hear of it that a message is not delivered.
fn refuse((message, done): Letter, error: &SendError) {
    drop(message);
    match done {
        Some(done) => done.call(Err(error.clone())),
        None => {
            tracing::debug!(target: "flame::dead_letter", %error, "a message to an actor that was not started again");
            dead_letters::publish(None, None, error);
        }
    }
}
