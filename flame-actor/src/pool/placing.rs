//! `place_child`.

use std::{
    any::type_name,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
    time::{Duration, Instant},
};

use actix::{Actor, Context};
use bytes::Bytes;
use flame_transport::{AskError, codec};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{
    Core,
    child::{Child, Ownership},
    core::Seat,
    error::{PlaceError, PlaceFailure, WorkPhase},
    machine::{Affinity, Failure, Key, RunnerSeq},
    orders::{self, Sent},
    wish::{Term, Time, Wish},
};
use crate::{
    backend::Resources,
    host::protocol::{Order, StartFailure},
    registry::Registry,
    remote::{DownReason, Encoded, Remote, RemoteAddr, SendError, encode_whole, placed_port},
};

/// An actor on its way to a runner: say more about it, then await it for the [`Child`], or take its [`addr`](Placing::addr).
///
/// Dropped before either, it places nothing; dropped while it is awaited, it takes the actor back down. What is said about a
/// placing that has begun changes nothing.
#[must_use = "the actor is placed when this is awaited, or asked for its address"]
pub struct Placing<A: Actor> {
    core: Arc<Core>,
    actor: Option<A>,
    remote: Arc<Remote>,
    /// Someone has the address: the actor is placed whatever becomes of this.
    kept: Arc<AtomicBool>,
    own_arbiter: bool,
    wish: Wish,
    progress: Progress,
}

enum Progress {
    /// The number of the actor's type, and its value.
    Prepared(Result<(u32, Encoded), PlaceFailure>),
    UnderWay(oneshot::Receiver<Result<Ownership, PlaceFailure>>),
    Done,
}

