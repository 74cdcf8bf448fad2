//! A cap on instances that several pools share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::machine::Event;

/// A cap on the instances that several pools may have together, beside the `max` of each.
///
/// Pools that wait for room get it in turns. A pool with work waiting has the others retire what is idle above their
/// `min`: each of them one runner, though one alone may have made the room. Nothing that works is taken from anyone. An instance counts from its boot until it is confirmed gone.
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
    wants: u32,
    /// It wants them for work that waits.
    urgent: bool,
    since: u64,
}

/// A pool under a shared cap.
pub(super) trait Shares: Send + Sync {
    /// Something of the cap concerns it.
    fn tell(self: Arc<Self>, event: Event);
}

/// A pool's part of a cap; its permits go back when this is dropped.
pub(super) struct Membership {
    cap: SharedCap,
    number: u64,
}

/// What pools are to be told once the ledger is not locked.
type News = Vec<(Weak<dyn Shares>, Event)>;

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
        ledger.members.push(Member { number, pool, held: 0, wants: 0, urgent: false, since: number });
        Membership { cap: self.clone(), number }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Ledger, &mut News)) {
        let mut news = News::new();
        let mut ledger = self.ledger();
        change(&mut ledger, &mut news);
        ledger.grant(&mut news);
        drop(ledger);
        for (pool, event) in news {
            if let Some(pool) = pool.upgrade() {
                pool.tell(event);
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
        self.cap.change(|ledger, news| {
            let now = ledger.tick();
            let Some(member) = ledger.member(self.number) else { return };
            if member.wants == 0 {
                member.since = now;
            }
            (member.wants, member.urgent) = (permits, urgent);
            if urgent && permits > ledger.free {
                let others = ledger.members.iter().filter(|other| other.number != self.number);
                news.extend(
                    others.filter(|other| other.held > 0).map(|other| (other.pool.clone(), Event::Reclaim)),
                );
            }
        });
    }

    pub(super) fn give_back(&self, permits: u32) {
        self.cap.change(|ledger, _| {
            let Some(member) = ledger.member(self.number) else { return };
            let permits = permits.min(member.held);
            member.held -= permits;
            ledger.free += permits;
        });
    }

    /// Whether another pool has work that waits for room.
    pub(super) fn is_contended(&self) -> bool {
        let ledger = self.cap.ledger();
        ledger.members.iter().any(|other| other.number != self.number && other.urgent && other.wants > 0)
    }

    /// The pool is out of the cap: no instance of it is left.
    pub(super) fn leave(&self) {
        self.cap.change(|ledger, _| {
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
    fn grant(&mut self, news: &mut News) {
        while self.free > 0 {
            let now = self.tick();
            let next = self.members.iter_mut().filter(|member| member.wants > 0);
            let Some(member) = next.min_by_key(|member| member.since) else { return };
            (member.wants, member.held, member.since) = (member.wants - 1, member.held + 1, now);
            news.push((member.pool.clone(), Event::Permit));
            self.free -= 1;
        }
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
    use super::*;

    /// Counts the permits and reclaims that it gets.
    #[derive(Default)]
    struct Pool(Mutex<(u32, u32)>);

    impl Shares for Pool {
        fn tell(self: Arc<Self>, event: Event) {
            let mut counts = self.0.lock().unwrap();
            match event {
                Event::Permit => counts.0 += 1,
                Event::Reclaim => counts.1 += 1,
                other => panic!("{other:?}"),
            }
        }
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
        assert_eq!((first.0.lock().unwrap().0, second.0.lock().unwrap().0), (4, 0));
        one.want(4, true);
        for _ in 0..4 {
            one.give_back(1);
        }
        assert_eq!((first.0.lock().unwrap().0, second.0.lock().unwrap().0), (6, 2));
        assert_eq!(cap.in_use(), 4);
        drop((one, two));
        assert_eq!(cap.in_use(), 0);
    }

    #[test]
    fn only_work_that_waits_has_others_retire_what_is_idle() {
        let cap = SharedCap::new(1);
        let ((first, one), (_second, two)) = (join(&cap), join(&cap));
        one.want(1, true);
        two.want(1, false);
        assert_eq!(*first.0.lock().unwrap(), (1, 0));
        assert!(!one.is_contended());
        two.want(1, true);
        assert_eq!(*first.0.lock().unwrap(), (1, 1));
        assert!(one.is_contended() && !two.is_contended());
    }
}
