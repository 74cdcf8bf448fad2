//! Where a message to an actor of another node goes: over a lane; while the actor is still being placed, into a bounded
//! queue before it; or to whatever incarnation of a supervised actor there is.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use flame_transport::{Lane, NodeId};

use super::{
    error::{DownReason, SendError},
    line::{Done, Line, Patience, Pending},
    peer::Peer,
    reference::{Encoded, Ready},
    supervised::Supervised,
};
use crate::{
    dead_letters,
    watch::{EndWatch, Notify},
};

/// Something that is held as long as references to an actor or stream are, such as a slot.
pub(crate) type Keeper = Arc<dyn Any + Send + Sync>;

/// An actor of another node. There is one target for each, shared by all references to it.
pub(crate) struct Remote {
    route: OnceLock<Route>,
    waiting: Mutex<Waiting>,
    /// The target of the same actor that was there before, while the actor was being placed and gave itself away already.
    first: OnceLock<Arc<Remote>>,
    /// What is given back with the last reference.
    keeper: Mutex<Option<Keeper>>,
    /// A watch has told of the actor's end, which its lane may not know yet.
    ended: AtomicBool,
}

enum Route {
    /// To one actor, for its whole life.
    Direct(Line),
    /// To one incarnation after the other.
    Supervised(Arc<Supervised>),
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

impl Remote {
    /// The most messages that wait for an actor that is being placed.
    const MAX_WAITING: usize = 1024;
    /// The most bytes of them, the last message not counted.
    const MAX_WAITING_BYTES: usize = 1024 * 1024;

