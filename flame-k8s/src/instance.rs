//! One pod: its boot, its watch and its end.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flame_actor::backend::{BootError, BoxFuture, ExitReason, Instance};
use k8s_openapi::api::core::v1::{Event, Pod};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    cluster::Cluster,
    error::{Cause, Phase, PodFailure},
    exit::{self, Look, Trouble},
    watch::{Following, Sight},
};

/// How long a runner that is terminated has at the most. The pool has let it drain before.
const GRACE: Duration = Duration::from_secs(5);
/// How long a runner that has joined may take to end by itself, which most do that are terminated: they have drained, or
/// are dead. How it ended stands in its pod, and is best read before that is deleted.
const LAST_WORD: Duration = Duration::from_secs(3);
/// The shortest grace that still has the kubelet confirm the end, instead of the object only vanishing.
const NO_GRACE: u32 = 1;
/// How long the end of a pod is kept back until its deletion is asked for.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long before the end of its time a boot is given up, so that there is time to ask why.
const EXPLAIN: Duration = Duration::from_secs(3);
/// After how many pauses an image is not waited for any more. The third begins about 40 s after the first attempt.
const BACK_OFFS: u32 = 3;

/// What the pool wants of a pod.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    joined: bool,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Terminate,
    Kill,
}

/// A runner's pod, as the pool holds it.
pub(crate) struct PodInstance {
    name: String,
    orders: watch::Sender<Orders>,
    news: watch::Receiver<News>,
    tail: Arc<Mutex<Vec<String>>>,
}

/// What is told of a pod.
#[derive(Debug, Default)]
struct News {
    broken: Option<PodFailure>,
    exit: Option<ExitReason>,
}

/// Follows a pod that was created, on the backend's runtime.
pub(crate) fn start(
    cluster: Arc<Cluster>,
    following: Following,
    pod: Pod,
    began: Instant,
    deadline: Instant,
    drain: Duration,
) -> Arc<PodInstance> {
    let (orders, ordered) = watch::channel(Orders::default());
    let (publish, news) = watch::channel(News::default());
    let tail = Arc::new(Mutex::new(Vec::new()));
    let short = pod.metadata.name.clone().unwrap_or_default();
    let name = format!("{}/{short}", cluster.home.namespace);
    let margin = EXPLAIN.min((deadline - began) / 4);
    let handle = cluster.handle().clone();
    let driver = Driver {
        name: name.clone(),
        short,
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        last: Arc::new(pod),
        following,
        orders: ordered,
        publish,
        tail: Arc::clone(&tail),
        waited: deadline - began,
        explain_at: deadline - margin,
        grace: drain.min(GRACE),
        joined: false,
        asked: None,
        delete_at: None,
        has_secret: true,
        back_offs: 0,
        backing_off: false,
        tasks: JoinSet::new(),
        cluster,
    };
    handle.spawn(driver.run());
    Arc::new(PodInstance { name, orders, news, tail })
}

impl PodInstance {
    fn order(&self, end: End) {
        self.orders.send_if_modified(|orders| {
            let more = orders.end < Some(end);
            orders.end = orders.end.max(Some(end));
            more
        });
    }
}

impl Instance for PodInstance {
    fn describe(&self) -> String {
        format!("pod {}", self.name)
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let mut news = self.news.clone();
        Box::pin(async move {
            match news.wait_for(|news| news.exit.is_some()).await.as_deref() {
                Ok(News { exit: Some(reason), .. }) => reason.clone(),
                _ => ExitReason::Unknown { detail: "its watcher ended before it".into() },
            }
        })
    }

    fn terminate(&self) {
        self.order(End::Terminate);
    }

    fn kill(&self) {
        self.order(End::Kill);
    }

    fn joined(&self) {
        self.orders.send_modify(|orders| orders.joined = true);
    }

    fn broken(&self) -> BoxFuture<BootError> {
        let mut news = self.news.clone();
        Box::pin(async move {
            let failure = match news.wait_for(|news| news.broken.is_some()).await.as_deref() {
                Ok(News { broken: Some(failure), .. }) => Some(failure.clone()),
                _ => None,
            };
            match failure {
                Some(failure) => BootError::other(failure),
                None => std::future::pending().await,
            }
        })
    }

