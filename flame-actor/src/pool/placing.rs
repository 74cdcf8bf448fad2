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
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{
    child::{Child, Ownership},
    error::{PlaceError, PlaceFailure},
    keeping,
    machine::{Affinity, Failure, Key},
    nested::{Away, PlaceAway, Site},
    starting::Start,
    wish::{Time, Wish},
};
use crate::{
    backend::Resources,
    host::protocol::ChildThread,
    registry::Registry,
    remote::{DownReason, Encoded, Remote, RemoteAddr, SendError, encode_whole},
    supervise::{Between, Restart, policy::Policy},
};

/// An actor on its way to a runner: say more about it, then await it for the [`Child`], or take its [`addr`](Placing::addr).
///
/// Dropped before either, it places nothing; dropped while it is awaited, it takes the actor back down. What is said about a
/// placing that has begun changes nothing.
#[must_use = "the actor is placed when this is awaited, or asked for its address"]
pub struct Placing<A: Actor> {
    site: Site,
    actor: Option<A>,
    remote: Arc<Remote>,
    /// Someone has the address: the actor is placed whatever becomes of this.
    kept: Arc<AtomicBool>,
    thread: ChildThread,
    lifetime: Option<Duration>,
    policy: Policy,
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
    pub(super) fn new(site: &Site, actor: A) -> Self {
        let prepared = prepare(site, &actor);
        Self {
            site: site.clone(),
            actor: Some(actor),
            remote: Remote::unconnected(),
            kept: Arc::default(),
            thread: ChildThread::Shared,
            lifetime: None,
            policy: Policy::default(),
            wish: Wish::here(),
            progress: Progress::Prepared(prepared),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Placing<A> {
    /// Gives the actor an arbiter, and so a thread, of its own: for one that blocks.
    pub fn own_arbiter(mut self) -> Self {
        self.thread = ChildThread::Own;
        self
    }

    /// Runs the actor on the thread of its runner's link: for one that **never blocks** and answers in microseconds. What is
    /// asked of it takes no way between threads.
    ///
    /// While such an actor is in a handler, nothing comes from or goes to its runner: no message of any other actor, no heartbeat.
    /// One that stays there for the lease (4 s by default,
    /// [`LinkConfig::with_lease`](crate::LinkConfig::with_lease)) costs the whole runner, and all that runs there. In all else it
    /// is a child like any other. Of [`own_arbiter`](Self::own_arbiter) and this the one that was called last counts.
    ///
    /// For the other side of the way see [`Pool::link_arbiter`](super::Pool::link_arbiter).
    pub fn colocated(mut self) -> Self {
        self.thread = ChildThread::OfLink;
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

    /// Whether the actor is started again when it ends: on another runner if its own is lost, and the pool boots one if it must.
    /// Default: [`Restart::Temporary`], never.
    ///
    /// The address stays valid over restarts. The next incarnation starts from the value that was placed, or from the last
    /// that the actor [published](crate::publish_snapshot); the references in it stay alive for that long. The first restart
    /// waits for nothing, those that follow soon wait 100 ms, doubled up to 5 s. At most one incarnation serves at a time: after
    /// the loss of a runner the next one starts when the backend has confirmed that it is gone, or when its lease
    /// ([`LinkConfig::with_lease`](crate::LinkConfig::with_lease)) has run out, and 5 s more.
    ///
    /// For an actor that a runner places, the parent sees to all of this.
    ///
    /// When the actor's runner has to go (SIGTERM, a reclaimed node, a lower `max`), the actor handles what has come to it, stops, and is started
    /// elsewhere, which does not count as a restart.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actix::prelude::*;
    /// # use flame_actor::{Pool, Restart, backend::LocalBackend, remote};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Divider;
    /// # impl Actor for Divider { type Context = Context<Self>; }
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "u32")]
    /// # struct Divide(u32, u32);
    /// # #[remote]
    /// # impl Handler<Divide> for Divider {
    /// #     type Result = u32;
    /// #     fn handle(&mut self, Divide(a, b): Divide, _: &mut Context<Self>) -> u32 { a / b }
    /// # }
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = Pool::builder("restarts").backend(LocalBackend::new()).start()?;
    /// let divider = pool.place_child(Divider).restart(Restart::Permanent).await?;
    /// assert!(divider.send(Divide(1, 0)).await.is_err()); // It panics there.
    /// assert_eq!(divider.send(Divide(6, 2)).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart(mut self, restart: Restart) -> Self {
        self.policy.restart = restart;
        self
    }

    /// How often the actor is started again: at most `restarts` times `within` any such time; then it is given up, and its watchers
    /// hear how it ended last. Default: 3 times within 5 s.
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.policy.intensity = (restarts, within);
        self
    }

