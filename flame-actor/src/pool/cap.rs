//! A cap on instances that several pools share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A cap on the instances that several pools may have together, beside the `max` of each.
///
/// Pools that wait for room get it in turns. A pool with work waiting has the others retire what is idle above their `min`:
/// as many runners as it waits for, and no more. Nothing that works is taken from anyone. An instance counts from its boot
/// until it is confirmed gone.
///
/// # Examples
///
/// ```
/// use flame_actor::{Pool, SharedCap, backend::LocalBackend};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let machines = SharedCap::new(4);
/// let images = Pool::builder("images").backend(LocalBackend::new()).shared_cap(&machines).start()?;
/// let videos = Pool::builder("videos").backend(LocalBackend::new()).shared_cap(&machines).start()?;
/// assert_eq!(machines.in_use(), 0);
/// # drop((images, videos));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedCap {
    ledger: Arc<Mutex<Ledger>>,
    instances: u32,
}

struct Ledger {
    free: u32,
    members: Vec<Member>,
    /// Counts what happens, so that who has waited longest is known.
    clock: u64,
}

struct Member {
    number: u64,
    pool: Weak<dyn Shares>,
    held: u32,
    /// Of `held`, what it has given up for others and not given back yet.
    yielding: u32,
    wants: u32,
    /// It wants them for work that waits.
    urgent: bool,
    since: u64,
}

/// A pool under a shared cap.
pub(super) trait Shares: Send + Sync {
    /// It has one permit more.
    fn permit(self: Arc<Self>);

    /// Another pool waits for room: a runner that is idle and above `min`, if there is one, is retired. Whether there was.
    fn reclaim(self: Arc<Self>) -> bool;
}

/// A pool's part of a cap; its permits go back when this is dropped.
pub(super) struct Membership {
    cap: SharedCap,
    number: u64,
}

impl SharedCap {
    /// A cap of so many instances; pools refuse one of 0.
    #[must_use]
    pub fn new(instances: u32) -> Self {
        let ledger = Ledger { free: instances, members: Vec::new(), clock: 0 };
        Self { ledger: Arc::new(Mutex::new(ledger)), instances }
    }

    /// The cap.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.instances
    }

    /// Instances that exist, or are about to.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.instances - self.ledger().free
    }

    pub(super) fn join(&self, pool: Weak<dyn Shares>) -> Membership {
        let mut ledger = self.ledger();
        let number = ledger.tick();
        ledger.members.push(Member {
            number,
            pool,
            held: 0,
            yielding: 0,
            wants: 0,
            urgent: false,
            since: number,
        });
        Membership { cap: self.clone(), number }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pools are told of it when the ledger is not locked any more.
    fn change(&self, change: impl FnOnce(&mut Ledger)) {
        let mut granted = Vec::new();
        let mut ledger = self.ledger();
        change(&mut ledger);
        ledger.grant(&mut granted);
        drop(ledger);
        granted.iter().filter_map(Weak::upgrade).for_each(Shares::permit);
    }

    /// Has pools make the room that others wait for, one runner at a time: this member, or each that can.
    fn reclaim(&self, of: Option<u64>) {
        let mut poor = Vec::new();
        loop {
            // Counted before the pool is asked, so that nobody asks another for the same.
            let asked = self
                .ledger()
                .next_to_yield(|number| of.is_none_or(|of| of == number) && !poor.contains(&number));
            let Some((number, pool)) = asked else { return };
            if !pool.upgrade().is_some_and(Shares::reclaim) {
                poor.push(number);
                if let Some(member) = self.ledger().member(number) {
                    member.yielding = member.yielding.saturating_sub(1);
                }
            }
        }
    }
}

impl Membership {
    pub(super) fn instances(&self) -> u32 {
        self.cap.instances()
    }

    /// The pool wants so many permits in all beyond those it has, `urgent`ly if work waits for them.
    pub(super) fn want(&self, permits: u32, urgent: bool) {
        self.cap.change(|ledger| {
            let now = ledger.tick();
            let Some(member) = ledger.member(self.number) else { return };
            if member.wants == 0 {
                member.since = now;
            }
            (member.wants, member.urgent) = (permits, urgent);
        });
        self.cap.reclaim(None);
    }

    pub(super) fn give_back(&self, permits: u32) {
        self.cap.change(|ledger| {
            let Some(member) = ledger.member(self.number) else { return };
            let permits = permits.min(member.held);
            member.held -= permits;
            member.yielding = member.yielding.saturating_sub(permits);
            ledger.free += permits;
        });
    }

    /// Something of the pool's work has ended: if others wait for room, a runner that is idle now goes.
    pub(super) fn offer(&self) {
        self.cap.reclaim(Some(self.number));
    }