    fn log_tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for PodInstance {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for PodInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodInstance")
            .field("pod", &self.name)
            .field("orders", &*self.orders.borrow())
            .field("exited", &self.news.borrow().exit)
            .finish_non_exhaustive()
    }
}

/// Follows a pod to its end.
struct Driver {
    cluster: Arc<Cluster>,
    /// With its namespace.
    name: String,
    /// Without.
    short: String,
    uid: String,
    /// How the pod was last seen.
    last: Arc<Pod>,
    following: Following,
    orders: watch::Receiver<Orders>,
    publish: watch::Sender<News>,
    tail: Arc<Mutex<Vec<String>>>,
    waited: Duration,
    explain_at: Instant,
    grace: Duration,
    joined: bool,
    asked: Option<End>,
    /// When the pod is deleted if its runner has not ended by then.
    delete_at: Option<Instant>,
    has_secret: bool,
    back_offs: u32,
    backing_off: bool,
    /// Deletions under way.
    tasks: JoinSet<()>,
}

/// How a pod is found to have ended.
enum Ended {
    /// Its container has ended; the pod is still there to be read.
    Still,
    /// The pod is gone.
    Gone,
}

impl Driver {
    async fn run(mut self) {
        let ended = self.until_ended().await;
        let reason = self.explain_end().await;
        tracing::debug!(target: crate::LOG_TARGET, pod = self.name, %reason, "a runner's pod has ended");
        // Only now: the reason stood in the pod.
        if matches!(ended, Ended::Still) {
            self.delete(None);
        }
        self.drop_secret();
        // Before it is told, if the server answers: a parent whose runners have all ended may end itself.
        let _ = timeout(FAREWELL, self.until_deleted()).await;
        self.publish.send_modify(|news| news.exit = Some(reason));
        self.until_deleted().await;
    }

