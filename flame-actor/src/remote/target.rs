//! Where a message to an actor of another node goes: over a lane, or, while the actor is still being placed, into a
//! bounded queue before it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use flame_transport::{Answer, AskError, Body, Lane, NodeId};
use tokio::sync::oneshot;

use super::{
    error::{DownReason, SendError},
    peer::Peer,
    reference::{Encoded, Ready},
};
use crate::watch::{EndWatch, Notify};

/// An actor of another node. There is one target for each, shared by all references to it.
pub(crate) struct Remote {
    route: OnceLock<Route>,
    waiting: Mutex<Waiting>,
    /// The target of the same actor that was there before, while the actor was being placed and gave itself away already.
    first: OnceLock<Arc<Remote>>,
}

struct Route {
    peer: Arc<Peer>,
    lane: Lane,
}

/// Messages for an actor that is not there yet.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Encoded, Option<Done>)>,
    bytes: usize,
    /// Who wants to know of its end.
    watchers: Vec<Notify>,
    failed: Option<DownReason>,
    /// Who waits for the actor to be there.
    wakers: Vec<Waker>,
}

pub(super) type Done = Box<dyn FnOnce(Result<Bytes, SendError>) + Send>;

/// How a message that finds no room behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is refused.
    None,
    /// It waits within the lane's bound.
    Bounded,
    /// It waits, and whoever sends it sends no other before there is room.
    InTurn,
}

impl Remote {
    /// The most messages that wait for an actor that is being placed.
    const MAX_WAITING: usize = 1024;
    /// The most bytes of them, the last message not counted.
    const MAX_WAITING_BYTES: usize = 1024 * 1024;

    /// An actor that is being placed.
    pub(crate) fn unconnected() -> Arc<Self> {
        Arc::new(Self { route: OnceLock::new(), waiting: Mutex::default(), first: OnceLock::new() })
    }

    pub(super) fn connected(peer: Arc<Peer>, lane: Lane) -> Arc<Self> {
        let remote = Self::unconnected();
        let _ = remote.route.set(Route { peer, lane });
        remote
    }

    /// The actor is there: what waits goes on its way, in order, before anything else.
    pub(super) fn connect(&self, peer: Arc<Peer>, lane: Lane) {
        let mut waiting = self.waiting();
        for (message, done) in std::mem::take(&mut waiting.messages) {
            match done {
                None => report_dead(&peer, tell(&peer, &lane, Ready::Referring(message), Patience::Bounded)),
                Some(done) => ask_then(&peer, &lane, message, done),
            }
        }
        for watcher in std::mem::take(&mut waiting.watchers).into_iter().filter(Notify::is_wanted) {
            // It cannot be taken back any more; if nobody listens by then, its word is lost on nobody.
            drop(peer.watch(lane.port(), watcher));
        }
        // Set while nobody else can queue, so that later messages come after those above.
        let _ = self.route.set(Route { peer, lane });
        std::mem::take(&mut waiting.wakers).into_iter().for_each(Waker::wake);
    }

    /// The actor will never be there.
    pub(crate) fn fail(&self, reason: &DownReason) {
        let mut waiting = self.waiting();
        waiting.failed = Some(reason.clone());
        let messages = std::mem::take(&mut waiting.messages);
        let watchers = std::mem::take(&mut waiting.watchers);
        std::mem::take(&mut waiting.wakers).into_iter().for_each(Waker::wake);
        drop(waiting);
        watchers.into_iter().for_each(|watcher| watcher.tell(reason.clone()));
        for (_, done) in messages {
            match done {
                Some(done) => done(Err(SendError::Gone(reason.clone()))),
                None => {
                    tracing::debug!(target: "flame::dead_letter", %reason, "a message to an actor that was not started")
                }
            }
        }
    }

    /// The actor has a target already, which this one equals from now on.
    pub(super) fn equals(&self, first: &Arc<Self>) {
        let _ = self.first.set(Arc::clone(first));
    }

    /// Tells targets apart; one that is still held is never another's.
    pub(super) fn identity(&self) -> usize {
        self.first.get().map_or(std::ptr::from_ref(self), Arc::as_ptr).addr()
    }