    /// What becomes of messages while the actor is being started again. Default: 1024 of them wait, or 1 MiB.
    pub fn between(mut self, between: Between) -> Self {
        self.policy.between = between;
        self
    }

    /// How long the actor may live, from its first start and over all restarts: then it is ended by force at its next await, with
    /// [`DownReason::Deadline`], and not started again. Default: for ever.
    pub fn lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.lifetime = lifetime.into();
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
        let (actor, value) = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => {
                self.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
                let _ = done.send(Err(reason));
                return;
            }
        };
        let (thread, lifetime) = (self.thread, self.lifetime);
        let (wish, kept) = (std::mem::take(&mut self.wish), Arc::clone(&self.kept));
        let policy = self.policy;
        let way = match &self.site {
            Site::Here(core) => {
                let start = Start { core: Arc::clone(core), actor, thread, lifetime, wish };
                if policy.is_supervision() {
                    self.remote = keeping::supervise(start, policy, value, kept, done);
                    return;
                }
                Way::Here(start)
            }
            Site::Away(away) => {
                Way::Away(Arc::clone(away), PlaceAway { actor, thread, policy, lifetime, wish })
            }
        };
        let job = Job { way, remote: Arc::clone(&self.remote), kept };
        self.site.spawn(job.run(value, done));
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

fn prepare<A>(site: &Site, actor: &A) -> Result<(u32, Encoded), PlaceFailure>
where
    A: Actor<Context = Context<A>> + Serialize,
{
    let registry = Registry::get().map_err(SendError::from)?;
    let number =
        registry.actor::<A>().ok_or(PlaceFailure::NotRegistered { actor: type_name::<A>().to_owned() })?;
    let body = encode_whole(actor, site.max_message()).map_err(SendError::from)?;
    Ok((number, body))
}

/// Who waits to own what is placed.
pub(super) type Outcome = oneshot::Sender<Result<Ownership, PlaceFailure>>;

/// The placing of one actor that is never started again, behind the back of whoever wants it.
struct Job {
    way: Way,
    remote: Arc<Remote>,
    kept: Arc<AtomicBool>,
}

/// The way of an actor to a runner.
enum Way {
    /// Of a pool of this process.
    Here(Start),
    /// Of a pool of the parent's.
    Away(Arc<Away>, PlaceAway),
}

impl Job {
    async fn run(self, value: Encoded, mut done: Outcome) {
        let outcome = tokio::select! {
            biased;
            outcome = self.place(&value) => outcome,
            () = abandoned(&mut done, &self.kept) => return,
        };
        if let Err(reason) = &outcome {
            self.remote.fail(&DownReason::NotStarted { message: reason.to_string() });
        }
        hand(done, outcome, &self.kept);
    }

    async fn place(&self, value: &Encoded) -> Result<Ownership, PlaceFailure> {
        match &self.way {
            Way::Here(start) => start.settle(value, &self.remote).await,
            Way::Away(away, order) => away.place(order, value, &self.remote).await,
        }
    }
}

/// Gives what was placed to its owner. If that is gone, and its address is out, it lives as long as that.
pub(super) fn hand(done: Outcome, outcome: Result<Ownership, PlaceFailure>, kept: &AtomicBool) {
    if let Err(Ok(ownership)) = done.send(outcome)
        && kept.load(Ordering::Acquire)
    {
        ownership.detach();
    }
}

/// Resolves when nobody wants the actor any more.
pub(super) async fn abandoned(done: &mut Outcome, kept: &AtomicBool) {
    done.closed().await;
    if kept.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}