    async fn until_deleted(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    async fn until_ended(&mut self) -> Ended {
        let mut owned = true;
        loop {
            let explain_at = self.explain_at;
            let delete_at = self.delete_at;
            tokio::select! {
                biased;
                changed = self.orders.changed(), if owned => {
                    owned = changed.is_ok();
                    let orders = *self.orders.borrow_and_update();
                    // The instance says so when it is dropped; this is for the case that it cannot.
                    let end = if owned { orders.end } else { orders.end.max(Some(End::Terminate)) };
                    self.obey(Orders { end, ..orders });
                }
                changed = self.following.sights.changed() => {
                    let sight = self.following.sights.borrow_and_update().clone();
                    if changed.is_err() {
                        return Ended::Gone;
                    }
                    if let Some(ended) = self.see(sight).await {
                        return ended;
                    }
                }
                () = sleep_until(explain_at), if self.is_booting() => {
                    let Look { phase, trouble, .. } = exit::look(&self.last);
                    let running = phase == Phase::Joining;
                    let cause = trouble.map(Trouble::into_cause);
                    let cause = cause.unwrap_or(Cause::NotJoined { waited: self.waited, running });
                    self.give_up(cause).await;
                }
                () = sleep_until(delete_at.unwrap_or(explain_at)), if delete_at.is_some() => {
                    self.delete_at = None;
                    self.delete(Some(u32::try_from(self.grace.as_secs()).unwrap_or(NO_GRACE).max(NO_GRACE)));
                }
            }
        }
    }

    /// Whether the pool still waits for the runner.
    fn is_booting(&self) -> bool {
        !self.joined && self.asked.is_none() && self.publish.borrow().broken.is_none()
    }

    fn obey(&mut self, orders: Orders) {
        if orders.joined && !self.joined {
            self.joined = true;
            self.drop_secret();
        }
        if orders.end > self.asked {
            self.asked = orders.end;
            self.drop_secret();
            if self.joined && self.asked == Some(End::Terminate) {
                self.delete_at = Some(Instant::now() + LAST_WORD);
            } else {
                // It has nothing to finish, and as the first process of its container it may hear no signal yet.
                self.delete_at = None;
                self.delete(Some(NO_GRACE));
            }
        }
    }

    /// Takes in what is seen of the pod; tells if it has ended.
    async fn see(&mut self, sight: Sight) -> Option<Ended> {
        match sight {
            Sight::Nothing => None,
            Sight::Gone(pod) => {
                self.last = pod;
                Some(Ended::Gone)
            }
            // The list may be older than the pod.
            Sight::Missing => match self.cluster.server.pod(&self.short).await {
                Ok(Some(pod)) if pod.metadata.uid.as_deref() == Some(&*self.uid) => {
                    self.look_at(Arc::new(pod)).await
                }
                Ok(_) => Some(Ended::Gone),
                Err(error) => {
                    tracing::debug!(target: crate::LOG_TARGET, pod = self.name, %error, "cannot tell whether it is gone");
                    None
                }
            },
            Sight::Pod(pod) => self.look_at(pod).await,
        }
    }

    async fn look_at(&mut self, pod: Arc<Pod>) -> Option<Ended> {
        self.last = pod;
        let look = exit::look(&self.last);
        if look.phase == Phase::Ended {
            return Some(Ended::Still);
        }
        let backed_off =
            std::mem::replace(&mut self.backing_off, matches!(look.trouble, Some(Trouble::BackOff(_))));
        if self.is_booting() {
            match look.trouble {
                Some(Trouble::Hopeless(cause)) => self.give_up(cause).await,
                Some(Trouble::BackOff(cause)) if !backed_off => {
                    self.back_offs += 1;
                    if self.back_offs >= BACK_OFFS {
                        self.give_up(cause).await;
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Tells the pool that the runner will not join, and all that is known of why.
    async fn give_up(&mut self, cause: Cause) {
        let ran = exit::look(&self.last).phase >= Phase::Joining;
        let (events, log) = tokio::join!(self.cluster.server.events(&self.uid), self.log(ran));
        self.set_tail(log);
        self.tell_broken(cause, &events);
        self.drop_secret();
    }

    fn tell_broken(&self, cause: Cause, events: &[Event]) {
        let failure = PodFailure {
            pod: self.name.clone(),
            cause,
            phase: exit::look(&self.last).phase,
            node: exit::node(&self.last),
            last_event: events.last().map(exit::words_of),
            log_tail: self.tail.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        tracing::debug!(target: crate::LOG_TARGET, pod = self.name, %failure, "a boot is given up");
        self.publish.send_modify(|news| news.broken = Some(failure));
    }

    /// How it ended; and why it did not join, if it did not.
    async fn explain_end(&mut self) -> ExitReason {
        let asked = self.asked.is_some();
        let plain = exit::reason(&self.last, &[], asked);
        if plain.is_success() && !self.is_booting() {
            return plain;
        }
        let log_is_there = matches!(exit::look(&self.last).phase, Phase::Ended);
        let (events, log) = tokio::join!(self.cluster.server.events(&self.uid), self.log(log_is_there));
        self.set_tail(log);
        let reason = exit::reason(&self.last, &events, asked);
        if self.is_booting() {
            self.tell_broken(Cause::Ended(reason.clone()), &events);
        }
        reason
    }

    async fn log(&self, is_there: bool) -> Vec<String> {
        match is_there {
            true => self.cluster.server.log(&self.short, self.cluster.options.log_tail).await,
            false => Vec::new(),
        }
    }

    fn set_tail(&self, log: Vec<String>) {
        if !log.is_empty() {
            *self.tail.lock().unwrap_or_else(PoisonError::into_inner) = log;
        }
    }

    fn delete(&mut self, grace: Option<u32>) {
        let (server, name, uid) = (self.cluster.server.clone(), self.short.clone(), self.uid.clone());
        self.tasks.spawn(async move { server.delete_pod(&name, Some(&uid), grace).await });
    }

    /// The ticket was used, or will not be.
    fn drop_secret(&mut self) {
        if std::mem::take(&mut self.has_secret) {
            let (server, name) = (self.cluster.server.clone(), self.short.clone());
            self.tasks.spawn(async move { server.delete_secret(&name).await });
        }
    }
}