    /// An actor that is being placed.
    pub(crate) fn unconnected() -> Arc<Self> {
        Arc::new(Self {
            route: OnceLock::new(),
            waiting: Mutex::default(),
            first: OnceLock::new(),
            keeper: Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    pub(super) fn connected(peer: Arc<Peer>, lane: Lane) -> Arc<Self> {
        let remote = Self::unconnected();
        let _ = remote.route.set(Route::Direct(Line { peer, lane }));
        remote
    }

    /// An actor that is supervised.
    pub(crate) fn supervised(supervised: Arc<Supervised>) -> Arc<Self> {
        let remote = Self::unconnected();
        let _ = remote.route.set(Route::Supervised(supervised));
        remote
    }

    /// The actor is there: what waits goes on its way, in order, before anything else.
    pub(super) fn connect(&self, peer: Arc<Peer>, lane: Lane) {
        let line = Line { peer, lane };
        let mut waiting = self.waiting();
        for (message, done) in std::mem::take(&mut waiting.messages) {
            line.send_waiting(message, done);
        }
        for watcher in std::mem::take(&mut waiting.watchers).into_iter().filter(Notify::is_wanted) {
            // It cannot be taken back any more; if nobody listens by then, its word is lost on nobody.
            drop(line.peer.watch(&line.lane, watcher));
        }
        // Set while nobody else can queue, so that later messages come after those above.
        let _ = self.route.set(Route::Direct(line));
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
                Some(done) => done.call(Err(SendError::Gone(reason.clone()))),
                None => {
                    tracing::debug!(target: "flame::dead_letter", %reason, "a message to an actor that was not started");
                    dead_letters::publish(None, None, &SendError::Gone(reason.clone()));
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

    /// The actor's node, at this moment.
    pub(crate) fn peer(&self) -> Option<Arc<Peer>> {
        self.line().map(|line| line.peer)
    }

    /// The actor's port, if it is one of this peer's for the actor's whole life.
    pub(super) fn port_on(&self, peer: &Arc<Peer>) -> Option<u32> {
        match self.route.get()? {
            Route::Direct(line) if Arc::ptr_eq(&line.peer, peer) => Some(line.lane.port()),
            _ => None,
        }
    }

    pub(crate) fn node(&self) -> Option<NodeId> {
        self.line().map(|line| line.peer.node().clone())
    }

    /// The longest message it takes, in bytes.
    #[inline]
    pub(crate) fn max_message(&self) -> usize {
        const USUAL: usize = 16 * 1024 * 1024;
        match self.route.get() {
            Some(Route::Direct(line)) => line.peer.max_message(),
            Some(Route::Supervised(supervised)) => supervised.max_message(),
            None => USUAL,
        }
    }

    /// Sends a message that has no answer.
    #[inline]
    pub(crate) fn tell(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        match self.route.get() {
            Some(Route::Direct(line)) => line.tell(message, patience),
            _ => self.tell_indirectly(message, patience),
        }
    }

    fn tell_indirectly(&self, message: Ready<'_>, patience: Patience) -> Result<(), SendError> {
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(Route::Direct(line)) => line.tell(message, patience),
            Some(Route::Supervised(supervised)) => {
                drop(waiting);
                supervised.tell(message, patience)
            }
            None => waiting.push(message.into_encoded(), None),
        }
    }

    /// Sends a message that is answered. It is in the actor's order when this returns.
    #[inline]
    pub(crate) fn ask(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        match self.route.get() {
            Some(Route::Direct(line)) => line.ask(message, patience),
            _ => self.ask_indirectly(message, patience),
        }
    }

    fn ask_indirectly(&self, message: Ready<'_>, patience: Patience) -> Result<Pending, SendError> {
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(Route::Direct(line)) => line.ask(message, patience),
            Some(Route::Supervised(supervised)) => {
                drop(waiting);
                supervised.ask(message, patience)
            }
            None => {
                let (done, pending) = Pending::queued();
                waiting.push(message.into_encoded(), Some(done))?;
                Ok(pending)
            }
        }
    }

    /// As [`Remote::ask`], the outcome going to `done`, which is called once, on any thread.
    pub(super) fn ask_then(&self, message: Ready<'_>, done: Done) {
        if let Some(Route::Direct(line)) = self.route.get() {
            return line.ask_then(message.into_encoded(), done);
        }
        let mut waiting = self.waiting();
        match self.route.get() {
            Some(Route::Direct(line)) => line.ask_then(message.into_encoded(), done),
            Some(Route::Supervised(supervised)) => {
                drop(waiting);
                supervised.ask_then(message.into_encoded(), done);
            }
            None => {
                // Refused, it is dropped, and with it the one who waits.
                let _ = waiting.push(message.into_encoded(), Some(done));
            }
        }
    }

    /// Holds something until the last reference goes, or the link. One that holds something already needs no more.
    pub(super) fn keep(&self, keeper: &Keeper) {
        self.keeper_slot().get_or_insert_with(|| Arc::clone(keeper));
    }

    pub(crate) fn keeper(&self) -> Option<Keeper> {
        self.keeper_slot().clone()
    }

    /// The link is lost: there is nothing left to hold anything for.
    pub(super) fn keep_no_more(&self) {
        // Dropped outside of the lock: it may be a slot, which goes to somebody else.
        let keeper = self.keeper_slot().take();
        drop(keeper);
    }

    /// Has someone told of the actor's end.
    pub(super) fn watch(&self, notify: Notify) -> EndWatch {
        match self.route.get() {
            Some(Route::Direct(line)) => watch_line(line, notify),
            Some(Route::Supervised(supervised)) => supervised.watch(notify),
            None => self.watch_unconnected(notify),
        }
    }

    /// Keeps the actor reachable until it has ended: that nobody has its address any more must not overtake the word of why it
    /// is to stop.
    pub(crate) fn keep_until_end(self: &Arc<Self>) {
        // Not taken back: that it ends, or its node, is what comes next.
        drop(self.watch(Notify::Hold(Arc::clone(self) as Keeper)));
    }

    /// Has someone told of the loss of the actor's node; of the actor's end while it has none.
    pub(super) fn watch_node(&self, notify: Notify) -> EndWatch {
        let Some(line) = self.line() else { return self.watch(notify) };
        match line.closed() {
            // That of a node which the peer stands for.
            Some(lost @ DownReason::NodeLost { .. }) => {
                notify.tell(lost);
                Box::new(|| {})
            }
            _ => line.peer.watch_node(&line.lane, notify),
        }
    }

    /// How the actor's node was lost, if it was and the actor has but one.
    pub(super) fn lost(&self) -> Option<DownReason> {
        if let Route::Direct(line) = self.route.get()? { line.lost() } else { None }
    }

    /// Why the actor takes no more messages, if that is known.
    pub(super) fn closed(&self) -> Option<DownReason> {
        match self.route.get()? {
            Route::Direct(line) => line.closed(),
            Route::Supervised(supervised) => supervised.gone(),
        }
    }

    /// Waits for the actor's lane; an error if it will never be there. A supervised actor has one after the other.
    pub(super) fn poll_lane(&self, cx: &mut Context<'_>) -> Poll<Result<Lane, DownReason>> {
        if let Some(Route::Supervised(supervised)) = self.route.get() {
            return supervised.poll_lane(cx);
        }
        let mut waiting = self.waiting();
        match (self.line(), &waiting.failed) {
            (Some(line), _) => Poll::Ready(Ok(line.lane)),
            (None, Some(reason)) => Poll::Ready(Err(reason.clone())),
            (None, None) => {
                waiting.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether the end of one lane is not the end of all.
    pub(super) fn is_supervised(&self) -> bool {
        matches!(self.route.get(), Some(Route::Supervised(_)))
    }

    /// Whether nothing can reach the actor any more.
    pub(super) fn is_gone(&self) -> bool {
        match self.route.get() {
            Some(Route::Direct(line)) => line.is_lost(),
            Some(Route::Supervised(supervised)) => supervised.gone().is_some(),
            None => false,
        }
    }

    /// Where the actor is, for people.
    pub(super) fn place(&self) -> String {
        match self.line() {
            Some(line) => format!("{}:{}", line.peer.node(), line.lane.port()),
            None => "being placed".to_owned(),
        }
    }

    fn line(&self) -> Option<Line> {
        match self.route.get()? {
            Route::Direct(line) => Some(line.clone()),
            Route::Supervised(supervised) => supervised.line(),
        }
    }

    fn watch_unconnected(&self, notify: Notify) -> EndWatch {
        let mut waiting = self.waiting();
        match (self.route.get(), waiting.failed.clone()) {
            // It was placed just now.
            (Some(_), _) => {
                drop(waiting);
                return self.watch(notify);
            }
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

    /// A watch tells of the actor's end.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether the actor is known to be no more, or its node.
    pub(super) fn is_over(&self) -> bool {
        match self.route.get() {
            Some(Route::Direct(line)) => self.ended.load(Ordering::Acquire) || line.lane.is_closed(),
            Some(Route::Supervised(supervised)) => supervised.gone().is_some(),
            None => self.waiting().failed.is_some(),
        }
    }

    fn keeper_slot(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
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
        match self.route.get() {
            Some(Route::Direct(line)) => line.peer.forget(line.lane.port()),
            Some(Route::Supervised(supervised)) => supervised.abandon(),
            None => {}
        }
    }
}

fn watch_line(line: &Line, notify: Notify) -> EndWatch {
    match line.closed() {
        Some(reason) => {
            notify.tell(reason);
            Box::new(|| {})
        }
        None => line.peer.watch(&line.lane, notify),
    }
}
