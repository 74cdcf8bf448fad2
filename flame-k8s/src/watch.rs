//! One watch on all pods of a parent's life, and who follows which of them.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

/// How often everything is listed again: the watch can lose what happened to a pod, above all its end.
const RELIST: Duration = Duration::from_secs(45);
/// How long one watch may last, in seconds. Below the limits on silent connections that are common on the way.
const WATCH: u32 = 240;

/// What is seen of a pod.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    /// Nothing yet.
    Nothing,
    /// This is how it is now.
    Pod(Arc<Pod>),
    /// It is not in the list. It may be gone; or the list may be older than it.
    Missing,
    /// It is gone, and this is how it was at last.
    Gone(Arc<Pod>),
}

/// Who follows which pod.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    followed: Notify,
}

#[derive(Default)]
struct State {
    pods: HashMap<String, watch::Sender<Sight>>,
    /// What has been listed so far, while a list is under way.
    listed: HashSet<String>,
}

/// Follows a pod until it is dropped.
pub(crate) struct Following {
    watch: Arc<Watch>,
    name: String,
    pub(crate) sights: watch::Receiver<Sight>,
}

impl Watch {
    /// Follows the pod of this name, which need not be there yet.
    pub(crate) fn follow(self: &Arc<Self>, name: &str) -> Following {
        let (sender, sights) = watch::channel(Sight::Nothing);
        self.state().pods.insert(name.to_owned(), sender);
        self.followed.notify_one();
        Following { watch: Arc::clone(self), name: name.to_owned(), sights }
    }

    /// Whether somebody follows the pod of this name.
    pub(crate) fn is_followed(&self, name: &str) -> bool {
        self.state().pods.contains_key(name)
    }

    /// Watches the pods with these labels, as long as any is followed.
    pub(crate) async fn run(self: Arc<Self>, pods: Api<Pod>, labels: String) {
        loop {
            self.until_followed().await;
            let config = watcher::Config::default().labels(&labels).timeout(WATCH);
            let mut events = pin!(watcher(pods.clone(), config).default_backoff());
            let mut relist = Instant::now() + RELIST;
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = sleep_until(relist) => None,
                };
                match event {
                    None => break,
                    Some(Ok(event)) => {
                        if matches!(event, watcher::Event::InitDone) {
                            relist = Instant::now() + RELIST;
                        }
                        self.see(event);
                    }
                    Some(Err(error)) => {
                        // It tries again by itself, with growing pauses; a new watch would begin with the short ones.
                        relist = Instant::now() + RELIST;
                        tracing::warn!(target: crate::LOG_TARGET, %error, "the watch on the runners' pods failed");
                    }
                }
            }
        }
    }

    async fn until_followed(&self) {
        while self.state().pods.is_empty() {
            self.followed.notified().await;
        }
    }

    fn see(&self, event: watcher::Event<Pod>) {
        use watcher::Event;
        let mut state = self.state();
        match event {
            Event::Init => state.listed.clear(),
            Event::InitApply(pod) => {
                state.listed.extend(pod.metadata.name.clone());
                state.tell(pod, Sight::Pod);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut state.listed);
                for (_, sender) in state.pods.iter().filter(|(name, _)| !listed.contains(*name)) {
                    sender.send_replace(Sight::Missing);
                }
            }
            Event::Apply(pod) => state.tell(pod, Sight::Pod),
            Event::Delete(pod) => state.tell(pod, Sight::Gone),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&self, pod: Pod, sight: fn(Arc<Pod>) -> Sight) {
        if let Some(sender) = pod.metadata.name.as_ref().and_then(|name| self.pods.get(name)) {
            sender.send_replace(sight(Arc::new(pod)));
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.watch.state().pods.remove(&self.name);
    }
}