    pub(crate) fn peer(&self) -> Option<&Arc<Peer>> {
        self.route.get().map(|route| &route.peer)
    }

    /// The actor's port, if it is one of this peer's.
    pub(super) fn port_on(&self, peer: &Arc<Peer>) -> Option<u32> {
        self.route.get().filter(|route| Arc::ptr_eq(&route.peer, peer)).map(|route| route.lane.port())
    }

    pub(crate) fn node(&self) -> Option<&NodeId> {
        self.peer().map(|peer| peer.node())
    }

    pub(crate) fn port(&self) -> Option<u32> {
        self.route.get().map(|route| route.lane.port())
    }

    /// The longest message it takes, in bytes.
    pub(crate) fn max_message(&self) -> usize {
        const USUAL: usize = 16 * 1024 * 1024;
        self.peer().map_or(USUAL, |peer| peer.max_message())
    }

    /// Sends a message that has no answer.
    pub(crate) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        if let Some(route) = self.route.get() {
            return tell(&route.peer, &route.lane, message, patience);
        }
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(route) => tell(&route.peer, &route.lane, message, patience),
            None => waiting.push(message.into_encoded(), None),
        }
    }

    /// Sends a message that is answered. It is in the actor's order when this returns.
    pub(crate) fn ask(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        if let Some(route) = self.route.get() {
            return ask(&route.peer, &route.lane, message, patience);
        }
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(route) => ask(&route.peer, &route.lane, message, patience),
            None => {
                let (sender, receiver) = oneshot::channel();
                let done: Done = Box::new(move |outcome| drop(sender.send(outcome)));
                waiting.push(message.into_encoded(), Some(done))?;
                Ok(Pending::Queued(receiver))
            }
        }
    }

    /// As [`Remote::ask`], the outcome going to `done`, which is called once, on any thread.
    pub(super) fn ask_then(&self, message: Ready<'_>, done: Done) {
        if let Some(route) = self.route.get() {
            return ask_then(&route.peer, &route.lane, message.into_encoded(), done);
        }
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(route) => ask_then(&route.peer, &route.lane, message.into_encoded(), done),
            None => {
                // Refused, it is dropped, and with it the one who waits.
                let _ = waiting.push(message.into_encoded(), Some(done));
            }
        }
    }

    /// Has someone told of the actor's end.
    pub(super) fn watch(&self, notify: Notify) -> EndWatch {
        let Some(route) = self.route.get() else { return self.watch_unconnected(notify) };
        match self.closed() {
            Some(reason) => {
                notify.tell(reason);
                Box::new(|| {})
            }
            None => route.peer.watch(route.lane.port(), notify),
        }
    }

    /// Why the actor takes no more messages, if its node has said so.
    pub(super) fn closed(&self) -> Option<DownReason> {
        let watch = self.route.get()?.lane.watch();
        match watch.poll_closed(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flame_transport::SendError::Closed { reason }) => Some(DownReason::decode(&reason)),
            _ => None,
        }
    }

    fn watch_unconnected(&self, notify: Notify) -> EndWatch {
        let mut waiting = self.waiting();
        match (self.route.get(), waiting.failed.clone()) {
            (Some(route), _) => return route.peer.watch(route.lane.port(), notify),
            (None, None) => {
                waiting.watchers.retain(Notify::is_wanted);
                waiting.watchers.push(notify);
            }
            (None, Some(reason)) => {
                drop(waiting);
                notify.tell(reason);
            }
        }
        Box::new(|| {})
    }

    /// Waits for the actor's lane; an error if it will never be there.
    pub(super) fn poll_lane(&self, cx: &mut Context<'_>) -> Poll<Result<&Lane, DownReason>> {
        if let Some(route) = self.route.get() {
            return Poll::Ready(Ok(&route.lane));
        }
        let mut waiting = self.waiting();
        match (self.route.get(), &waiting.failed) {
            (Some(route), _) => Poll::Ready(Ok(&route.lane)),
            (None, Some(reason)) => Poll::Ready(Err(reason.clone())),
            (None, None) => {
                waiting.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether nothing can reach the actor any more.
    pub(super) fn is_gone(&self) -> bool {
        self.peer().and_then(|peer| peer.link()).is_some_and(|link| link.lost().is_some())
    }

    /// Whether the actor is known to be no more, or its node.
    pub(super) fn is_over(&self) -> bool {
        match self.route.get() {
            Some(route) => route.lane.is_closed(),
            None => self.waiting().failed.is_some(),
        }
    }

    /// Where the actor is, for people.
    pub(super) fn place(&self) -> String {
        match (self.node(), self.port()) {
            (Some(node), Some(port)) => format!("{node}:{port}"),
            _ => "being placed".to_owned(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, message: Encoded, done: Option<Done>) -> Result<(), SendError> {
        if let Some(reason) = &self.failed {
            return Err(SendError::Gone(reason.clone()));
        }
        if self.messages.len() >= Remote::MAX_WAITING || self.bytes >= Remote::MAX_WAITING_BYTES {
            return Err(SendError::Full);
        }
        self.bytes += message.len();
        self.messages.push_back((message, done));
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(Route { peer, lane }) = self.route.get() {
            peer.forget(lane.port());
        }
    }
}

/// An answer under way.
pub(crate) enum Pending {
    /// Over the link; dropping it cancels.
    Asked(Answer, NodeId),
    /// Behind something that had to come first.
    Queued(oneshot::Receiver<Result<Bytes, SendError>>),
}

impl Future for Pending {
    type Output = Result<Bytes, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Asked(answer, node) => {
                Pin::new(answer).poll(cx).map_err(|error| SendError::from_ask(error, node))
            }
            // Dropped unanswered only with the target that held the queue.
            Self::Queued(receiver) => {
                Pin::new(receiver).poll(cx).map(|outcome| outcome.unwrap_or(Err(SendError::NoReply)))
            }
        }
    }
}

fn tell(peer: &Arc<Peer>, lane: &Lane, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
    let send = |body| match patience {
        Patience::None => lane.try_tell(body),
        Patience::Bounded => lane.tell(body),
        Patience::InTurn => lane.tell_in_turn(body),
    };
    match message {
        Ready::Plain(body) => send(body).map_err(|error| SendError::from_send(error, peer.node())),
        Ready::Referring(encoded) => {
            let sendable = encoded.for_link(peer).map_err(|_| SendError::Unreachable)?;
            let sent = send(Body::Own(sendable.body.clone()));
            sent.map_err(|error| SendError::from_send(error, peer.node()))?;
            sendable.sent();
            Ok(())
        }
    }
}

fn ask(peer: &Arc<Peer>, lane: &Lane, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
    let send = |body| match patience {
        Patience::None => lane.try_ask(body),
        Patience::Bounded | Patience::InTurn => lane.ask(body),
    };
    let asked = match message {
        Ready::Plain(body) => send(body),
        Ready::Referring(encoded) => {
            let sendable = encoded.for_link(peer).map_err(|_| SendError::Unreachable)?;
            send(Body::Own(sendable.body.clone())).inspect(|_| sendable.sent())
        }
    };
    let answer = asked.map_err(|error| SendError::from_send(error, peer.node()))?;
    Ok(Pending::Asked(answer, peer.node().clone()))
}

fn ask_then(peer: &Arc<Peer>, lane: &Lane, message: Encoded, done: Done) {
    let Ok(sendable) = message.for_link(peer) else { return done(Err(SendError::Unreachable)) };
    let done = Arc::new(Mutex::new(Some(done)));
    let finish = {
        let (done, node) = (Arc::clone(&done), peer.node().clone());
        move |outcome: Result<Bytes, AskError>| {
            if let Some(done) = take(&done) {
                done(outcome.map_err(|error| SendError::from_ask(error, &node)));
            }
        }
    };
    match lane.ask_then(Body::Own(sendable.body.clone()), finish) {
        Ok(_) => sendable.sent(),
        Err(error) => {
            if let Some(done) = take(&done) {
                done(Err(SendError::from_send(error, peer.node())));
            }
        }
    }
}

fn take(done: &Mutex<Option<Done>>) -> Option<Done> {
    done.lock().unwrap_or_else(PoisonError::into_inner).take()
}

pub(super) fn report_dead(peer: &Peer, sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::debug!(target: "flame::dead_letter", peer = %peer.node(), %error, "a message was not sent");
    }
}
