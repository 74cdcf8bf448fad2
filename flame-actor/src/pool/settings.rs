//! What a pool is told when it is built, checked as a whole.

use std::{fmt, sync::Arc, time::Duration};

use flame_transport::InvalidConfig;

use crate::pool::policy::{Demand, Growth, Pack, Placement};

/// What can be said about a pool, with the defaults where nothing is said; [`PoolOptions::validate`] makes it
/// [`PoolSettings`].
///
/// # Examples
///
/// ```
/// use flame_actor::pool::settings::PoolOptions;
///
/// let settings = PoolOptions::new("thumbs").max(10).max_concurrency(4).validate()?;
/// assert_eq!(settings.limits().max(), 10);
///
/// let wrong = PoolOptions::new("Thumbs!").min(3).max(2).validate().unwrap_err();
/// assert_eq!(wrong.problems().len(), 2);
/// # Ok::<(), flame_actor::pool::settings::InvalidSettings>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct PoolOptions {
    name: String,
    min: u32,
    max: u32,
    max_concurrency: Option<u32>,
    single_use: bool,
    timeout: Option<Duration>,
    boot_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    terminate_timeout: Option<Duration>,
    idle_shutdown: IdleShutdown,
    min_idle_shutdown_after: Option<Duration>,
    max_queue: usize,
    shared_cap: bool,
    growth: Arc<dyn Growth>,
    placement: Arc<dyn Placement>,
}

