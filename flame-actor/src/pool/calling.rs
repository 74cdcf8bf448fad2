//! `call` and `cast`, and what can be said about one of them.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{
    error::CallError,
    machine::{Affinity, Failure, Key},
    nested::Site,
    running::{Answer, Call, run},
    wish::{Time, Wish},
};
use crate::{
    backend::Resources,
    registry::Registry,
    remote::{Encoded, SendError, encode_whole},
    task::Task,
};

/// A call: say more about it, then await it, or [`cast`](Calling::cast) it.
///
/// Nothing but the encoding of its arguments happens before it is polled. From then on, dropping it cancels the work, unless it
/// is [`detached`](Calling::detached). What is said about a call that has begun changes nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use flame_actor::{Pool, backend::{LocalBackend, Resources}, task};
///
/// #[task]
/// async fn translate(text: String) -> String {
///     text.to_uppercase()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder("models").backend(LocalBackend::new()).start()?;
/// let text = pool
///     .call(translate::task("hallo".to_owned()))
///     .timeout(Duration::from_secs(60)) // queue, boot and execution
///     .key("de-en") // where the model is loaded already, if there is room
///     .resources(Resources::builder().memory(2 << 30).build()?)
///     .retry(1) // translating twice does no harm
///     .await?;
/// assert_eq!(text, "HALLO");
/// # Ok(())
/// # }
/// ```
#[must_use = "a call runs when it is awaited; use cast for one whose output does not matter"]
pub struct Calling<O> {
    stage: Stage<O>,
}

type UnderWay<O> = Pin<Box<dyn Future<Output = Result<O, CallError>> + Send>>;

#[expect(clippy::large_enum_variant, reason = "a box would cost each call an allocation more")]
enum Stage<O> {
    Prepared(Prepared),
    UnderWay(UnderWay<O>),
    Done,
}

struct Prepared {
    site: Site,
    name: &'static str,
    task: Result<(u32, Encoded), CallError>,
    wish: Wish,
    retries: u32,
    detached: bool,
}

impl<O: DeserializeOwned + Send + 'static> Calling<O> {
    pub(super) fn new<T: Task<Output = O>>(site: &Site, task: &T) -> Self {
        Self {
            stage: Stage::Prepared(Prepared {
                site: site.clone(),
                name: T::NAME,
                task: encode(task, site.max_message()),
                wish: Wish::here(),
                retries: 0,
                detached: false,
            }),
        }
    }

    /// The time that the call has from its first poll, for queue, boot and execution together; `None` for no limit. Default: the
    /// pool's `timeout`.
    pub fn timeout(self, time: impl Into<Option<Duration>>) -> Self {
        let time = time.into();
        self.with(|call| call.wish.time = Time::Within(time))
    }

    /// When the call's time is over, instead of [`timeout`](Self::timeout).
    pub fn deadline(self, at: Instant) -> Self {
        self.with(|call| call.wish.time = Time::Until(at))
    }

    /// The call goes to the runner that serves this key if that has a free slot, else to any other at once. The first call with a key
    /// takes it to its runner.
    pub fn key(self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.with(|call| call.wish.affinity = Some(Affinity::Prefer(key)))
    }

    /// The call goes to the runner that serves this key and waits for its slots, as long as there is such a runner.
    pub fn require_key(self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.with(|call| call.wish.affinity = Some(Affinity::Require(key)))
    }

    /// The call needs a runner that was booted for these resources. Default: the pool's.
    pub fn resources(self, resources: Resources) -> Self {
        self.with(|call| call.wish.resources = Some(resources))
    }

    /// How often the call may be made again after its runner was lost, within its time: **only for a task that may run
    /// twice**. Default 0. A call that was not handed to its runner yet is always made again.
    pub fn retry(self, times: u32) -> Self {
        self.with(|call| call.retries = times)
    }

    /// Once begun, the call goes on if this is dropped, never longer than the pool and its parent. If it fails and nobody waits for
    /// it any more, that is a [dead letter](crate::dead_letters()).
    pub fn detached(self) -> Self {
        self.with(|call| call.detached = true)
    }

    /// Runs the task and forgets its output, see [`Pool::cast`](super::Pool::cast).
    pub fn cast(self) {
        let Stage::Prepared(prepared) = self.stage else { return };
        let (site, name) = (prepared.site.clone(), prepared.name);
        let call = Prepared { detached: true, ..prepared };
        let mut call: UnderWay<()> = Box::pin(async move { call.run().await.map(Answer::discard) });
        // It takes its slot or its place in the queue here and now: so casts are bounded as calls are, and a pool that is told to
        // stop next knows of it. Its timers are of a runtime that is always there.
        let first = {
            let _timers = site.timers();
            call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        match first {
            Poll::Ready(outcome) => site.forget(name, outcome),
            Poll::Pending => {
                let place = site.clone();
                place.spawn(async move { site.forget(name, call.await) });
            }
        }
    }

    fn with(mut self, say: impl FnOnce(&mut Prepared)) -> Self {
        if let Stage::Prepared(prepared) = &mut self.stage {
            say(prepared);
        }
        self
    }
}

impl Prepared {
    fn begin<O: DeserializeOwned + Send + 'static>(self) -> UnderWay<O> {
        if !self.detached {
            return Box::pin(async move { self.run().await?.decode() });
        }
        let (site, name) = (self.site.clone(), self.name);
        let (sender, outcome) = oneshot::channel();
        let place = site.clone();
        place.spawn(async move {
            let outcome = self.run().await;
            if let Err(outcome) = sender.send(outcome) {
                site.forget(name, outcome.map(Answer::discard));
            }
        });
        // The parent's threads are gone if nothing comes.
        let closed = |_| Err(CallError::NotPlaced(Failure::PoolClosed));
        Box::pin(async move { outcome.await.unwrap_or_else(closed)?.decode() })
    }

    async fn run(self) -> Result<Answer, CallError> {
        let (task, body) = self.task?;
        let call = Call { task, body, wish: self.wish, retries: self.retries };
        match &self.site {
            Site::Here(core) => run(core, call).await,
            Site::Away(away) => away.call(call, self.detached).await,
        }
    }
}

/// The number of a task, and its arguments.
pub(super) fn encode<T: Task>(task: &T, max_message: usize) -> Result<(u32, Encoded), CallError> {
    let registry = Registry::get().map_err(SendError::from)?;
    let number = registry.task::<T>().ok_or(CallError::NotRegistered)?;
    let body = encode_whole(task, max_message).map_err(SendError::from)?;
    Ok((number, body))
}

impl<O: DeserializeOwned + Send + 'static> Future for Calling<O> {
    type Output = Result<O, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Prepared(_) = self.stage
            && let Stage::Prepared(prepared) = std::mem::replace(&mut self.stage, Stage::Done)
        {
            self.stage = Stage::UnderWay(prepared.begin());
        }
        match &mut self.stage {
            Stage::UnderWay(call) => call.as_mut().poll(cx),
            Stage::Prepared(_) | Stage::Done => Poll::Pending,
        }
    }
}

impl<O> std::fmt::Debug for Calling<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}
