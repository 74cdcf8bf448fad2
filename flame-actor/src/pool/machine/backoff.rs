//! Failed boots: how often they failed in a row, why, and when the next may be tried.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::event::BootFailure;
use crate::pool::ids::ResourceClass;

/// The back-off after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(200);
/// The longest back-off.
const LONGEST: Duration = Duration::from_secs(30);
/// Beyond so many failing classes, those that need not wait at the moment are forgotten.
const MOST: usize = 1024;

/// The failing boots of each class.
pub(super) struct Backoff {
    series: BTreeMap<ResourceClass, Series>,
    jitter: u64,
}

/// Boots of one class that failed in a row.
pub(super) struct Series {
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
    pub(super) error: BootFailure,
    failed_at: Instant,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { series: BTreeMap::new(), jitter: seed }
    }

    pub(super) fn of(&self, class: ResourceClass) -> Option<&Series> {
        self.series.get(&class)
    }

    /// How many boots have failed in a row.
    pub(super) fn failures(&self, class: ResourceClass) -> u32 {
        self.of(class).map_or(0, |series| series.failures)
    }

    /// When the next boot may be tried, if that is not now.
    pub(super) fn waits_until(&self, class: ResourceClass, now: Instant) -> Option<Instant> {
        self.of(class).map(|series| series.retry_at).filter(|&at| at > now)
    }

    /// Notes a failure of a boot that began at `began`; returns the failures in a row and the time to wait.
    pub(super) fn failed(
        &mut self,
        class: ResourceClass,
        began: Instant,
        error: BootFailure,
        now: Instant,
    ) -> (u32, Duration) {
        // Classes come from users' calls: they must not add up.
        if self.series.len() >= MOST {
            self.series.retain(|_, series| series.retry_at > now);
        }
        // Boots that were under way together fail together: one step, or ten runners would be ten steps.
        let together = self.of(class).filter(|series| began <= series.failed_at);
        let (failures, retry_at) = match together {
            Some(series) => (series.failures, series.retry_at),
            None => {
                let failures = self.failures(class).saturating_add(1);
                (failures, now + self.delay(failures))
            }
        };
        self.series.insert(class, Series { failures, retry_at, error, failed_at: now });
        (failures, retry_at.saturating_duration_since(now))
    }

    /// A boot succeeded.
    pub(super) fn succeeded(&mut self, class: ResourceClass) {
        self.series.remove(&class);
    }

    /// Between half of the full delay and all of it, so that pools that failed together do not retry together.
    fn delay(&mut self, failures: u32) -> Duration {
        let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
        let half = full / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(self.next_random() % micros)
    }

    /// SplitMix64: jitter needs no more.
    fn next_random(&mut self) -> u64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
