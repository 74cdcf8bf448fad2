//! `place_child`.

use std::{
    any::type_name,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
    time::Instant,
};

use actix::{Actor, Context};
use flame_transport::{AskError, codec};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{
    Core, Work,
    child::{Child, Ownership},
    error::{PlaceError, PlaceFailure},
    machine::RunnerSeq,
    orders,
};
use crate::{
    host::protocol::{Order, StartFailure},
    registry::Registry,
    remote::{DownReason, Remote, RemoteAddr, SendError, encode_whole, placed_port},
};

/// An actor on its way to a runner.
///
/// Await it for the [`Child`], or take its [`addr`](Placing::addr). Dropped before either, it places nothing; dropped while it is
/// awaited, it takes the actor back down.
#[must_use = "the actor is placed when this is awaited, or asked for its address"]
pub struct Placing<A: Actor> {
    core: Arc<Core>,
    actor: Option<A>,
    remote: Arc<Remote>,
    /// Someone has the address: the actor is placed whatever becomes of this.
    kept: Arc<AtomicBool>,
    own_arbiter: bool,
    progress: Progress,
}

enum Progress {
    Prepared(Result<(u32, Work), PlaceFailure>),
    UnderWay(oneshot::Receiver<Result<Ownership, Unplaced>>),
    Done,
}

/// An actor was not placed, and whether it may have been decoded somewhere.
struct Unplaced {
    reason: PlaceFailure,
    left: bool,
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
            left: AtomicBool::new(false),
        };
        match prepared {
            Ok((actor, work)) => {
                let control = self.core.parent.threads.control();
                control.spawn(job.run(actor, work, done));
            }
            Err(reason) => {
                job.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
                let _ = done.send(Err(Unplaced { reason, left: false }));
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
            Ok(Err(Unplaced { reason, left })) => Err(PlaceError { actor: actor.filter(|_| !left), reason }),
            // The parent's threads are gone.
            Err(_) => {
                let reason = PlaceFailure::NotPlaced(super::machine::Failure::PoolClosed);
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

fn prepare<A>(core: &Core, actor: &A) -> Result<(u32, Work), PlaceFailure>
where
    A: Actor<Context = Context<A>> + Serialize,
{
    let registry = Registry::get().map_err(SendError::from)?;
    let number = registry.actor::<A>().ok_or(PlaceFailure::NotRegistered { actor: type_name::<A>() })?;
    let body = encode_whole(actor, core.link.max_message()).map_err(SendError::from)?;
    Ok((number, Work { body, limit: core.settings.timeout() }))
}

/// The placing of one actor, on the parent's control thread.
struct Job {
    core: Arc<Core>,
    remote: Arc<Remote>,
    kept: Arc<AtomicBool>,
    own_arbiter: bool,
    /// The actor may have been decoded somewhere.
    left: AtomicBool,
}

impl Job {
    async fn run(self, actor: u32, work: Work, mut done: oneshot::Sender<Result<Ownership, Unplaced>>) {
        let limit = work.limit;
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let outcome = tokio::select! {
            biased;
            outcome = self.place(actor, &work, deadline) => outcome,
            () = abandoned(&mut done, &self.kept) => return,
            () = sleep_until(deadline) => Err(Unplaced {
                reason: PlaceFailure::Timeout { limit: limit.unwrap_or_default() },
                left: self.left.load(Ordering::Acquire),
            }),
        };
        if let Err(Unplaced { reason, .. }) = &outcome {
            self.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
        }
        if let Err(Ok(ownership)) = done.send(outcome) {
            // Its address is out: it lives as long as that. Else its owner is gone already.
            if self.kept.load(Ordering::Acquire) {
                ownership.detach();
            }
        }
    }

    async fn place(&self, actor: u32, work: &Work, deadline: Option<Instant>) -> Result<Ownership, Unplaced> {
        let unplaced = |reason, left| Unplaced { reason, left };
        loop {
            let seat = self.core.seat(deadline).await;
            let seat = seat.map_err(|failure| unplaced(PlaceFailure::NotPlaced(failure), false))?;
            let (runner, boarding) = (seat.runner, seat.boarding.clone());
            let (peer, node) = (Arc::clone(seat.peer()), seat.node().clone());
            let child = self.core.next_child();
            let order = Order::Place { actor, child, own_arbiter: self.own_arbiter };
            let order = seat.order(&order, work).map_err(|error| unplaced(error.into(), false))?;
            // The slot is the child's before the order leaves: its end may be told before its start is.
            if self.core.runners(|runners| runners.seat_child(runner, child, seat)).is_err() {
                continue;
            }
            let mut unseat = Unseat { core: Some(Arc::clone(&self.core)), runner, child };
            let sent = orders::send(&peer, order, move |outcome| {
                // A child that has started gives its slot back when it ends.
                if outcome.is_ok() {
                    unseat.started();
                }
            });
            let Some(asked) = sent.map_err(|error| unplaced(error.into(), false))? else { continue };
            self.left.store(true, Ordering::Release);
            return match asked.await {
                Ok(body) => match placed_port(&body) {
                    Some(port) => {
                        peer.adopt(port, &self.remote);
                        Ok(Ownership::new(peer, child))
                    }
                    None => {
                        let message = "it answers in a way that this build does not know".to_owned();
                        Err(unplaced(PlaceFailure::Refused { runner: node, message }, true))
                    }
                },
                Err(AskError::Refused { body }) => {
                    let failure = codec::decode(&body).unwrap_or_else(|error: codec::DecodeError| {
                        StartFailure::Undecodable(error.to_string())
                    });
                    let left = matches!(failure, StartFailure::Panicked(_));
                    Err(unplaced(PlaceFailure::from_start(failure, node), left))
                }
                Err(lost) => {
                    let loss = self.core.loss_of(&boarding, lost.to_string()).await;
                    Err(unplaced(PlaceFailure::RunnerLost(loss), true))
                }
            };
        }
    }
}

/// Gives back the slot of a child that has not started.
struct Unseat {
    /// `None` once the child has started.
    core: Option<Arc<Core>>,
    runner: RunnerSeq,
    child: u64,
}

impl Unseat {
    fn started(&mut self) {
        self.core = None;
    }
}

impl Drop for Unseat {
    fn drop(&mut self) {
        let Some(core) = &self.core else { return };
        let seat = core.runners(|runners| runners.child_ended(self.runner, self.child));
        drop(seat);
    }
}

/// Resolves when nobody wants the actor any more.
async fn abandoned(done: &mut oneshot::Sender<Result<Ownership, Unplaced>>, kept: &AtomicBool) {
    done.closed().await;
    if kept.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