impl PoolOptions {
    /// The options of a pool called `name`: 1 to [`PoolSettings::MAX_NAME`] of `a`–`z`, `0`–`9` and `-`, beginning and
    /// ending with a letter or digit. Runners are called `<name>-<number>`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            min: 0,
            max: 8,
            max_concurrency: None,
            single_use: false,
            timeout: Some(Duration::from_secs(30)),
            boot_timeout: None,
            shutdown_timeout: Duration::from_secs(30),
            terminate_timeout: None,
            idle_shutdown: IdleShutdown::After(Duration::from_secs(30)),
            min_idle_shutdown_after: None,
            max_queue: 10_000,
            shared_cap: false,
            growth: Arc::new(Demand),
            placement: Arc::new(Pack),
        }
    }

    /// Runners to keep, whether there is work or not. Default 0; at most `max`.
    pub fn min(mut self, runners: u32) -> Self {
        self.min = runners;
        self
    }

    /// Instances that may exist at once, those that boot or end included. Default 8; 1 to [`PoolSettings::MAX_RUNNERS`].
    pub fn max(mut self, runners: u32) -> Self {
        self.max = runners;
        self
    }

    /// Slots of one runner: what it may do at a time. Default 100, or 1 with [`single_use`](Self::single_use); 1 to
    /// [`PoolSettings::MAX_CONCURRENCY`].
    pub fn max_concurrency(mut self, slots: u32) -> Self {
        self.max_concurrency = Some(slots);
        self
    }

    /// A runner serves one request and ends. Default false.
    pub fn single_use(mut self, single_use: bool) -> Self {
        self.single_use = single_use;
        self
    }

    /// The time a call has in all, queue and boot included, unless it says otherwise. Default 30 s; `None` for no limit.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The time a runner has to join; then its instance is terminated. Default: what the backend needs, mostly 30 s; not zero.
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.boot_timeout = Some(timeout);
        self
    }

    /// The time work in flight has when its runner was told to go, above all when the pool stops; then the
    /// instance is terminated. Default 30 s; zero ends work at once.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// The time a terminated instance has to be confirmed gone; then it is reported as leaked and stops counting.
    /// Default: what the backend needs, mostly 10 s; not zero.
    pub fn terminate_timeout(mut self, timeout: Duration) -> Self {
        self.terminate_timeout = Some(timeout);
        self
    }

    /// What the backend needs, where nothing else was set.
    pub(super) fn backend_times(mut self, boot: Duration, terminate: Duration) -> Self {
        self.boot_timeout.get_or_insert(boot);
        self.terminate_timeout.get_or_insert(terminate);
        self
    }

    /// When a runner above `min` that has nothing to do ends. Default after 30 s.
    pub fn idle_shutdown(mut self, rule: IdleShutdown) -> Self {
        self.idle_shutdown = rule;
        self
    }

    /// When a runner that `min` would keep ends for want of work; the next request brings `min` back. Default never
    /// (`None`).
    pub fn min_idle_shutdown_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.min_idle_shutdown_after = time.into();
        self
    }

    /// Requests that may wait for a slot; one more fails at once with `QueueFull`. Default 10,000; zero queues nothing,
    /// so that a request fails unless a slot is free.
    pub fn max_queue(mut self, requests: usize) -> Self {
        self.max_queue = requests;
        self
    }

    /// Whether each instance also needs a permit of a cap that is shared with other pools. Default false.
    pub fn shared_cap(mut self, shared: bool) -> Self {
        self.shared_cap = shared;
        self
    }

    /// How the pool grows. Default [`Demand`].
    pub fn growth(mut self, policy: impl Growth) -> Self {
        self.growth = Arc::new(policy);
        self
    }

    /// Where the pool places work. Default [`Pack`].
    pub fn placement(mut self, policy: impl Placement) -> Self {
        self.placement = Arc::new(policy);
        self
    }

    pub(super) fn kept(&self) -> u32 {
        self.min
    }

    /// Checks the options.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] lists everything that is wrong, not the first thing.
    pub fn validate(self) -> Result<PoolSettings, InvalidSettings> {
        self.validate_with(Vec::new())
    }

    /// As [`validate`](Self::validate), with problems that were found elsewhere.
    pub(super) fn validate_with(
        self,
        mut problems: Vec<SettingsProblem>,
    ) -> Result<PoolSettings, InvalidSettings> {
        let mut require = |fine: bool, problem: SettingsProblem| {
            if !fine {
                problems.push(problem);
            }
        };
        let limits = Limits { min: self.min, max: self.max };
        let concurrency = self.max_concurrency.unwrap_or(if self.single_use { 1 } else { 100 });
        require(
            is_pool_name(&self.name),
            SettingsProblem::Name { name: self.name.chars().take(80).collect() },
        );
        require((1..=PoolSettings::MAX_RUNNERS).contains(&self.max), SettingsProblem::Max { max: self.max });
        require(self.min <= self.max, SettingsProblem::MinAboveMax { min: self.min, max: self.max });
        require(
            (1..=PoolSettings::MAX_CONCURRENCY).contains(&concurrency),
            SettingsProblem::Concurrency { max_concurrency: concurrency },
        );
        require(
            !self.single_use || concurrency <= 1,
            SettingsProblem::SingleUseConcurrency { max_concurrency: concurrency },
        );
        for (option, time) in [
            ("timeout", self.timeout.unwrap_or(Duration::MAX)),
            ("boot_timeout", self.boot_timeout.unwrap_or(BOOT_TIMEOUT)),
            ("terminate_timeout", self.terminate_timeout.unwrap_or(TERMINATE_TIMEOUT)),
            ("idle_check's time", self.idle_shutdown.time_of_check().unwrap_or(Duration::MAX)),
        ] {
            require(!time.is_zero(), SettingsProblem::Zero { option });
        }
        if problems.is_empty() {
            Ok(PoolSettings { options: self, limits, concurrency })
        } else {
            Err(InvalidSettings { problems })
        }
    }
}

/// Where neither the pool nor its backend says anything.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(10);

impl fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolOptions")
            .field("name", &self.name)
            .field("min", &self.min)
            .field("max", &self.max)
            .field("max_concurrency", &self.max_concurrency)
            .field("single_use", &self.single_use)
            .field("timeout", &self.timeout)
            .field("boot_timeout", &self.boot_timeout)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("terminate_timeout", &self.terminate_timeout)
            .field("idle_shutdown", &self.idle_shutdown)
            .field("min_idle_shutdown_after", &self.min_idle_shutdown_after)
            .field("max_queue", &self.max_queue)
            .field("shared_cap", &self.shared_cap)
            .finish_non_exhaustive()
    }
}

/// When a runner that has nothing to do, and that `min` does not need, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleShutdown {
    /// It stays until the pool stops.
    Never,
    /// After this time without work.
    After(Duration),
    /// After this time without work, if a check that runs on the runner agrees; if not, it is asked again after
    /// as long again.
    AfterCheck(Duration),
}

impl IdleShutdown {
    fn time_of_check(self) -> Option<Duration> {
        match self {
            Self::AfterCheck(time) => Some(time),
            Self::Never | Self::After(_) => None,
        }
    }

    /// The idle time, `None` for never.
    #[must_use]
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(time) | Self::AfterCheck(time) => Some(time),
        }
    }
}

