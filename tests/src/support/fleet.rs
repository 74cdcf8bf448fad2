//! A backend that knows which instances there are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flame_actor::backend::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance, ProcessBackend};
use tokio::sync::watch;

use super::soon;

/// Boots runners through another backend, and knows of each that is there, from its boot until it is confirmed gone:
/// what `max` bounds. Clones are the same fleet.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

struct Shared {
    backend: Box<dyn Backend>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    boots: usize,
    most: usize,
    /// By name; the process once it is there.
    live: BTreeMap<String, Option<u32>>,
    processes: BTreeMap<String, u32>,
    exits: BTreeMap<String, ExitReason>,
    held: bool,
    to_fail: usize,
}

impl Fleet {
    /// Copies of this executable.
    #[must_use]
    pub fn new() -> Self {
        Self::of(ProcessBackend::new())
    }

    /// What this backend boots.
    #[must_use]
    pub fn of(backend: impl Backend) -> Self {
        Self(Arc::new(Shared {
            backend: Box::new(backend),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// Boots that were begun, those that failed included.
    #[must_use]
    pub fn boots(&self) -> usize {
        self.state().boots
    }

    /// Instances that are there, those that boot included.
    #[must_use]
    pub fn live(&self) -> usize {
        self.state().live.len()
    }

    /// The most instances that were there at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.state().most
    }

    /// The processes that are there, oldest first within ten.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.state().live.values().flatten().copied().collect()
    }

    /// The processes that are there, by the names of their runners.
    #[must_use]
    pub fn by_name(&self) -> Vec<(String, u32)> {
        let state = self.state();
        state.live.iter().filter_map(|(name, pid)| Some((name.clone(), (*pid)?))).collect()
    }

    /// The process of a runner, also of one that has ended.
    #[must_use]
    pub fn pid_of(&self, runner: &str) -> Option<u32> {
        self.state().processes.get(runner).copied()
    }

    /// How runners ended, by their names.
    #[must_use]
    pub fn exits(&self) -> BTreeMap<String, ExitReason> {
        self.state().exits.clone()
    }

    /// Boots hang from now on, until [`release`](Fleet::release).
    pub fn hold(&self) {
        self.change(|state| state.held = true);
    }

    /// Boots go on.
    pub fn release(&self) {
        self.change(|state| state.held = false);
    }

    /// The next so many boots fail.
    pub fn fail(&self, boots: usize) {
        self.change(|state| state.to_fail = boots);
    }

    /// Waits until there are so many instances.
    pub async fn until_live(&self, count: usize) {
        self.when(|state| state.live.len() == count).await;
    }

    /// Waits until so many boots were begun.
    pub async fn until_boots(&self, count: usize) {
        self.when(|state| state.boots >= count).await;
    }

    /// Waits until a runner has ended.
    pub async fn until_ended(&self, runner: &str) -> ExitReason {
        self.when(|state| state.exits.contains_key(runner)).await;
        self.state().exits[runner].clone()
    }

    async fn when(&self, is_so: impl Fn(&State) -> bool) {
        let mut changed = self.0.changed.subscribe();
        soon(async {
            while !is_so(&self.state()) {
                changed.changed().await.unwrap();
            }
        })
        .await;
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state());
        self.0.changed.send_replace(());
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, name: &str, reason: &ExitReason) {
        self.change(|state| {
            state.live.remove(name);
            state.exits.insert(name.to_owned(), reason.clone());
        });
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Fleet {
    fn name(&self) -> &str {
        self.0.backend.name()
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let name = boot.runner.name().to_owned();
        let fails = self.change(|state| {
            state.boots += 1;
            state.live.insert(name.clone(), None);
            state.most = state.most.max(state.live.len());
            let fails = state.to_fail > 0;
            state.to_fail -= usize::from(fails);
            fails
        });
        let fleet = self.clone();
        let mut booting = Booting { fleet: self.clone(), name: Some(name.clone()) };
        Box::pin(async move {
            let mut changed = fleet.0.changed.subscribe();
            while fleet.state().held {
                let _ = changed.changed().await;
            }
            if fails {
                return Err(BootError::other("this boot was to fail"));
            }
            let instance = fleet.0.backend.boot(boot).await?;
            booting.done();
            fleet.change(|state| {
                let pid = instance.pid();
                state.live.insert(name.clone(), pid);
                state.processes.extend(pid.map(|pid| (name.clone(), pid)));
            });
            Ok(Arc::new(Member { fleet, name, instance }) as Arc<dyn Instance>)
        })
    }
}

/// A boot that came to nothing leaves no instance.
struct Booting {
    fleet: Fleet,
    name: Option<String>,
}

impl Booting {
    fn done(&mut self) {
        self.name = None;
    }
}

impl Drop for Booting {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.fleet.change(|state| state.live.remove(&name));
        }
    }
}

struct Member {
    fleet: Fleet,
    name: String,
    instance: Arc<dyn Instance>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.instance.fmt(f)
    }
}

impl Instance for Member {
    fn describe(&self) -> String {
        self.instance.describe()
    }

    fn pid(&self) -> Option<u32> {
        self.instance.pid()
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let (fleet, name, exited) = (self.fleet.clone(), self.name.clone(), self.instance.exited());
        Box::pin(async move {
            let reason = exited.await;
            fleet.ended(&name, &reason);
            reason
        })
    }

    fn terminate(&self) {
        self.instance.terminate();
    }

    fn kill(&self) {
        self.instance.kill();
    }

    fn log_tail(&self) -> Vec<String> {
        self.instance.log_tail()
    }
}
