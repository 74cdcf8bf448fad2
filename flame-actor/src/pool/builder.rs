//! What a pool is told when it is made.

use std::{sync::Arc, time::Duration};

use flame_transport::LinkConfig;

use super::{
    Handle, Pool,
    calling::encode,
    cap::SharedCap,
    core::{Core, Extras},
    error::CallError,
    hooks::Hooks,
    idle_check::IdleCheck,
    machine::PoolEvent,
    nested::{self, Site},
    policy::{Growth, Placement},
    settings::{IdleShutdown, InvalidSettings, PoolOptions, SettingsProblem},
    sigterm,
    supervisor::Supervisor,
};
use crate::{
    backend::{Backend, PrepareError, ProcessBackend, Resources},
    node::{Parent, ParentError},
    task::Task,
};

/// The options of a pool; [`start`](PoolBuilder::start) makes it.
#[must_use = "a pool is made by start()"]
pub struct PoolBuilder {
    options: PoolOptions,
    backend: Arc<dyn Backend>,
    parent: Option<Parent>,
    link: LinkConfig,
    resources: Resources,
    idle_check: Option<CheckMaker>,
    cap: Option<SharedCap>,
    hooks: Hooks,
    stop_on_sigterm: bool,
}

/// Encodes an idle check for links that take messages of a given length.
type CheckMaker = Box<dyn FnOnce(usize) -> Result<IdleCheck, CallError> + Send>;

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Its settings are wrong, those of its links included: all that is wrong with them.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// Its parent could not be started.
    #[error(transparent)]
    Parent(#[from] ParentError),
    /// It was to stop at SIGTERM, and the signal cannot be watched for.
    #[error("SIGTERM cannot be watched for: {0}")]
    Signal(#[source] std::io::Error),
    /// Its backend cannot boot runners as it is set up.
    #[error("the backend {backend} cannot boot runners: {source}")]
    Backend {
        /// Which one.
        backend: String,
        /// Why not.
        source: PrepareError,
    },
}

impl PoolBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            options: PoolOptions::new(name),
            backend: Arc::new(ProcessBackend::new()),
            parent: None,
            link: LinkConfig::default(),
            resources: Resources::default(),
            idle_check: None,
            cap: None,
            hooks: Hooks::default(),
            stop_on_sigterm: false,
        }
    }

    /// Runners to keep, whether there is work or not. Default 0.
    pub fn min(self, runners: u32) -> Self {
        self.with(|options| options.min(runners))
    }

    /// Instances that may exist at once, those that boot or end included. Default 8.
    pub fn max(self, runners: u32) -> Self {
        self.with(|options| options.max(runners))
    }

    /// What one runner may do at a time: calls, children. Default 100, or 1 with `single_use`.
    pub fn max_concurrency(self, slots: u32) -> Self {
        self.with(|options| options.max_concurrency(slots))
    }

    /// A runner serves one call or child and ends. Default false.
    pub fn single_use(self, single_use: bool) -> Self {
        self.with(|options| options.single_use(single_use))
    }

    /// The time a call has in all: queue, boot and execution. Default 30 s; `None` for no limit.
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|options| options.timeout(timeout))
    }

    /// The time a runner has to join; then its instance is ended. Default: what the backend needs
    /// ([`Backend::boot_timeout`]), mostly 30 s.
    pub fn boot_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.boot_timeout(timeout))
    }

    /// The time work in flight has when its runner is told to go. Default 30 s.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.shutdown_timeout(timeout))
    }

    /// After how long without work a runner above `min` ends. Default 30 s; `None` for never.
    pub fn idle_shutdown_after(self, time: impl Into<Option<Duration>>) -> Self {
        let rule = time.into().map_or(IdleShutdown::Never, IdleShutdown::After);
        let rest = Self { idle_check: None, ..self };
        rest.with(|options| options.idle_shutdown(rule))
    }

    /// Instead of [`idle_shutdown_after`](Self::idle_shutdown_after): after this time without work, which must not be zero, a runner
    /// above `min` ends if this task, run on it, says `true`; else it is asked again after as long again. The task takes
    /// no slot and has 10 s. One that fails keeps its runner, and the log says so.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use flame_actor::{Pool, backend::LocalBackend, task};
    ///
    /// #[task]
    /// async fn cache_is_cold() -> bool {
    ///     true
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder("caches")
    ///     .backend(LocalBackend::new())
    ///     .idle_check(Duration::from_secs(60), cache_is_cold::task())
    ///     .start()?;
    /// # drop(pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn idle_check<T: Task<Output = bool>>(mut self, time: Duration, task: T) -> Self {
        self.idle_check = Some(Box::new(move |max_message| {
            let (task, body) = encode(&task, max_message)?;
            Ok(IdleCheck { task, body })
        }));
        self.with(|options| options.idle_shutdown(IdleShutdown::AfterCheck(time)))
    }

    /// Each instance of this pool also counts against a cap that several pools share. Default: none.
    pub fn shared_cap(mut self, cap: &SharedCap) -> Self {
        self.cap = Some(cap.clone());
        self.with(|options| options.shared_cap(true))
    }

    /// Called when a boot begins, with [`PoolEvent::GrowStarted`].
    ///
    /// Callbacks run on the pool's own thread, one after the other: they must be quick. One that panics harms nothing. For all
    /// else that happens there is [`Pool::subscribe`].
    pub fn on_grow_start(mut self, callback: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.hooks.grow_start = Some(Box::new(callback));
        self
    }

    /// Called when a boot is over, with [`PoolEvent::Grown`] or [`PoolEvent::BootFailed`]. As [`on_grow_start`](Self::on_grow_start).
    pub fn on_grow_end(mut self, callback: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.hooks.grow_end = Some(Box::new(callback));
        self
    }

    /// Called when an instance is gone, with [`PoolEvent::Shrunk`] or [`PoolEvent::Leaked`]. As [`on_grow_start`](Self::on_grow_start).
    pub fn on_shrink(mut self, callback: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Self {
        self.hooks.shrink = Some(Box::new(callback));
        self
    }

    /// The pool stops, as by [`Pool::stop`], when this process gets SIGTERM. Default: it does not, for signals are the app's.
    ///
    /// From the first such pool on, SIGTERM does not end the process by itself: the app does, once [`Pool::stopped`] says that the pool
    /// has drained.
    pub fn stop_on_sigterm(mut self) -> Self {
        self.stop_on_sigterm = true;
        self
    }

    /// The same for the last `min` runners, which the next request brings back. Default: never.
    pub fn min_idle_shutdown_after(self, time: impl Into<Option<Duration>>) -> Self {
        self.with(|options| options.min_idle_shutdown_after(time))
    }

    /// Requests that may wait for a slot. Default 10,000.
    pub fn max_queue(self, requests: usize) -> Self {
        self.with(|options| options.max_queue(requests))
    }

    /// When runners are booted. Default [`Demand`](super::policy::Demand).
    pub fn growth(self, policy: impl Growth) -> Self {
        self.with(|options| options.growth(policy))
    }

    /// Which runner gets work. Default [`Pack`](super::policy::Pack).
    pub fn placement(self, policy: impl Placement) -> Self {
        self.with(|options| options.placement(policy))
    }

    /// How runners are booted. Default: [`ProcessBackend`], as child processes.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Arc::new(backend);
        self
    }

    /// What runners are to have, unless a call or child asks for something else. Default: whatever the backend gives.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// The parent that owns the pool. Default: one that is shared by all pools of the process.
    pub fn parent(mut self, parent: &Parent) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// How the links to the runners behave: how soon a silent runner is given up, how long a message may be.
    pub fn link(mut self, link: LinkConfig) -> Self {
        self.link = link;
        self
    }

    /// Makes the pool, which boots its `min` runners.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; wrong settings come all in one.
    ///
    /// # Blocking
    ///
    /// A backend that has to ask somebody whether its runners can be booted ([`Backend::prepare`]) blocks this for as long.
    pub fn start(self) -> Result<Pool, PoolError> {
        let backend = &self.backend;
        let options = self.options.backend_times(backend.boot_timeout(), backend.terminate_timeout());
        let mut problems = Vec::new();
        if let Some(cap) = &self.cap {
            problems.extend(cap_problems(options.kept(), cap.instances()));
        }
        let idle_check = match self.idle_check.map(|make| make(self.link.max_message())) {
            Some(Ok(check)) => Some(check),
            Some(Err(error)) => {
                problems.push(SettingsProblem::IdleCheck { reason: error.to_string() });
                None
            }
            None => None,
        };
        if let Err(wrong) = self.link.validate() {
            problems.push(SettingsProblem::Link { wrong });
        }
        let settings = options.validate_with(problems)?;
        backend
            .prepare(settings.name())
            .map_err(|source| PoolError::Backend { backend: backend.name().to_owned(), source })?;
        let parent = self.parent.map_or_else(Parent::shared, Ok)?.into_node();
        let extras = Extras { resources: self.resources, idle_check, cap: self.cap, hooks: self.hooks };
        let core = Core::new(settings, self.backend, parent, self.link, extras)?;
        if self.stop_on_sigterm {
            sigterm::watch(&core).map_err(PoolError::Signal)?;
        }
        Supervisor::start_for(&core);
        let handle = Arc::new(Handle { site: Site::Here(core) });
        nested::enter(&handle);
        Ok(Pool { handle })
    }

    fn with(mut self, set: impl FnOnce(PoolOptions) -> PoolOptions) -> Self {
        self.options = set(self.options);
        self
    }
}

/// What a cap does not go with.
pub(super) fn cap_problems(min: u32, cap: u32) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    if cap == 0 {
        problems.push(SettingsProblem::SharedCap { cap });
    }
    if min > cap {
        problems.push(SettingsProblem::MinAboveSharedCap { min, cap });
    }
    problems
}

impl std::fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder").field("backend", &self.backend.name()).finish_non_exhaustive()
    }
}
