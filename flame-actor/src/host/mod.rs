//! Actors and tasks that were placed on this node.
//!
//! A parent asks its runner's main port; the [`Host`] starts what it asks for on one of its arbiters and answers when
//! the actor is addressable or the task has its output.

mod child;
pub(crate) mod protocol;
mod work;

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::{Arbiter, ArbiterHandle};
use bytes::Bytes;
use flame_transport::{Inbox, LinkLost, Owed, codec};
use tokio::sync::watch;

pub(crate) use child::place;
pub use child::{PlaceFn, Start};

use crate::{
    registry::Registry,
    remote::{DownReason, Peer, PeerEvents},
};
use child::StopHandle;
use protocol::{Order, StartFailure, ToParent, ToRunner, split};

/// What a runner hosts for its parent.
pub(crate) struct Host {
    peer: OnceLock<Arc<Peer>>,
    /// The arbiters that share the work.
    arbiters: Vec<ArbiterHandle>,
    next: AtomicUsize,
    children: Mutex<HashMap<u64, StopHandle>>,
    /// How many children and tasks there are.
    busy: watch::Sender<usize>,
    notices: watch::Sender<Option<Notice>>,
}

/// What a runner hears of its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Finish, say goodbye and exit.
    Retire,
    /// The link is lost.
    Lost(LinkLost),
}

impl Host {
    /// A host whose work runs on these arbiters, and the last that it has heard of its parent.
    pub(crate) fn new(arbiters: Vec<ArbiterHandle>) -> (Arc<Self>, watch::Receiver<Option<Notice>>) {
        let (notices, heard) = watch::channel(None);
        let host = Self {
            peer: OnceLock::new(),
            arbiters,
            next: AtomicUsize::new(0),
            children: Mutex::default(),
            busy: watch::Sender::new(0),
            notices,
        };
        (Arc::new(host), heard)
    }

    /// Takes orders from the parent until the link ends.
    pub(crate) async fn serve(self: Arc<Self>, peer: Arc<Peer>, mut inbox: Inbox) {
        let _ = self.peer.set(Arc::clone(&peer));
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
                Some(question) => self.obey(&body, answers.owe(question), &peer),
                None => tracing::warn!(parent = %peer.node(), "an order that nobody waits for is ignored"),
            }
        }
    }

    /// Ends every child, as when its owner lets it go.
    pub(crate) fn stop_all(&self) {
        self.children().values().for_each(StopHandle::stop);
    }

    /// Waits until there is neither child nor task.
    pub(crate) async fn idle(&self) {
        // The sender is in `self`.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Tells the parent something, ahead of all messages.
    pub(crate) fn tell_parent(&self, notice: &ToParent) {
        if let Some(peer) = self.peer.get() {
            peer.signal(&notice.encode());
        }
    }

    fn obey(self: &Arc<Self>, body: &Bytes, owed: Owed, peer: &Arc<Peer>) {
        let refuse =
            |owed: Owed, failure: StartFailure| owed.refuse(flame_transport::Body::Own(failure.encode()));
        let Some((order, inner)) = split(body) else {
            return refuse(owed, StartFailure::Undecodable("the order".into()));
        };
        let Ok(registry) = Registry::get() else {
            return refuse(owed, StartFailure::Unknown("anything: its registry is broken".into()));
        };
        let guard = self.begin();
        let arbiter = self.arbiter(&order);
        let (host, peer) = (Arc::clone(self), Arc::clone(peer));
        let started = match order {
            Order::Place { actor, child, .. } => match registry.place(actor) {
                Some(place) => {
                    let start = Start::new(host, peer, inner, owed, child, guard);
                    arbiter.spawn_fn(move || place(start))
                }
                None => return refuse(owed, StartFailure::Unknown(format!("actor type {actor}"))),
            },
            Order::Call { task, time } => match registry.task_run(task) {
                Some(run) => arbiter.spawn_fn(move || {
                    actix_rt::spawn(work::run(run, inner, owed, peer, time, guard));
                }),
                None => return refuse(owed, StartFailure::Unknown(format!("task {task}"))),
            },
        };
        if !started {
            tracing::warn!("work came for an arbiter that has stopped");
        }
    }

    fn arbiter(&self, order: &Order) -> ArbiterHandle {
        if let Order::Place { own_arbiter: true, .. } = order {
            return Arbiter::new().handle();
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.arbiters.get(turn % self.arbiters.len().max(1)) {
            Some(arbiter) => arbiter.clone(),
            None => Arbiter::current(),
        }
    }

    fn begin(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(Arc::clone(self))
    }

    fn children(&self) -> MutexGuard<'_, HashMap<u64, StopHandle>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child is gone.
    fn ended(&self, child: u64, reason: DownReason) {
        self.children().remove(&child);
        self.tell_parent(&ToParent::Ended { child, reason });
    }
}

/// A child or task that is there.
pub(crate) struct Busy(Arc<Host>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

impl PeerEvents for Host {
    fn signal(&self, body: &[u8]) {
        match codec::decode(body) {
            Ok(ToRunner::Stop { child }) => {
                if let Some(handle) = self.children().get(&child) {
                    handle.stop();
                }
            }
            Ok(ToRunner::Retire) => {
                self.notices.send_if_modified(|notice| {
                    let first = notice.is_none();
                    notice.get_or_insert(Notice::Retire);
                    first
                });
            }
            Err(error) => tracing::warn!(%error, "a notice of the parent cannot be decoded"),
        }
    }

    fn lost(&self, reason: &LinkLost) {
        self.notices.send_replace(Some(Notice::Lost(reason.clone())));
    }
}
