//! Pools: they boot runners when there is work, place actors and calls on them, and let them go when there is none.
//!
//! | module | what it holds |
//! |---|---|
//! | `builder` | [`PoolBuilder`], which makes a [`Pool`] |
//! | `placing`, `child` | `place_child`, and the owner of what it placed |
//! | `starting`, `keeping` | one start of an actor, and one after the other |
//! | `calling`, `running` | `call` and `cast` |
//! | `wish`, `classes` | what can be said about one call or child |
//! | [`machine`] | what the pool decides, as a pure state machine |
//! | `core`, `runners` | the shell that feeds the machine and hands out slots |
//! | `supervisor`, `errands`, `idle_check`, `hooks`, `sigterm` | the actor that boots runners and ends them, and tells of it |
//! | `cap` | a cap that pools share |
//! | `boot_report`, `error` | what went wrong |
//! | `orders` | what is asked of a runner |
//! | `nested` | pools as their own runners see them |

mod boot_report;
mod builder;
mod calling;
mod cap;
mod child;
mod classes;
mod core;
mod errands;
mod error;
mod hooks;
mod idle_check;
mod ids;
mod keeping;
pub mod machine;
mod nested;
mod orders;
mod placing;
pub mod policy;
mod runners;
mod running;
pub mod settings;
mod sigterm;
mod starting;
mod supervisor;
mod wish;

use std::sync::Arc;

use actix::{Actor, ArbiterHandle, Context};
use serde::{Serialize, de::DeserializeOwned};

pub use boot_report::{BootCause, BootPhase, BootReport};
pub use builder::{PoolBuilder, PoolError};
pub use calling::Calling;
pub use cap::SharedCap;
pub use child::Child;
pub use error::{CallError, PlaceError, PlaceFailure, RunnerLoss, WorkPhase};
pub use nested::UnknownPool;
pub use placing::Placing;

use self::{
    builder::cap_problems,
    core::Core,
    machine::{Event, PoolEvent},
    nested::Site,
    settings::{InvalidSettings, Limits},
};
use crate::{
    outlet::{Outlet, Subscription},
    task::Task,
};

/// A stream of what happens in a pool, bounded, with a count of what was missed.
pub type PoolEvents = Subscription<PoolEvent>;

/// A pool of runners: the handle through which an app places work.
///
/// Clones are cheap and share the pool. When the last is dropped the pool drains: work in flight may finish within
/// `shutdown_timeout`, then the runners end.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::{Pool, backend::LocalBackend, remote, task};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Counter(u64);
/// impl Actor for Counter {
///     type Context = Context<Self>;
/// }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u64")]
/// struct Add(u64);
///
/// #[remote]
/// impl Handler<Add> for Counter {
///     type Result = u64;
///     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// #[task]
/// async fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The process backend is the default; this one needs no role line in `main`.
/// let pool = Pool::builder("numbers").max(2).backend(LocalBackend::new()).start()?;
///
/// let counter = pool.place_child(Counter(40)).await?;
/// assert_eq!(counter.send(Add(2)).await?, 42);
///
/// assert_eq!(pool.call(double::task(21)).await?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    handle: Arc<Handle>,
}

/// Shared by the clones of a [`Pool`]; drains it when it goes.
struct Handle {
    site: Site,
}

impl Pool {
    /// The options of a pool called `name`: 1 to 40 of `a`–`z`, `0`–`9` and `-`. Its runners are called
    /// `<name>-<number>`.
    pub fn builder(name: impl Into<String>) -> PoolBuilder {
        PoolBuilder::new(name.into())
    }

