//! The arbiters that share a runner's work, and which of them are blocked.
//!
//! Work waits in a queue beside its arbiter and not in it: what an arbiter has not begun when it turns out to be blocked
//! moves on to one that is not. An arbiter takes one piece of work at a time and lets it come to its first await, or its
//! block, before it takes the next.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix::{Arbiter, ArbiterHandle};

/// A child or task whose turn has come, on the thread that it stays on, or never will.
pub(super) type Begin = Box<dyn FnOnce(Turn) + Send>;

/// What becomes of work that has waited for an arbiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Begin,
    /// It tells whoever ordered it that nothing of it has begun, nor will.
    Refuse,
}

/// An arbiter that has not answered for this long is blocked.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Arbiters {
    desks: Vec<Arc<Desk>>,
    next: AtomicUsize,
}

/// An arbiter and what waits for it. What may wait is bounded by the slots of the runner.
struct Desk {
    arbiter: ArbiterHandle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Begin>,
    /// Whether its [`Clerk`] is there.
    attended: bool,
    /// Since when it has been asked for a sign of life.
    asked: Option<Instant>,
    blocked: bool,
}

/// What a [look](Arbiters::look) at the arbiters has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// All have answered when they were last asked.
    pub(super) all_well: bool,
    /// None of them can do anything.
    pub(super) all_blocked: bool,
}

impl Arbiters {
    pub(super) fn new(arbiters: Vec<ArbiterHandle>) -> Self {
        let desk = |arbiter| Arc::new(Desk { arbiter, state: Mutex::default() });
        Self { desks: arbiters.into_iter().map(desk).collect(), next: AtomicUsize::new(0) }
    }

    /// Begins some work on an arbiter that is not blocked, if there is one; they take turns. False, and the work is
    /// dropped, if there is none left to do it.
    pub(super) fn begin(&self, work: Begin) -> bool {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.desks.len().max(1);
        let (before, after) = self.desks.split_at_checked(first).unwrap_or_default();
        let mut turns = after.iter().chain(before);
        let free = turns.clone().find(|desk| !desk.state().blocked);
        match free.or_else(|| turns.next()) {
            Some(desk) => desk.begin(work),
            None => false,
        }
    }

    /// Looks whether the arbiters have answered, and asks again those that have. To be called every now and then.
    pub(super) fn look(&self, now: Instant) -> Seen {
        let newly_blocked = self.desks.iter().filter(|desk| desk.look(now)).count();
        let count = |is_so: fn(&State) -> bool| self.desks.iter().filter(|desk| is_so(&desk.state())).count();
        let blocked = count(|state| state.blocked);
        let all_blocked = blocked == self.desks.len();
        if newly_blocked > 0 {
            tracing::warn!(
                blocked,
                of = self.desks.len(),
                "an arbiter is blocked: nothing more is started there"
            );
        }
        if !all_blocked {
            let stuck = self.desks.iter().filter(|desk| desk.state().blocked).flat_map(|desk| desk.give_up());
            for work in stuck.collect::<Vec<_>>() {
                self.begin(work);
            }
        }
        let late = count(|state| state.asked.is_some_and(|at| at.elapsed() >= PATIENCE / 2));
        Seen { all_well: blocked == 0 && late == 0, all_blocked }
    }

    /// Refuses what waits for arbiters that are blocked.
    pub(super) fn refuse_stuck(&self) {
        let stuck = self.desks.iter().filter(|desk| desk.state().blocked).flat_map(|desk| desk.give_up());
        stuck.collect::<Vec<_>>().into_iter().for_each(|work| work(Turn::Refuse));
    }
}

impl Desk {
    fn begin(self: &Arc<Self>, work: Begin) -> bool {
        let mut state = self.state();
        state.waiting.push_back(work);
        let attended = std::mem::replace(&mut state.attended, true);
        drop(state);
        attended || self.arbiter.spawn(Clerk { desk: Some(Arc::clone(self)) })
    }

    /// True if it has just turned out to be blocked.
    fn look(self: &Arc<Self>, now: Instant) -> bool {
        let mut state = self.state();
        match state.asked {
            None => {
                state.asked = Some(now);
                let desk = Arc::clone(self);
                self.arbiter.spawn_fn(move || {
                    let mut state = desk.state();
                    (state.asked, state.blocked) = (None, false);
                });
                false
            }
            Some(asked) if now.saturating_duration_since(asked) >= PATIENCE => {
                !std::mem::replace(&mut state.blocked, true)
            }
            Some(_) => false,
        }
    }

