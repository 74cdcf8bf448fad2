//! Actors and tasks that were placed on this node.
//!
//! A parent asks its runner's main port; the [`Host`] starts what it asks for on one of its arbiters and answers when
//! the actor is addressable or the task has its output.

mod arbiters;
mod child;
mod here;
mod ledger;
pub(crate) mod protocol;
mod running;
mod snapshot;
mod stop;
mod work;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix::ArbiterHandle;
use bytes::Bytes;
use flame_transport::{Answers, Body, Inbox, LinkLost, NodeId, Owed, Question, codec};
use tokio::sync::watch;

pub(crate) use child::place;
pub use child::{PlaceFn, Start};
pub(crate) use here::{enter, enter_process, here};
pub(crate) use ledger::Busy;
pub use snapshot::publish_snapshot;

use crate::{
    context::Context,
    registry::Registry,
    remote::{DownReason, Peer, PeerEvents, Unread},
};
use arbiters::{Arbiters, OwnArbiter, Seen, Turn};
use ledger::{Ledger, Work};
use protocol::{ChildThread, Order, StartFailure, ToParent, ToRunner, split};
use running::Running;
use stop::StopHandle;
use work::Job;

/// What a runner hosts for its parent.
pub(crate) struct Host {
    node: NodeId,
    /// Kept by whoever serves it.
    peer: OnceLock<Weak<Peer>>,
    arbiters: Arbiters,
    /// The thread of the link, for children that promise not to hold it up.
    link_arbiter: ArbiterHandle,
    children: Mutex<HashMap<u64, StopHandle>>,
    ledger: Arc<Ledger>,
    commissions: AtomicU64,
    notices: watch::Sender<Option<Notice>>,
}

/// What changes a runner's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Finish, say goodbye and exit.
    Retire,
    /// The same, because there is work that should have ended and does not.
    Overdue,
    /// The link is lost.
    Lost(LinkLost),
}

impl Host {
    /// The host of a runner whose work runs on these arbiters, and what changes its life.
    pub(crate) fn new(
        node: NodeId,
        arbiters: Vec<ArbiterHandle>,
        link_arbiter: ArbiterHandle,
    ) -> (Arc<Self>, watch::Receiver<Option<Notice>>) {
        let (notices, heard) = watch::channel(None);
        let host = Self {
            node,
            peer: OnceLock::new(),
            arbiters: Arbiters::new(arbiters),
            link_arbiter,
            children: Mutex::default(),
            ledger: Arc::default(),
            commissions: AtomicU64::new(0),
            notices,
        };
        (Arc::new(host), heard)
    }

    /// Which runner it is.
    pub(crate) fn node(&self) -> &NodeId {
        &self.node
    }

    /// The arbiter of the link's thread.
    pub(crate) fn link_arbiter(&self) -> &ArbiterHandle {
        &self.link_arbiter
    }

    /// The link to the parent is there: from here on the parent can be told something.
    pub(crate) fn connect(&self, parent: &Arc<Peer>) {
        // A host has one parent.
        let _ = self.peer.set(Arc::downgrade(parent));
    }

    /// Takes orders from the parent until the link ends.
    pub(crate) async fn serve(self: Arc<Self>, peer: Arc<Peer>, mut inbox: Inbox) {
        let Some(link) = peer.link() else { return };
        let answers = link.answers();
        loop {
            let order = poll_fn(|cx| {
                inbox.poll_next(cx).map(|message| {
                    message.map(|message| (Bytes::copy_from_slice(message.body), message.question))
                })
            });
            let Some((body, question)) = order.await else { return };
            match question {
                Some(question) => self.obey(&body, question, &answers, &peer),
                None => tracing::warn!(parent = %peer.node(), "an order that nobody waits for is ignored"),
            }
        }
    }

    /// Ends every child, as when its owner lets it go.
    pub(crate) fn stop_all(&self) {
        self.children().values().for_each(StopHandle::stop);
    }

    /// Waits until there is neither child nor task, but for those that cannot be ended.
    pub(crate) async fn idle(&self) {
        self.ledger.idle().await;
    }

    /// Takes no more work, if there is none but what cannot be ended.
    pub(crate) fn close(&self) -> bool {
        self.ledger.close()
    }

    /// How many children and tasks there still are.
    pub(crate) fn busy(&self) -> usize {
        self.ledger.load().busy
    }

    /// Looks after what runs here, for as long as it is polled. It has to be polled by a thread that no work can block.
    pub(crate) async fn look_after(&self) -> Infallible {
        const LOOK: Duration = Duration::from_millis(250);
        let mut seen = Seen { all_well: true, all_blocked: false };
        loop {
            if seen.all_well {
                // A runner that has nothing to do costs nothing.
                self.ledger.busy().await;
            }
            tokio::time::sleep(LOOK).await;
            let now = Instant::now();
            let before = std::mem::replace(&mut seen, self.arbiters.look(now));
            if seen.all_blocked != before.all_blocked {
                let word = if seen.all_blocked { ToParent::Stalled } else { ToParent::Recovered };
                self.tell_parent(&word);
            }
            let parent = self.parent();
            let link = parent.as_ref().and_then(|peer| peer.link());
            if self.ledger.look(now, |question| link.is_some_and(|link| link.is_cancelled(question))) {
                tracing::warn!("work that should have ended does not come to an await: its runner goes");
                self.notice(Notice::Overdue);
            }
            // It would wait for work that does not end. Elsewhere it is served.
            if seen.all_blocked && self.ledger.load().overdue > 0 {
                self.arbiters.refuse_stuck();
            }
        }
    }