impl<A> Placing<A>
where
    A: Actor<Context = Context<A>> + Serialize + DeserializeOwned,
{
    pub(super) fn new(core: &Arc<Core>, actor: A) -> Self {
        let prepared = prepare(core, &actor);
        Self {
            core: Arc::clone(core),
            actor: Some(actor),
            remote: Remote::unconnected(),
            kept: Arc::default(),
            own_arbiter: false,
            wish: Wish::default(),
            progress: Progress::Prepared(prepared),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Placing<A> {
    /// Gives the actor an arbiter, and so a thread, of its own: for one that blocks.
    pub fn own_arbiter(mut self) -> Self {
        self.own_arbiter = true;
        self
    }

    /// The time that the actor has to start, from the first poll, queue and boot included; `None` for no limit. Default: the pool's
    /// `timeout`.
    pub fn timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.wish.time = Time::Within(time.into());
        self
    }

    /// When the actor must have started, instead of [`timeout`](Self::timeout).
    pub fn deadline(mut self, at: Instant) -> Self {
        self.wish.time = Time::Until(at);
        self
    }

    /// The actor goes to the runner that serves this key if that has a free slot, else to any other at once. The first work with a key
    /// takes it to its runner.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.wish.affinity = Some(Affinity::Prefer(key.into()));
        self
    }

    /// The actor goes to the runner that serves this key and waits for its slots, as long as there is such a runner.
    pub fn require_key(mut self, key: impl Into<Key>) -> Self {
        self.wish.affinity = Some(Affinity::Require(key.into()));
        self
    }

    /// The actor needs a runner that was booted for these resources. Default: the pool's.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.wish.resources = Some(resources);
        self
    }

    /// The actor's address, at once: the placing goes on by itself from here, and as with `Actor::start` the actor lives as
    /// long as somebody has its address.
    ///
    /// Messages wait for the actor to start, up to 1024 of them or 1 MiB; if it never does, they fail with
    /// [`DownReason::NotStarted`]. So the line also fits into a `handle` or `started` that cannot await.
    #[must_use]
    pub fn addr(&mut self) -> RemoteAddr<A> {
        self.kept.store(true, Ordering::Release);
        self.begin();
        RemoteAddr::from_remote(Arc::clone(&self.remote))
    }

    fn begin(&mut self) {
        let (done, outcome) = oneshot::channel();
        let prepared = match &mut self.progress {
            Progress::Prepared(_) => std::mem::replace(&mut self.progress, Progress::UnderWay(outcome)),
            _ => return,
        };
        let Progress::Prepared(prepared) = prepared else { return };
        let job = Job {
            core: Arc::clone(&self.core),
            remote: Arc::clone(&self.remote),
            kept: Arc::clone(&self.kept),
            own_arbiter: self.own_arbiter,
            wish: std::mem::take(&mut self.wish),
        };
        match prepared {
            Ok((actor, value)) => {
                let control = self.core.parent.threads.control();
                control.spawn(job.run(actor, value, done));
            }
            Err(reason) => {
                job.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
                let _ = done.send(Err(reason));
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Future for Placing<A> {
    type Output = Result<Child<A>, PlaceError<A>>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.begin();
        let Progress::UnderWay(outcome) = &mut this.progress else {
            let reason = PlaceFailure::Message(SendError::NoReply);
            return Poll::Ready(Err(PlaceError { actor: None, reason }));
        };
        let outcome = ready!(Pin::new(outcome).poll(cx));
        this.progress = Progress::Done;
        let actor = this.actor.take();
        Poll::Ready(match outcome {
            Ok(Ok(ownership)) => {
                let address = RemoteAddr::from_remote(Arc::clone(&this.remote));
                Ok(Child::new(address, ownership))
            }
            Ok(Err(reason)) => Err(PlaceError { actor: actor.filter(|_| !reason.may_have_run()), reason }),
            // The parent's threads are gone.
            Err(_) => {
                let reason = PlaceFailure::NotPlaced(Failure::PoolClosed);
                Err(PlaceError { actor, reason })
            }
        })
    }
}

impl<A: Actor> Unpin for Placing<A> {}

impl<A: Actor> std::fmt::Debug for Placing<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Placing<{}>", type_name::<A>())
    }
}

fn prepare<A>(core: &Core, actor: &A) -> Result<(u32, Encoded), PlaceFailure>
where
    A: Actor<Context = Context<A>> + Serialize,
{
    let registry = Registry::get().map_err(SendError::from)?;
    let number = registry.actor::<A>().ok_or(PlaceFailure::NotRegistered { actor: type_name::<A>() })?;
    let body = encode_whole(actor, core.link.max_message()).map_err(SendError::from)?;
    Ok((number, body))
}

/// The placing of one actor, on the parent's control thread.
struct Job {
    core: Arc<Core>,
    remote: Arc<Remote>,
    kept: Arc<AtomicBool>,
    own_arbiter: bool,
    wish: Wish,
}

impl Job {
    async fn run(
        self,
        actor: u32,
        value: Encoded,
        mut done: oneshot::Sender<Result<Ownership, PlaceFailure>>,
    ) {
        let outcome = tokio::select! {
            biased;
            outcome = self.place(actor, &value) => outcome,
            () = abandoned(&mut done, &self.kept) => return,
        };
        if let Err(reason) = &outcome {
            self.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
        }
        if let Err(Ok(ownership)) = done.send(outcome) {
            // Its address is out: it lives as long as that. Else its owner is gone already.
            if self.kept.load(Ordering::Acquire) {
                ownership.detach();
            }
        }
    }

    async fn place(&self, actor: u32, value: &Encoded) -> Result<Ownership, PlaceFailure> {
        let core = &self.core;
        let term = self.wish.time.begin(core.settings.timeout());
        let class = core.class(&self.wish);
        let unplaced = |failure| PlaceFailure::unplaced(failure, term);
        let mut seat = core.seat(core.request(&self.wish, &class, term)).await.map_err(unplaced)?;
        loop {
            if term.is_over() {
                return Err(PlaceFailure::timeout(term, WorkPhase::Queued, None));
            }
            let unused = match self.hand_over(actor, value, term, seat).await? {
                Placed::Started(ownership) => return Ok(ownership),
                Placed::Unsent(unused) => unused,
            };
            let another = match unused {
                Some(unused) => core.seat_again(unused, term.deadline()).await,
                None => core.seat(core.request(&self.wish, &class, term)).await,
            };
            seat = another.map_err(unplaced)?;
        }
    }

    async fn hand_over(
        &self,
        actor: u32,
        value: &Encoded,
        term: Term,
        seat: Seat,
    ) -> Result<Placed, PlaceFailure> {
        let (runner, boarding) = (seat.runner, seat.boarding.clone());
        let (peer, node) = (Arc::clone(seat.peer()), seat.node().clone());
        let child = self.core.next_child();
        let order = Order::Place { actor, child, own_arbiter: self.own_arbiter };
        let order = seat.order(&order, value)?;
        // The slot is the child's before the order leaves: its end may be told before its start is.
        if let Err(seat) = self.core.runners(|runners| runners.seat_child(runner, child, seat)) {
            return Ok(Placed::Unsent(Some(seat)));
        }
        let berth = Berth { core: Some(Arc::clone(&self.core)), runner, child };
        let asked = match orders::send(&peer, order, berth)? {
            Sent::Asked(asked) => asked,
            Sent::Unsent(berth) => return Ok(Placed::Unsent(berth.leave())),
        };
        match term.bound(asked).await {
            None => Err(PlaceFailure::timeout(term, WorkPhase::Running, Some(node))),
            Some(Ok(body)) => match placed_port(&body) {
                Some(port) => {
                    peer.adopt(port, &self.remote);
                    Ok(Placed::Started(Ownership::new(peer, child)))
                }
                None => Err(PlaceFailure::Answer { runner: node }),
            },
            Some(Err(AskError::Refused { body })) => {
                let failure = codec::decode(&body)
                    .unwrap_or_else(|error: codec::DecodeError| StartFailure::Undecodable(error.to_string()));
                Err(PlaceFailure::from_start(failure, node))
            }
            Some(Err(lost)) => {
                let loss = self.core.loss_of(&boarding, lost.to_string(), term).await;
                Err(PlaceFailure::RunnerLost(loss))
            }
        }
    }
}

/// What became of an order to place an actor.
enum Placed {
    Started(Ownership),
    /// The runner was lost before the order was sent. Its seat, unless that went with the runner.
    Unsent(Option<Seat>),
}

/// The slot of a child that has not started, given back when this is dropped.
struct Berth {
    /// `None` once the slot is the child's.
    core: Option<Arc<Core>>,
    runner: RunnerSeq,
    child: u64,
}

impl Berth {
    fn leave(mut self) -> Option<Seat> {
        self.take()
    }

    fn take(&mut self) -> Option<Seat> {
        let core = self.core.take()?;
        core.runners(|runners| runners.child_ended(self.runner, self.child))
    }
}

impl orders::Held for Berth {
    /// A child that has started gives its slot back when it ends.
    fn end(mut self, outcome: &Result<Bytes, AskError>) {
        if outcome.is_ok() {
            self.core = None;
        }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Resolves when nobody wants the actor any more.
async fn abandoned(done: &mut oneshot::Sender<Result<Ownership, PlaceFailure>>, kept: &AtomicBool) {
    done.closed().await;
    if kept.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}
