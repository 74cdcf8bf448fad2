//! How a pool grows and where it places work: two small traits, the usual answers to both, and room for the user's own.

use crate::pool::ids::RunnerSeq;

/// Decides how many runners a pool should have.
///
/// Asked after every event, with the load of the runners that one kind of work can use (see [`Load`]); it must be
/// quick. The pool keeps the answer between its `min` and `max`, waits out the back-off after a failed boot, and
/// boots at least one runner while something waits and nothing is up or booting, so that no policy can stall it.
/// An idle runner is retired only if the policy, asked with that runner taken away, does not want it back.
///
/// A policy that panics harms nothing: [`Demand`] answers in its place, and a pool event says so.
///
/// # Examples
///
/// One runner more than demand asks for:
///
/// ```
/// use flame_actor::pool::policy::{Demand, Growth, Load};
///
/// struct OneAhead;
///
/// impl Growth for OneAhead {
///     fn runners(&self, load: &Load) -> u32 {
///         Demand.runners(load).saturating_add(u32::from(load.free == 0))
///     }
/// }
///
/// let idle = Load { serving: 1, free: 1, slots_per_runner: 1, max: 4, ..Load::default() };
/// assert_eq!(OneAhead.runners(&idle), 1);
/// let full = Load { held: 1, free: 0, ..idle };
/// assert_eq!(OneAhead.runners(&full), 2);
/// ```
pub trait Growth: Send + Sync + 'static {
    /// How many runners there should be, those that boot included. An answer below `serving + booting` boots
    /// nothing; it ends no runner, which is what idle times are for.
    fn runners(&self, load: &Load) -> u32;
}

/// What a [`Growth`] policy decides on. Numbers are of the runners that can serve the work in question, except
/// `min` and `max`, which are the whole pool's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for a slot and that a new runner could serve.
    pub waiting: u64,
    /// Slots in use, on runners that still take work.
    pub held: u64,
    /// Slots that could be given out now.
    pub free: u64,
    /// Runners that are up and take work.
    pub serving: u32,
    /// Runners that boot.
    pub booting: u32,
    /// Slots of one runner (`max_concurrency`; 1 in a single-use pool). At least 1.
    pub slots_per_runner: u32,
    /// The least number of runners the pool keeps at the moment.
    pub min: u32,
    /// The most runners the pool may have.
    pub max: u32,
}

impl Load {
    /// Runners needed beyond those that serve or boot, so that `slots` slots would be free or about to be.
    #[must_use]
    pub fn missing_for(&self, slots: u64) -> u32 {
        let per_runner = u64::from(self.slots_per_runner.max(1));
        let coming = self.free.saturating_add(u64::from(self.booting).saturating_mul(per_runner));
        u32::try_from(slots.saturating_sub(coming).div_ceil(per_runner)).unwrap_or(u32::MAX)
    }

    fn present(&self) -> u32 {
        self.serving.saturating_add(self.booting)
    }
}

/// Boots as many runners as the waiting requests need, all at once: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand;

impl Growth for Demand {
    fn runners(&self, load: &Load) -> u32 {
        load.present().saturating_add(load.missing_for(load.waiting))
    }
}

/// Like [`Demand`], and keeps this many slots free for work to come, so that a burst need not wait for a boot.
///
/// Counted in slots, not runners: `Spare(1)` in a pool of `max_concurrency` 100 boots the next runner when the last
/// slot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spare(pub u32);

impl Growth for Spare {
    fn runners(&self, load: &Load) -> u32 {
        load.present().saturating_add(load.missing_for(load.waiting.saturating_add(u64::from(self.0))))
    }
}

/// Decides which of several runners with a free slot gets a request.
///
/// Asked only when there is a choice; keyed work whose runner has a free slot goes there without being asked.
/// An answer that is out of bounds, or a panic, lets [`Pack`] answer in its place: no request is lost to a policy.
///
/// # Examples
///
/// The youngest runner first:
///
/// ```
/// use flame_actor::pool::policy::{Candidate, Placement};
///
/// struct Youngest;
///
/// impl Placement for Youngest {
///     fn choose(&self, candidates: &[Candidate]) -> usize {
///         candidates.len() - 1 // they come oldest first
///     }
/// }
/// ```
pub trait Placement: Send + Sync + 'static {
    /// The index of the runner to use. `candidates` has two or more, oldest first, each with a free slot.
    fn choose(&self, candidates: &[Candidate]) -> usize;
}

/// A runner with a free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which runner.
    pub runner: RunnerSeq,
    /// Its slots in use, below `slots`.
    pub held: u32,
    /// All its slots.
    pub slots: u32,
}

/// The fullest runner that has room, the oldest among equals, so that others go idle and can be retired: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pack;

impl Placement for Pack {
    fn choose(&self, candidates: &[Candidate]) -> usize {
        // `max_by_key` takes the last of equals, hence the reversal.
        let fullest = candidates.iter().enumerate().rev().max_by_key(|(_, candidate)| candidate.held);
        fullest.map_or(0, |(index, _)| index)
    }
}

/// The emptiest runner, the oldest among equals: the least work is lost with a runner, and every runner is kept alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread;

impl Placement for Spread {
    fn choose(&self, candidates: &[Candidate]) -> usize {
        candidates
            .iter()
            .enumerate()
            .min_by_key(|(_, candidate)| candidate.held)
            .map_or(0, |(index, _)| index)
    }
}