    /// Tells the parent something, ahead of all messages.
    pub(crate) fn tell_parent(&self, notice: &ToParent) {
        if let Some(peer) = self.parent() {
            peer.signal(&notice.encode());
        }
    }

    /// A number for something that is asked of the parent.
    pub(crate) fn next_commission(&self) -> u64 {
        self.commissions.fetch_add(1, Ordering::Relaxed)
    }

    /// The parent; `None` before it is there, and once it is lost.
    pub(crate) fn parent(&self) -> Option<Arc<Peer>> {
        self.peer.get()?.upgrade()
    }

    fn obey(self: &Arc<Self>, body: &Bytes, question: Question, answers: &Answers, peer: &Arc<Peer>) {
        let owed = answers.owe(question);
        let refuse = |owed: Owed, failure: StartFailure| owed.refuse(Body::Own(failure.encode()));
        let Some((order, inner)) = split(body) else {
            return refuse(owed, StartFailure::Undecodable("the order".into()));
        };
        let inner = Unread::new(inner, peer);
        let Ok(registry) = Registry::get() else {
            return refuse(owed, StartFailure::Unknown("anything: its registry is broken".into()));
        };
        let (host, peer) = (Arc::clone(self), Arc::clone(peer));
        match order {
            Order::Place { actor, child, thread, lifetime, supervised } => {
                let Some(place) = registry.place(actor) else {
                    return refuse(owed, StartFailure::Unknown(format!("actor type {actor}")));
                };
                let stop = StopHandle::new(lifetime);
                let Some(busy) = self.ledger.enter(Work::Child(stop.clone())) else {
                    return refuse(owed, StartFailure::Closed);
                };
                let start = Start { host, peer, body: inner, owed, child, stop, busy, supervised, own: None };
                match thread {
                    ChildThread::Shared => self.begin(move |turn| match turn {
                        Turn::Begin => place(start),
                        Turn::Refuse => start.refuse(StartFailure::Closed),
                    }),
                    ChildThread::Own => start_apart(place, start),
                    ChildThread::OfLink => drop(self.link_arbiter.spawn_fn(move || place(start))),
                }
            }
            Order::Call { task, time } => {
                let Some(run) = registry.task_run(task) else {
                    return refuse(owed, StartFailure::Unknown(format!("task {task}")));
                };
                let deadline = time.and_then(|time| Instant::now().checked_add(time));
                let running = Running::default();
                let task = Work::Task { deadline, question, running: running.clone() };
                let Some(busy) = self.ledger.enter(task) else {
                    return refuse(owed, StartFailure::Closed);
                };
                let job = Job {
                    host,
                    run,
                    body: inner,
                    owed,
                    peer,
                    deadline,
                    running,
                    busy,
                    context: Context::default(),
                };
                self.begin(move |turn| match turn {
                    Turn::Begin => job.begin(),
                    Turn::Refuse => job.refuse(&StartFailure::Closed),
                });
            }
        }
    }

    fn begin(&self, work: impl FnOnce(Turn) + Send + 'static) {
        if !self.arbiters.begin(Box::new(work)) {
            tracing::warn!("work came for an arbiter that has stopped");
        }
    }

    /// The first notice stands, but for the loss of the parent.
    fn notice(&self, notice: Notice) {
        self.notices.send_if_modified(|heard| {
            let first = heard.is_none();
            heard.get_or_insert(notice);
            first
        });
    }

    fn children(&self) -> MutexGuard<'_, HashMap<u64, StopHandle>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child is gone.
    fn ended(&self, child: u64, reason: DownReason, snapshots: u64) {
        self.children().remove(&child);
        self.tell_parent(&ToParent::Ended { child, reason, snapshots });
    }
}

/// Starts a child on an arbiter of its own.
fn start_apart(place: PlaceFn, start: Start) {
    let own = match OwnArbiter::start() {
        Ok(own) => own,
        Err(error) => return start.refuse(StartFailure::Unable(error.to_string())),
    };
    let (arbiter, host) = (own.handle().clone(), Arc::clone(start.host()));
    arbiter.spawn_fn(move || {
        enter(host);
        place(start.on(own));
    });
}

impl PeerEvents for Host {
    fn signal(&self, body: &[u8]) {
        match codec::decode(body) {
            Ok(ToRunner::Stop { child, reason, grace }) => {
                if let Some(handle) = self.children().get(&child) {
                    handle.stop_with(reason, grace);
                }
            }
            Ok(ToRunner::Retire) => self.notice(Notice::Retire),
            Err(error) => tracing::warn!(%error, "a notice of the parent cannot be decoded"),
        }
    }

    fn lost(&self, reason: &LinkLost) {
        self.notices.send_replace(Some(Notice::Lost(reason.clone())));
    }
}