    /// The pool of this name: in the parent its own, on a runner that of its parent. So a task or an actor calls a pool by the same
    /// line wherever it runs, and gets the same errors in the same time.
    ///
    /// In the parent it is the pool that was started last under the name and is still open, whichever [`Parent`](crate::Parent) owns it if
    /// there are several; the handle counts as any other, so the pool is not drained before it is dropped.
    ///
    /// On a runner the handle goes through the parent, where the name is looked up with each call, among the pools of the
    /// parent that the runner belongs to. It owns nothing of the pool: [`stop`](Pool::stop),
    /// [`stopped`](Pool::stopped) and [`resize`](Pool::resize) do nothing but warn, [`inspect`](Pool::inspect) knows nothing, and
    /// [`subscribe`](Pool::subscribe) has ended.
    ///
    /// - A call to a runner's own pool runs on that runner, in its caller's slot, if no slot is free: a pool of one slot does
    ///   not wait for itself. That does not reach over a second pool: work of a pool that is full, which waits for work of
    ///   another that waits for the first, waits until its deadline. Give such work a time limit, or the pools more slots.
    /// - A call has no longer than what is left to the work that makes it, and is cancelled with it, unless it is
    ///   [`detached`](Calling::detached) or a cast.
    /// - A child that a runner has placed ends with its [`Child`], as in the parent, and with that runner, unless it is
    ///   [detached](Child::detach).
    ///
    /// # Errors
    ///
    /// [`UnknownPool`] in a parent that has no such pool. On a runner the calls fail, with
    /// [`Failure::NoSuchPool`](machine::Failure::NoSuchPool).
    ///
    /// # Examples
    ///
    /// ```
    /// use flame_actor::{CallError, Pool, backend::LocalBackend, task};
    ///
    /// #[task]
    /// async fn sum(numbers: Vec<u64>) -> u64 {
    ///     if numbers.len() < 2 {
    ///         return numbers.iter().sum();
    ///     }
    ///     // The halves on any runners of the pool, or here if there is no slot.
    ///     let (left, right) = numbers.split_at(numbers.len() / 2);
    ///     let pool = Pool::named("sums").expect("it is the pool that runs this");
    ///     let (left, right) = (pool.call(sum::task(left.to_vec())), pool.call(sum::task(right.to_vec())));
    ///     left.await.unwrap() + right.await.unwrap()
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("sums").max(1).max_concurrency(1).backend(LocalBackend::new()).start()?;
    /// assert_eq!(Pool::named("sums")?.call(sum::task(vec![1, 2, 3, 4])).await?, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(name: &str) -> Result<Self, UnknownPool> {
        Ok(Self { handle: nested::named(name)? })
    }

    /// Places an actor on a runner and starts it there: `actor.start()`, somewhere else.
    ///
    /// Await the [`Placing`] for the [`Child`], which owns the actor; or take its [`addr`](Placing::addr) at once. Before
    /// that, say more about it: `pool.place_child(actor).key("en").timeout(time)`. The
    /// actor is encoded before this returns. Nothing else happens until the placing is polled or asked for its address.
    ///
    /// The actor needs no more than serde derives, and [`#[remote]`](macro@crate::remote) on the handlers whose messages
    /// come from elsewhere. It need not be `Send`. What cannot travel is `#[serde(skip)]` and made in `started`.
    ///
    /// # Errors
    ///
    /// The placing resolves to a [`PlaceError`], which gives the actor back if it never started.
    #[must_use = "the actor is placed when this is awaited, or asked for its address"]
    pub fn place_child<A>(&self, actor: A) -> Placing<A>
    where
        A: Actor<Context = Context<A>> + Serialize + DeserializeOwned,
    {
        Placing::new(&self.handle.site, actor)
    }

    /// Runs a task on a runner and gives back its output.
    ///
    /// The task's arguments are encoded before this returns; nothing else happens until the call is polled. Queue, boot
    /// and execution together may take the pool's `timeout`, unless the call [says otherwise](Calling).
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the [`Calling`] cancels the work: what is still queued is never sent, what runs is dropped at its next await.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flame_actor::{CallError, Pool, backend::LocalBackend, task};
    /// #[task]
    /// fn fibonacci(n: u32) -> u64 {
    ///     (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("numbers").backend(LocalBackend::new()).start()?;
    /// assert_eq!(pool.call(fibonacci::task(50)).await?, fibonacci(50));
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<T: Task>(&self, task: T) -> Calling<T::Output> {
        Calling::new(&self.handle.site, &task)
    }

    /// Runs a task on a runner and forgets its output: `pool.call(task).cast()`. A failure is a dead letter and a warning in the
    /// log (target `flame::dead_letter`).
    ///
    /// A cast takes its slot or its place in the pool's queue before this returns, counts against `max_queue`, has the pool's
    /// `timeout` and is drained as calls are. It needs no runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flame_actor::{Pool, backend::LocalBackend, task};
    /// #[task]
    /// async fn greet(name: String) {
    ///     println!("hello, {name}");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("greetings").backend(LocalBackend::new()).start()?;
    /// pool.cast(greet::task("world".to_owned()));
    /// pool.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cast<T: Task>(&self, task: T) {
        self.call(task).cast();
    }

    /// Drains the pool and waits for its end: no new work is taken, what waits fails, work in flight may finish within
    /// `shutdown_timeout`, then the runners end. A child is work in flight until it has ended, so drop the ones that you
    /// own first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the pool to drain by itself.
    pub async fn stop(&self) {
        if let Some(core) = self.own("stop") {
            core.shut_down();
            core.stopped().await;
        }
    }

    /// What the pool has and waits for, and why it does or does not grow.
    #[must_use]
    pub fn inspect(&self) -> machine::Inspection {
        match &self.handle.site {
            Site::Here(core) => core.inspect(),
            Site::Away(_) => machine::Inspection::unknown(),
        }
    }

    /// Waits until the pool has stopped, whoever brings that about: [`stop`](Self::stop), the end of the last handle, or SIGTERM.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn stopped(&self) {
        if let Some(core) = self.own("stopped") {
            core.stopped().await;
        }
    }

    /// Changes how many runners the pool keeps and how many it may have.
    ///
    /// Beyond a lower `max`, runners without work go at once, and others get no more work and go when theirs is done. Children with a
    /// restart policy are placed on the runners that stay, which need slots for them.
    ///
    /// # Errors
    ///
    /// As for the builder's `min` and `max`; nothing changes then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flame_actor::{Pool, backend::LocalBackend};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("resized").backend(LocalBackend::new()).start()?;
    /// pool.resize(0, 20)?;
    /// assert_eq!(pool.inspect().limits.max(), 20);
    /// assert!(pool.resize(3, 2).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resize(&self, min: u32, max: u32) -> Result<(), InvalidSettings> {
        let Some(core) = self.own("resize") else { return Limits::new(min, max).map(drop) };
        let cap = core.cap.get().map(|cap| cap_problems(min, cap.instances())).unwrap_or_default();
        core.feed(Event::Resize(Limits::new_with(min, max, cap)?));
        Ok(())
    }

    /// What happens in the pool from now on: boots, losses, drains, casts that fail. Ends when the pool has stopped.
    ///
    /// # Examples
    ///
    /// ```
    /// use flame_actor::{Pool, backend::LocalBackend, pool::machine::PoolEvent, task};
    ///
    /// #[task]
    /// async fn work() {}
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("watched").backend(LocalBackend::new()).start()?;
    /// let mut events = pool.subscribe();
    /// pool.call(work::task()).await?;
    /// assert!(matches!(events.next().await, Some(PoolEvent::GrowStarted { .. })));
    /// assert_eq!(events.missed(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self) -> PoolEvents {
        match &self.handle.site {
            Site::Here(core) => core.events.subscribe(),
            Site::Away(_) => Outlet::closed().subscribe(),
        }
    }

    /// The pool, if it is this process's own; else a warning that nothing is done.
    fn own(&self, what: &'static str) -> Option<&Arc<Core>> {
        match &self.handle.site {
            Site::Here(core) => Some(core),
            Site::Away(_) => {
                tracing::warn!(pool = self.name(), what, "a runner cannot do that to a pool of its parent");
                None
            }
        }
    }

    /// The thread of the pool's links in this process, as an arbiter: for actors and futures that **never block** and that talk
    /// to runners at a high rate or in the least time. What they send and what is answered to them takes no way between
    /// threads.
    ///
    /// While something runs there, nothing comes from or goes to any runner of this process's pools: no message and no heartbeat.
    /// Whatever stays there for the lease ([`LinkConfig::with_lease`](crate::LinkConfig::with_lease)) costs all of them. For the
    /// other end of the way see [`Placing::colocated`]. On a runner it is the thread of the runner's own link.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actix::prelude::*;
    /// # use flame_actor::{Pool, RemoteAddr, backend::LocalBackend, remote};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Cache;
    /// # impl Actor for Cache { type Context = Context<Self>; }
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "Option<u32>")]
    /// # struct Get(String);
    /// # #[remote]
    /// # impl Handler<Get> for Cache {
    /// #     type Result = Option<u32>;
    /// #     fn handle(&mut self, _: Get, _: &mut Context<Self>) -> Option<u32> { None }
    /// # }
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("caches").backend(LocalBackend::new()).start()?;
    /// let cache = pool.place_child(Cache).colocated().await?;
    /// let (done, looked_up) = tokio::sync::oneshot::channel();
    /// pool.link_arbiter().spawn(async move {
    ///     let _ = done.send(cache.send(Get("key".into())).await);
    /// });
    /// assert_eq!(looked_up.await??, None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn link_arbiter(&self) -> ArbiterHandle {
        self.handle.site.link_arbiter().clone()
    }

    /// How many actors of this process the pool's runners can address.
    #[doc(hidden)]
    #[must_use]
    pub fn exports(&self) -> usize {
        match &self.handle.site {
            Site::Here(core) => core.runners(|runners| runners.exports()),
            Site::Away(_) => 0,
        }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.site.name()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Site::Here(core) = &self.site else { return };
        core.shut_down();
        // Its supervisor does not keep it, and could not end the runners of a pool that is no more.
        let kept = Arc::clone(core);
        core.parent.threads.control().spawn(async move { kept.stopped().await });
    }
}