/// How many runners a pool keeps and how many it may have; can be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    min: u32,
    max: u32,
}

impl Limits {
    /// Of a pool of which nothing is known.
    pub(in crate::pool) const NONE: Self = Self { min: 0, max: 0 };

    /// Keeps `min` runners and has `max` at most.
    ///
    /// # Errors
    ///
    /// `max` must be 1 to [`PoolSettings::MAX_RUNNERS`], and `min` no more than `max`.
    pub fn new(min: u32, max: u32) -> Result<Self, InvalidSettings> {
        Self::new_with(min, max, Vec::new())
    }

    /// As [`new`](Self::new), with problems that were found elsewhere.
    pub(super) fn new_with(
        min: u32,
        max: u32,
        mut problems: Vec<SettingsProblem>,
    ) -> Result<Self, InvalidSettings> {
        if !(1..=PoolSettings::MAX_RUNNERS).contains(&max) {
            problems.push(SettingsProblem::Max { max });
        }
        if min > max {
            problems.push(SettingsProblem::MinAboveMax { min, max });
        }
        if problems.is_empty() { Ok(Self { min, max }) } else { Err(InvalidSettings { problems }) }
    }

    /// Runners to keep.
    #[must_use]
    pub fn min(self) -> u32 {
        self.min
    }

    /// Instances that may exist at once.
    #[must_use]
    pub fn max(self) -> u32 {
        self.max
    }
}

/// The checked settings of a pool.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    options: PoolOptions,
    limits: Limits,
    concurrency: u32,
}

impl PoolSettings {
    /// The longest pool name, in bytes: a runner's name, with its number, must fit into a DNS label of 63.
    pub const MAX_NAME: usize = 40;
    /// The largest `max`: beyond it the pool's decisions, which look at every runner, would be slow.
    pub const MAX_RUNNERS: u32 = 10_000;
    /// The largest `max_concurrency`.
    pub const MAX_CONCURRENCY: u32 = 1_000_000;

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// `min` and `max` as the pool starts.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Slots of one runner.
    #[must_use]
    pub fn max_concurrency(&self) -> u32 {
        self.concurrency
    }

    /// Whether a runner serves one request and ends.
    #[must_use]
    pub fn single_use(&self) -> bool {
        self.options.single_use
    }

    /// The time a call has in all unless it says otherwise, `None` for no limit.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.options.timeout
    }

    /// The time a runner has to join.
    #[must_use]
    pub fn boot_timeout(&self) -> Duration {
        self.options.boot_timeout.unwrap_or(BOOT_TIMEOUT)
    }

    /// The time work in flight has on a runner that was told to go.
    #[must_use]
    pub fn shutdown_timeout(&self) -> Duration {
        self.options.shutdown_timeout
    }

    /// The time a terminated instance has to be confirmed gone.
    #[must_use]
    pub fn terminate_timeout(&self) -> Duration {
        self.options.terminate_timeout.unwrap_or(TERMINATE_TIMEOUT)
    }

    /// When a runner without work ends.
    #[must_use]
    pub fn idle_shutdown(&self) -> IdleShutdown {
        self.options.idle_shutdown
    }

    /// When a runner without work that `min` would keep ends, `None` for never.
    #[must_use]
    pub fn min_idle_shutdown_after(&self) -> Option<Duration> {
        self.options.min_idle_shutdown_after
    }

    /// Requests that may wait.
    #[must_use]
    pub fn max_queue(&self) -> usize {
        self.options.max_queue
    }

    /// Whether each instance needs a permit of a cap that is shared with other pools.
    #[must_use]
    pub fn shared_cap(&self) -> bool {
        self.options.shared_cap
    }

    /// How the pool grows.
    #[must_use]
    pub fn growth(&self) -> &dyn Growth {
        &*self.options.growth
    }

    /// Where the pool places work.
    #[must_use]
    pub fn placement(&self) -> &dyn Placement {
        &*self.options.placement
    }
}

/// A pool's settings contradict themselves or leave their bounds; whoever wrote them must mend them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings {
    problems: Vec<SettingsProblem>,
}

impl InvalidSettings {
    /// All that is wrong, at least one thing.
    #[must_use]
    pub fn problems(&self) -> &[SettingsProblem] {
        &self.problems
    }
}