    /// The pool is out of the cap: no instance of it is left.
    pub(super) fn leave(&self) {
        self.cap.change(|ledger| {
            let freed = ledger.member(self.number).map_or(0, |member| member.held);
            ledger.free += freed;
            ledger.members.retain(|member| member.number != self.number);
        });
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Ledger {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn member(&mut self, number: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.number == number)
    }

    /// One at a time to whoever has waited longest for one.
    fn grant(&mut self, granted: &mut Vec<Weak<dyn Shares>>) {
        while self.free > 0 {
            let now = self.tick();
            let next = self.members.iter_mut().filter(|member| member.wants > 0);
            let Some(member) = next.min_by_key(|member| member.since) else { return };
            (member.wants, member.held, member.since) = (member.wants - 1, member.held + 1, now);
            granted.push(member.pool.clone());
            self.free -= 1;
        }
    }

    /// The next of these members that may have something which others wait for, counted as if it yielded it.
    fn next_to_yield(&mut self, of: impl Fn(u64) -> bool) -> Option<(u64, Weak<dyn Shares>)> {
        let wanted = |member: &Member| if member.urgent { u64::from(member.wants) } else { 0 };
        let all: u64 = self.members.iter().map(wanted).sum();
        let coming: u64 = self.members.iter().map(|member| u64::from(member.yielding)).sum();
        let missing_elsewhere = |member: &Member| all - wanted(member) > coming;
        let may_yield = |member: &&mut Member| {
            member.held > member.yielding && missing_elsewhere(member) && of(member.number)
        };
        let member = self.members.iter_mut().find(may_yield)?;
        member.yielding += 1;
        Some((member.number, member.pool.clone()))
    }
}

impl std::fmt::Debug for SharedCap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (instances, in_use) = (self.instances, self.in_use());
        f.debug_struct("SharedCap").field("instances", &instances).field("in_use", &in_use).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// Counts its permits, and retires runners as long as there are idle ones.
    #[derive(Default)]
    struct Pool {
        permits: AtomicU32,
        idle: AtomicU32,
    }

    impl Pool {
        fn counts(&self) -> (u32, u32) {
            (self.permits.load(Relaxed), self.idle.load(Relaxed))
        }
    }

    impl Shares for Pool {
        fn permit(self: Arc<Self>) {
            self.permits.fetch_add(1, Relaxed);
        }

        fn reclaim(self: Arc<Self>) -> bool {
            self.idle.fetch_update(Relaxed, Relaxed, |idle| idle.checked_sub(1)).is_ok()
        }
    }

    /// A pool with so many runners, all idle.
    fn having(cap: &SharedCap, idle: u32) -> (Arc<Pool>, Membership) {
        let (pool, membership) = join(cap);
        membership.want(idle, true);
        pool.idle.store(idle, Relaxed);
        (pool, membership)
    }

    fn join(cap: &SharedCap) -> (Arc<Pool>, Membership) {
        let pool = Arc::new(Pool::default());
        let weak: Weak<Pool> = Arc::downgrade(&pool);
        (pool, cap.join(weak))
    }

    #[test]
    fn pools_that_wait_for_room_get_it_in_turns_and_never_more_than_there_is() {
        let cap = SharedCap::new(4);
        let ((first, one), (second, two)) = (join(&cap), join(&cap));
        one.want(4, true);
        two.want(4, true);
        assert_eq!((first.counts().0, second.counts().0), (4, 0));
        one.want(4, true);
        for _ in 0..4 {
            one.give_back(1);
        }
        assert_eq!((first.counts().0, second.counts().0), (6, 2));
        assert_eq!(cap.in_use(), 4);
        drop((one, two));
        assert_eq!(cap.in_use(), 0);
    }

    #[test]
    fn only_work_that_waits_has_others_retire_what_is_idle() {
        let cap = SharedCap::new(1);
        let ((first, one), (_second, two)) = (having(&cap, 1), join(&cap));
        two.want(1, false);
        one.offer();
        assert_eq!(first.counts(), (1, 1));
        two.want(1, true);
        assert_eq!(first.counts(), (1, 0));
    }

    #[test]
    fn as_many_runners_go_as_work_waits_for_however_many_pools_have_idle_ones() {
        let cap = SharedCap::new(6);
        let ((first, one), (second, _two)) = (having(&cap, 3), having(&cap, 3));
        let (third, three) = join(&cap);
        let idle = || first.counts().1 + second.counts().1;
        three.want(1, true);
        assert_eq!(idle(), 5, "one is enough");
        three.want(5, true);
        assert_eq!(idle(), 1, "four more");
        one.give_back(1);
        one.offer();
        assert_eq!(
            (third.counts().0, idle()),
            (1, 1),
            "it was for the one that waited, and four are on their way"
        );
    }

    #[test]
    fn what_comes_free_later_goes_to_those_who_still_wait_and_nothing_more() {
        let cap = SharedCap::new(2);
        let ((first, one), (second, two)) = (having(&cap, 1), having(&cap, 1));
        first.idle.store(0, Relaxed);
        second.idle.store(0, Relaxed);
        let (_third, three) = join(&cap);
        three.want(1, true);
        for pool in [&first, &second] {
            pool.idle.store(1, Relaxed);
        }
        one.offer();
        two.offer();
        assert_eq!((first.counts().1, second.counts().1), (0, 1));
    }

    #[test]
    fn a_pool_makes_no_room_for_itself() {
        let cap = SharedCap::new(1);
        let (pool, membership) = having(&cap, 1);
        membership.want(1, true);
        membership.offer();
        assert_eq!(pool.counts(), (1, 1));
    }
}