    fn give_up(&self) -> VecDeque<Begin> {
        std::mem::take(&mut self.state().waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins what waits at a desk, one at a time, on its arbiter, until nothing waits any more.
struct Clerk {
    /// `None` when nothing is left to do.
    desk: Option<Arc<Desk>>,
}

impl Future for Clerk {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(desk) = &self.desk else { return Poll::Ready(()) };
        let mut state = desk.state();
        let next = state.waiting.pop_front();
        state.attended = next.is_some();
        drop(state);
        match next {
            Some(work) => {
                work(Turn::Begin);
                // Behind what the work has spawned.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                self.desk = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Clerk {
    /// With work still there only if the arbiter has stopped.
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.state().attended = false;
            drop(desk.give_up());
        }
    }
}

/// An arbiter of one child; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OwnArbiter(ArbiterHandle);

impl OwnArbiter {
    /// Starts one in the system of the calling thread.
    pub(super) fn start() -> std::io::Result<Self> {
        Ok(Self(Arbiter::try_new()?.handle()))
    }

    pub(super) fn handle(&self) -> &ArbiterHandle {
        &self.0
    }
}

impl Drop for OwnArbiter {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::System;

    use super::*;

    /// Two arbiters, and a way to hold one of them up until the sender is dropped.
    fn two() -> (System, Arbiters) {
        let (give, take) = mpsc::channel();
        std::thread::spawn(move || {
            let runner = System::new();
            let arbiters = Arbiters::new(vec![Arbiter::new().handle(), Arbiter::new().handle()]);
            give.send((System::current(), arbiters)).unwrap();
            runner.run()
        });
        take.recv().unwrap()
    }

    fn block(arbiters: &Arbiters) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        assert!(arbiters.begin(Box::new(move |_| {
            begun.send(()).unwrap();
            let _ = held.recv();
        })));
        begins.recv().unwrap();
        hold
    }

    /// Looks as often as it takes, each time as if the patience were over.
    fn look_until(arbiters: &Arbiters, is_so: impl Fn(Seen) -> bool) {
        let mut now = Instant::now();
        for _ in 0..2000 {
            if is_so(arbiters.look(now)) {
                return;
            }
            now += PATIENCE;
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("it never came about");
    }

    #[test]
    fn what_a_blocked_arbiter_has_not_begun_moves_on_to_another() {
        let (system, arbiters) = two();
        let hold = block(&arbiters);
        let (done, dones) = mpsc::channel();
        for n in 0..10 {
            let done = done.clone();
            assert!(arbiters.begin(Box::new(move |_| done.send(n).unwrap())));
        }
        look_until(&arbiters, |seen| !seen.all_well && !seen.all_blocked);
        let mut all: Vec<i32> =
            (0..10).map(|_| dones.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        drop(hold);
        look_until(&arbiters, |seen| seen.all_well);
        system.stop();
    }

    #[test]
    fn when_all_are_blocked_work_waits_for_the_first_that_is_free() {
        let (system, arbiters) = two();
        let holds = [block(&arbiters), block(&arbiters)];
        look_until(&arbiters, |seen| seen.all_blocked);
        let (done, dones) = mpsc::channel();
        assert!(arbiters.begin(Box::new(move |_| done.send(()).unwrap())));
        let [first, second] = holds;
        drop(second);
        look_until(&arbiters, |seen| !seen.all_blocked);
        dones.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(first);
        look_until(&arbiters, |seen| seen.all_well);
        system.stop();
    }

    #[test]
    fn what_waits_for_blocked_arbiters_can_be_refused_and_what_comes_later_begins() {
        let (system, arbiters) = two();
        let holds = [block(&arbiters), block(&arbiters)];
        let (told, turns) = mpsc::channel();
        let wait = || {
            let told = told.clone();
            assert!(arbiters.begin(Box::new(move |turn| told.send(turn).unwrap())));
        };
        wait();
        arbiters.refuse_stuck();
        assert!(turns.try_recv().is_err(), "nobody knows that they are blocked");
        look_until(&arbiters, |seen| seen.all_blocked);
        arbiters.refuse_stuck();
        assert_eq!(turns.try_recv(), Ok(Turn::Refuse));
        wait();
        drop(holds);
        assert_eq!(turns.recv_timeout(Duration::from_secs(10)), Ok(Turn::Begin));
        look_until(&arbiters, |seen| seen.all_well);
        system.stop();
    }
}