impl std::error::Error for InvalidSettings {}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool's settings are wrong: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a pool's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsProblem {
    /// The name cannot stand in a runner's name.
    #[error("name {name:?} must be 1 to 40 of a-z, 0-9 and '-', with a letter or digit at both ends")]
    Name {
        /// The name, cut after 80 characters.
        name: String,
    },
    /// `max` is out of bounds.
    #[error("max is {max}, and must be 1 to {}", PoolSettings::MAX_RUNNERS)]
    Max {
        /// What was asked for.
        max: u32,
    },
    /// More runners are to be kept than may exist.
    #[error("min ({min}) is above max ({max})")]
    MinAboveMax {
        /// What was asked for as `min`.
        min: u32,
        /// What was asked for as `max`.
        max: u32,
    },
    /// `max_concurrency` is out of bounds.
    #[error("max_concurrency is {max_concurrency}, and must be 1 to {}", PoolSettings::MAX_CONCURRENCY)]
    Concurrency {
        /// What was asked for.
        max_concurrency: u32,
    },
    /// A runner that ends after its first request cannot serve several.
    #[error("single_use excludes a max_concurrency of {max_concurrency}: leave it out")]
    SingleUseConcurrency {
        /// What was asked for.
        max_concurrency: u32,
    },
    /// A shared cap must let one runner be.
    #[error("the shared cap is {cap}, and must be at least 1")]
    SharedCap {
        /// The cap.
        cap: u32,
    },
    /// More runners are to be kept than the shared cap lets all its pools have.
    #[error("min ({min}) is above the shared cap ({cap})")]
    MinAboveSharedCap {
        /// What was asked for as `min`.
        min: u32,
        /// The cap.
        cap: u32,
    },
    /// The idle check cannot be sent to a runner.
    #[error("the idle check cannot be sent: {reason}")]
    IdleCheck {
        /// Why.
        reason: String,
    },
    /// The links to the runners could not work so.
    #[error("{wrong}")]
    Link {
        /// All that is wrong with their settings.
        wrong: InvalidConfig,
    },
    /// A time that must not be zero is.
    #[error("{option} must not be zero")]
    Zero {
        /// The option's name.
        option: &'static str,
    },
}

fn is_pool_name(name: &str) -> bool {
    (1..=PoolSettings::MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_lists_all_that_is_wrong() {
        let wrong = PoolOptions::new("-Bad name-")
            .min(9)
            .max(0)
            .max_concurrency(7)
            .single_use(true)
            .timeout(Duration::ZERO)
            .boot_timeout(Duration::ZERO)
            .terminate_timeout(Duration::ZERO)
            .validate()
            .unwrap_err();
        assert_eq!(wrong.problems().len(), 7, "{wrong}");
        let text = wrong.to_string();
        for part in ["-Bad name-", "max is 0", "min (9)", "single_use", "timeout", "boot_", "terminate_"] {
            assert!(text.contains(part), "{part:?} is missing from {text:?}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = PoolOptions::new("p").validate().unwrap();
        assert_eq!((settings.limits().min(), settings.limits().max()), (0, 8));
        assert_eq!(settings.max_concurrency(), 100);
        assert_eq!(settings.timeout(), Some(Duration::from_secs(30)));
        assert_eq!(settings.idle_shutdown(), IdleShutdown::After(Duration::from_secs(30)));
        assert_eq!(settings.min_idle_shutdown_after(), None);
        assert!(!settings.single_use() && !settings.shared_cap());
    }

    #[test]
    fn a_single_use_pool_has_one_slot_a_runner() {
        assert_eq!(PoolOptions::new("p").single_use(true).validate().unwrap().max_concurrency(), 1);
    }

    #[test]
    fn the_longest_pool_name_leaves_room_for_the_largest_runner_number() {
        let name = "a".repeat(PoolSettings::MAX_NAME);
        assert!(PoolOptions::new(&name).validate().is_ok());
        assert!(flame_transport::NodeId::from_parts(&format!("{name}-{}", u64::MAX), 0).is_ok());
        assert!(PoolOptions::new("a".repeat(PoolSettings::MAX_NAME + 1)).validate().is_err());
    }

    #[test]
    fn limits_are_checked_when_a_running_pool_is_resized() {
        assert!(Limits::new(2, 1).is_err());
        assert!(Limits::new(0, 0).is_err());
        assert!(Limits::new(0, PoolSettings::MAX_RUNNERS + 1).is_err());
        assert_eq!(Limits::new(1, 1).map(|l| (l.min(), l.max())), Ok((1, 1)));
    }
}
