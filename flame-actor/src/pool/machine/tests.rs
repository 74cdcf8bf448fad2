//! One short story for each promise of the machine.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::pool::{
    policy::{Candidate, Growth, Load, Placement, Spare, Spread},
    settings::{IdleShutdown, PoolOptions},
};

/// A machine, a clock, and the actions that were not looked at yet.
struct Pool {
    machine: Machine,
    start: Instant,
    now: Instant,
    actions: Vec<Action>,
}

impl Pool {
    fn new(options: PoolOptions) -> Self {
        let start = Instant::now();
        let mut pool = Self {
            machine: Machine::new(options.validate().unwrap(), 1),
            start,
            now: start,
            actions: Vec::new(),
        };
        pool.feed(Event::Tick);
        pool
    }

    fn feed(&mut self, event: Event) -> &mut Self {
        self.machine.on(event, self.now, &mut self.actions);
        self
    }

    fn request(&mut self, id: u64) -> &mut Self {
        self.feed(Event::Request(Request::new(RequestId(id))))
    }

    fn request_within(&mut self, id: u64, time: Duration) -> &mut Self {
        self.feed(Event::Request(Request { deadline: Some(self.now + time), ..Request::new(RequestId(id)) }))
    }

    fn keyed(&mut self, id: u64, affinity: Affinity) -> &mut Self {
        self.feed(Event::Request(Request { affinity: Some(affinity), ..Request::new(RequestId(id)) }))
    }

    fn of_class(&mut self, id: u64, class: u32) -> &mut Self {
        self.feed(Event::Request(Request { class: ResourceClass(class), ..Request::new(RequestId(id)) }))
    }

    fn join(&mut self, runner: u64) -> &mut Self {
        self.feed(Event::Joined(RunnerSeq(runner)))
    }

    fn gone(&mut self, runner: u64) -> &mut Self {
        self.feed(Event::Gone(RunnerSeq(runner)))
    }

    fn release(&mut self, id: u64) -> &mut Self {
        self.feed(Event::Release { request: RequestId(id), reusable: true })
    }

    fn boot_fails(&mut self, runner: u64) -> &mut Self {
        let error = BootFailure(Arc::new(std::io::Error::other("no such image")));
        self.feed(Event::BootFailed { runner: RunnerSeq(runner), error, gone: true })
    }

    /// Lets time pass, with each wake-up on time.
    fn wait(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        while let Some(wake) = self.machine.next_wake().filter(|&wake| wake <= until) {
            self.now = self.now.max(wake);
            self.feed(Event::Tick);
        }
        self.now = until;
        self
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn boots(&mut self) -> Vec<u64> {
        let boot = |action| match action {
            Action::Boot { runner, .. } => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(boot).collect()
    }

    fn grants(&mut self) -> Vec<(u64, u64)> {
        let grant = |action| match action {
            Action::Grant { request, runner, .. } => Some((request.0, runner.0)),
            _ => None,
        };
        self.take().into_iter().filter_map(grant).collect()
    }

    fn retired(&mut self) -> Vec<u64> {
        let retired = |action| match action {
            Action::Retire(runner) => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(retired).collect()
    }

    fn terminated(&mut self) -> Vec<u64> {
        let terminated = |action| match action {
            Action::Terminate(runner) => Some(runner.0),
            _ => None,
        };
        self.take().into_iter().filter_map(terminated).collect()
    }

    fn failures(&mut self) -> Vec<(u64, Failure)> {
        let failure = |action| match action {
            Action::Fail { request, failure } => Some((request.0, failure)),
            _ => None,
        };
        self.take().into_iter().filter_map(failure).collect()
    }

    fn verdict(&self) -> GrowthVerdict {
        self.machine.inspect(self.now).growth[0].1.clone()
    }
}

fn small(max: u32) -> PoolOptions {
    PoolOptions::new("p").max(max).max_concurrency(1)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_hundred_waiters_boot_ten_runners_at_once_if_there_is_room_for_ten() {
    let mut pool = Pool::new(small(10));
    for id in 1..=100 {
        pool.request(id);
    }
    assert_eq!(pool.boots(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_hundred_waiters_boot_one_runner_if_it_has_a_hundred_slots() {
    let mut pool = Pool::new(PoolOptions::new("p").max(10));
    for id in 1..=100 {
        pool.request(id);
    }
    assert_eq!(pool.boots(), [1]);
    pool.request(101);
    assert_eq!(pool.boots(), [2]);
}

#[test]
fn waiters_left_over_after_an_end_boot_another_runner() {
    let mut pool = Pool::new(small(1));
    pool.request(1).request(2).join(1).feed(Event::Lost(RunnerSeq(1)));
    assert_eq!(pool.boots(), [1], "a lost instance counts until it is confirmed gone");
    pool.gone(1);
    assert_eq!(pool.boots(), [2]);
    pool.join(2);
    assert_eq!(pool.grants(), [(2, 2)]);
}

#[test]
fn a_thousand_calls_boot_ten_runners_at_most() {
    let mut pool = Pool::new(small(10));
    for id in 1..=1000 {
        pool.request(id);
    }
    for runner in 1..=10 {
        pool.join(runner);
    }
    for id in 1..=1000 {
        pool.release(id);
    }
    let actions = pool.take();
    let boots = actions.iter().filter(|action| matches!(action, Action::Boot { .. })).count();
    let grants: Vec<u64> = actions
        .iter()
        .filter_map(|action| if let Action::Grant { request, .. } = action { Some(request.0) } else { None })
        .collect();
    assert_eq!(boots, 10);
    assert_eq!(grants, (1..=1000).collect::<Vec<_>>(), "first come, first served");
}

#[test]
fn zero_to_max_to_zero_a_hundred_times_never_goes_above_max() {
    let mut pool = Pool::new(small(4).idle_shutdown(IdleShutdown::After(seconds(1))));
    let mut last = 0;
    for round in 0..100 {
        for n in 0..4 {
            pool.request(round * 4 + n);
        }
        let boots = pool.boots();
        assert_eq!(boots, (last + 1..=last + 4).collect::<Vec<_>>());
        for &runner in &boots {
            pool.join(runner);
        }
        assert_eq!(pool.grants().len(), 4);
        for n in 0..4 {
            pool.release(round * 4 + n);
        }
        pool.wait(seconds(2));
        assert_eq!(pool.retired(), boots);
        for &runner in &boots {
            pool.gone(runner);
        }
        last += 4;
    }
}

#[test]
fn a_requeued_call_keeps_its_place() {
    let mut pool = Pool::new(small(2));
    pool.request(1).request(2).join(1).join(2).request(3);
    pool.take();
    pool.feed(Event::Lost(RunnerSeq(2))).feed(Event::Requeue(RequestId(2))).release(1);
    assert_eq!(pool.grants(), [(2, 1)]);
}

#[test]
fn a_call_that_meets_an_idle_retirement_is_not_lost() {
    let mut pool = Pool::new(small(2).idle_shutdown(IdleShutdown::After(seconds(1))));
    pool.request(1).join(1).release(1);
    pool.take();
    pool.now += seconds(1); // the timer is due, and the call comes first
    pool.request(2);
    assert!(matches!(pool.take().as_slice(), [Action::Grant { runner: RunnerSeq(1), .. }]));
    pool.release(2).wait(seconds(1));
    assert_eq!(pool.retired(), [1]);
    pool.request(3);
    assert_eq!(pool.boots(), [2], "a runner that was told to go gets nothing");
}

#[test]
fn boots_that_always_fail_back_off_and_the_cause_reaches_those_who_wait() {
    let mut pool = Pool::new(small(10));
    for id in 1..=20 {
        pool.request_within(id, seconds(2));
    }
    let mut boots = pool.boots();
    assert_eq!(boots.len(), 10);
    let mut tries = 0;
    let mut failures = Vec::new();
    while pool.now < pool.start + seconds(10) {
        let failed = std::mem::take(&mut boots);
        tries += failed.len();
        for &runner in &failed {
            pool.boot_fails(runner);
        }
        let mut actions = pool.take();
        pool.wait(Duration::from_millis(10));
        actions.extend(pool.take());
        for action in actions {
            match action {
                Action::Boot { runner, .. } => boots.push(runner.0),
                Action::Fail { failure, .. } => failures.push((pool.now, failure)),
                _ => {}
            }
        }
    }
    assert_eq!(failures.len(), 20);
    for (at, failure) in failures {
        let Failure::BootFailed { error } = failure else { panic!("{failure}") };
        assert_eq!(error.to_string(), "no such image");
        assert!(at < pool.start + seconds(2), "before the deadline, which cannot be kept");
    }
    assert!((12..=16).contains(&tries), "{tries} boots");
}

#[test]
fn while_boots_fail_and_none_can_serve_it_a_new_request_fails_at_once() {
    let mut pool = Pool::new(small(2));
    pool.request_within(1, seconds(30)).boot_fails(1);
    pool.take();
    pool.request_within(2, Duration::from_millis(50));
    assert!(matches!(pool.failures().as_slice(), [(2, Failure::BootFailed { .. })]));
    pool.request_within(3, seconds(30));
    assert!(pool.failures().is_empty(), "a boot will be tried before its deadline");
}

#[test]
fn a_request_without_deadline_has_the_boot_error_after_boot_timeout() {
    let mut pool = Pool::new(small(1).boot_timeout(seconds(3)));
    pool.request(1);
    let mut tries = 0;
    while pool.machine.inspect(pool.now).waiting > 0 {
        for runner in pool.boots() {
            tries += 1;
            assert!(tries < 20, "it waits for ever");
            pool.boot_fails(runner);
        }
        let waiting = pool.machine.inspect(pool.now).waiting;
        if waiting > 0 {
            pool.wait(Duration::from_millis(100));
        }
    }
    assert!(pool.now <= pool.start + seconds(4));
    assert!(matches!(pool.failures().as_slice(), [(1, Failure::BootFailed { .. })]));
}

#[test]
fn after_a_failed_boot_one_is_tried_and_after_a_good_one_all() {
    let mut pool = Pool::new(small(5));
    for id in 1..=5 {
        pool.request(id);
    }
    for runner in 1..=5 {
        pool.boot_fails(runner);
    }
    pool.take();
    pool.wait(seconds(1));
    assert_eq!(pool.boots(), [6]);
    pool.join(6);
    assert_eq!(pool.boots(), [7, 8, 9, 10]);
}

#[test]
fn a_boot_past_its_time_is_terminated_and_reported() {
    let mut pool = Pool::new(small(1).boot_timeout(seconds(5)));
    pool.request_within(1, Duration::from_millis(5100)).wait(seconds(5));
    let actions = pool.take();
    assert!(actions.iter().any(|action| matches!(action, Action::Terminate(RunnerSeq(1)))));
    let failure = actions.iter().find_map(|action| match action {
        Action::Fail { failure: Failure::BootFailed { error }, .. } => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(failure.as_deref(), Some("the runner did not join within 5s"));
    pool.join(1).request_within(2, seconds(9));
    assert!(pool.grants().is_empty(), "a late join is no join");
}

#[test]
fn a_deadline_says_what_the_request_was_waiting_for() {
    let mut pool = Pool::new(small(1));
    pool.request_within(1, seconds(1)).wait(seconds(1));
    let booting = pool.failures();
    assert!(matches!(booting.as_slice(), [(1, Failure::Timeout { phase: WaitPhase::Booting, cause: None })]));
    pool.join(1).request(2).request_within(3, seconds(1)).wait(seconds(1));
    let queued = pool.failures();
    assert!(matches!(queued.as_slice(), [(3, Failure::Timeout { phase: WaitPhase::Queued, .. })]));
}

#[test]
fn beyond_max_queue_a_request_fails_at_once() {
    let mut pool = Pool::new(small(1).max_queue(2));
    pool.request(1).request(2).request(3);
    assert!(matches!(pool.failures().as_slice(), [(3, Failure::QueueFull { max_queue: 2 })]));
    pool.feed(Event::Cancel(RequestId(1))).request(4);
    assert!(pool.failures().is_empty());
}

#[test]
fn min_is_kept_from_the_start_and_after_a_loss() {
    let mut pool = Pool::new(small(4).min(2));
    assert_eq!(pool.boots(), [1, 2]);
    pool.join(1).join(2).wait(seconds(600));
    assert!(pool.retired().is_empty());
    pool.gone(1);
    assert_eq!(pool.boots(), [3]);
}

#[test]
fn min_is_kept_in_a_single_use_pool() {
    let mut pool = Pool::new(PoolOptions::new("p").min(1).max(2).single_use(true));
    pool.join(1).request(1).release(1);
    let actions = pool.take();
    assert!(actions.iter().any(|action| matches!(action, Action::Retire(RunnerSeq(1)))));
    assert!(actions.iter().any(|action| matches!(action, Action::Boot { runner: RunnerSeq(2), .. })));
    pool.join(2).request(2);
    assert_eq!(pool.grants(), [(2, 2)], "the used runner serves nobody");
}

#[test]
fn min_may_go_idle_too_and_comes_back_with_the_next_request() {
    let mut pool = Pool::new(small(4).min(2).min_idle_shutdown_after(seconds(60)));
    pool.join(1).join(2).wait(seconds(59));
    assert!(pool.retired().is_empty());
    pool.wait(seconds(2));
    assert_eq!(pool.retired(), [1, 2]);
    pool.gone(1).gone(2).wait(seconds(600));
    assert!(pool.boots().is_empty());
    pool.request(1);
    assert_eq!(pool.boots(), [3, 4]);
}

#[test]
fn a_runner_whose_own_check_disagrees_is_asked_again_later() {
    let mut pool = Pool::new(small(1).idle_shutdown(IdleShutdown::AfterCheck(seconds(10))));
    pool.request(1).join(1).release(1).wait(seconds(10));
    let asked = |pool: &mut Pool| {
        pool.take().into_iter().find_map(|action| match action {
            Action::AskIdle { ask, .. } => Some(ask),
            _ => None,
        })
    };
    let first = asked(&mut pool).unwrap();
    pool.feed(Event::IdleAnswer { runner: RunnerSeq(1), ask: first, idle: false }).wait(seconds(10));
    let second = asked(&mut pool).unwrap();
    pool.request(2).release(2);
    pool.feed(Event::IdleAnswer { runner: RunnerSeq(1), ask: second, idle: true });
    assert!(pool.retired().is_empty(), "work that came meanwhile makes the answer void");
    pool.wait(seconds(10));
    let third = asked(&mut pool).unwrap();
    pool.feed(Event::IdleAnswer { runner: RunnerSeq(1), ask: third, idle: true });
    assert_eq!(pool.retired(), [1]);
}

#[test]
fn packing_lets_a_runner_go_idle_under_a_trickle_and_spreading_does_not() {
    let trickle = |options: PoolOptions| {
        let mut pool = Pool::new(options.max(2).max_concurrency(2));
        for id in 1..=3 {
            pool.request(id);
        }
        pool.join(1).join(2);
        for id in 1..=3 {
            pool.release(id);
        }
        pool.take();
        for id in 10..40 {
            pool.request(2 * id).request(2 * id + 1).wait(seconds(2));
            pool.release(2 * id).release(2 * id + 1).wait(seconds(2));
        }
        pool.retired()
    };
    assert_eq!(trickle(PoolOptions::new("p")), [2]);
    assert!(trickle(PoolOptions::new("p").placement(Spread)).is_empty());
}

#[test]
fn spare_slots_are_kept_warm_and_not_retired() {
    let mut pool = Pool::new(small(5).growth(Spare(2)));
    assert_eq!(pool.boots(), [1, 2]);
    pool.join(1).join(2).wait(seconds(600)).request(1);
    let actions = pool.take();
    assert!(!actions.iter().any(|action| matches!(action, Action::Retire(_))));
    assert!(actions.iter().any(|action| matches!(action, Action::Boot { runner: RunnerSeq(3), .. })));
}

#[test]
fn a_policy_that_panics_or_asks_for_nonsense_stalls_nothing() {
    struct Broken;
    impl Growth for Broken {
        fn runners(&self, _: &Load) -> u32 {
            panic!("not today")
        }
    }
    impl Placement for Broken {
        fn choose(&self, candidates: &[Candidate]) -> usize {
            candidates.len() + 7
        }
    }
    struct Lazy;
    impl Growth for Lazy {
        fn runners(&self, _: &Load) -> u32 {
            0
        }
    }
    let mut pool = Pool::new(small(3).growth(Broken).placement(Broken));
    pool.request(1).request(2).join(1).join(2).release(1).release(2).request(3);
    let actions = pool.take();
    let count = |wanted: fn(&Action) -> bool| actions.iter().filter(|action| wanted(action)).count();
    assert_eq!(count(|action| matches!(action, Action::Grant { .. })), 3);
    assert_eq!(count(|action| matches!(action, Action::Emit(PoolEvent::PolicyPanicked))), 1);

    let mut pool = Pool::new(small(3).growth(Lazy));
    pool.request(1).request(2);
    assert_eq!(pool.boots(), [1], "one at least, when nothing is there for those who wait");
    pool.join(1);
    assert!(matches!(pool.verdict(), GrowthVerdict::HeldBack));
}

#[test]
fn preferred_work_goes_to_the_runner_of_its_key_and_elsewhere_when_that_is_full() {
    let prefer = || Affinity::Prefer(Key::from("model"));
    let mut pool = Pool::new(PoolOptions::new("p").max(2).max_concurrency(2).min(2));
    pool.join(1).join(2).request(1).request(2).keyed(3, prefer()).release(1).release(2);
    assert_eq!(pool.grants(), [(1, 1), (2, 1), (3, 2)]);
    pool.request(4).keyed(5, prefer()).keyed(6, prefer());
    assert_eq!(pool.grants(), [(4, 2), (5, 1), (6, 1)]);
    pool.release(4).request(7).release(6).keyed(8, prefer());
    assert_eq!(pool.grants().last(), Some(&(8, 1)));
}

#[test]
fn required_work_waits_for_the_runner_of_its_key_and_holds_up_nobody() {
    let require = |key: &str| Affinity::Require(Key::from(key));
    let mut pool = Pool::new(small(3).min(2));
    pool.join(1).join(2).keyed(1, require("a")).keyed(2, require("a")).request(3);
    assert_eq!(pool.grants(), [(1, 1), (3, 2)]);
    assert_eq!(pool.machine.inspect(pool.now).pinned, 1);
    assert!(pool.boots().is_empty(), "another runner would not help");
    pool.release(1);
    assert_eq!(pool.grants(), [(2, 1)]);
    pool.keyed(4, require("a")).gone(1).release(3);
    assert_eq!(pool.grants(), [(4, 2)], "when its runner is gone, the next takes the key");
}

#[test]
fn many_that_require_one_key_boot_one_runner() {
    let mut pool = Pool::new(PoolOptions::new("p").max(9).max_concurrency(2));
    for id in 1..=20 {
        pool.keyed(id, Affinity::Require(Key::from("a")));
    }
    assert_eq!(pool.boots(), [1]);
    pool.join(1);
    assert_eq!(pool.grants(), [(1, 1), (2, 1)]);
}

#[test]
fn a_runner_is_booted_with_the_resources_of_those_who_wait_and_serves_only_them() {
    let mut pool = Pool::new(small(2));
    pool.request(1).of_class(2, 7);
    let booted: Vec<(u64, u32)> = pool
        .take()
        .into_iter()
        .filter_map(|action| match action {
            Action::Boot { runner, class, .. } => Some((runner.0, class.0)),
            _ => None,
        })
        .collect();
    assert_eq!(booted, [(1, 0), (2, 7)]);
    pool.join(2);
    assert_eq!(pool.grants(), [(2, 2)]);
}

#[test]
fn at_max_an_idle_runner_makes_room_for_one_with_other_resources() {
    let mut pool = Pool::new(small(1));
    pool.request(1).join(1).release(1).of_class(2, 7);
    assert_eq!(pool.retired(), [1]);
    pool.gone(1);
    assert_eq!(pool.boots(), [2]);
}

#[test]
fn no_kind_of_work_starves_for_another_at_max() {
    let mut pool = Pool::new(small(1));
    pool.request(1).join(1).request(2).of_class(3, 7);
    pool.take();
    pool.request(4).release(1);
    assert_eq!(pool.grants(), [(2, 1)], "the second came before the third");
    pool.release(2);
    assert_eq!(pool.retired(), [1], "the fourth has to wait, though it is of the runner's kind");
    pool.gone(1).join(2);
    assert_eq!(pool.grants(), [(3, 2)]);
    pool.release(3).gone(2).join(3);
    assert_eq!(pool.grants(), [(4, 3)]);
}

#[test]
fn a_nested_call_runs_in_its_callers_slot_when_no_slot_is_free() {
    let nested = |id| Event::Request(Request { origin: Some(RunnerSeq(1)), ..Request::new(RequestId(id)) });
    let mut pool = Pool::new(small(2));
    pool.request(1).join(1).feed(nested(2));
    assert!(matches!(
        pool.take().last(),
        Some(Action::Grant { request: RequestId(2), runner: RunnerSeq(1), in_place: true })
    ));
    pool.release(1).wait(seconds(600));
    assert!(pool.retired().is_empty(), "work in place keeps its runner");
    pool.feed(Event::Shutdown).feed(nested(3));
    assert!(pool.failures().is_empty(), "work in flight may still call");
    pool.release(2).release(3).gone(1);
    assert!(matches!(pool.take().last(), Some(Action::Stopped)));
}

#[test]
fn a_shared_cap_is_asked_before_each_boot_and_gets_everything_back() {
    let mut pool = Pool::new(small(3).shared_cap(true));
    pool.request(1).request(2);
    assert!(matches!(pool.take().as_slice(), [Action::WantPermits(1), Action::WantPermits(2)]));
    assert!(matches!(pool.verdict(), GrowthVerdict::SharedCap(2)));
    pool.feed(Event::Permit);
    assert_eq!(pool.boots(), [1]);
    pool.feed(Event::Cancel(RequestId(2)));
    assert!(matches!(pool.take().as_slice(), [Action::WantPermits(0)]));
    pool.feed(Event::Permit);
    assert!(matches!(pool.take().as_slice(), [Action::ReturnPermits(1)]), "one that came too late");
    pool.join(1).release(1).feed(Event::Reclaim);
    assert_eq!(pool.retired(), [1]);
    pool.gone(1);
    assert!(pool.take().iter().any(|action| matches!(action, Action::ReturnPermits(1))));
}

#[test]
fn lowering_max_ends_idle_runners_and_lets_the_others_finish() {
    let limits = |min, max| Event::Resize(crate::pool::settings::Limits::new(min, max).unwrap());
    let mut pool = Pool::new(small(3));
    pool.request(1).request(2).request(3).join(1).join(2).join(3).release(2);
    pool.take();
    pool.feed(limits(0, 1));
    assert_eq!(pool.retired(), [2]);
    pool.gone(2).request(4).release(3);
    assert_eq!(pool.retired(), [3], "it got nothing more to do");
    pool.release(1);
    assert_eq!(pool.grants(), [(4, 1)]);
    pool.gone(3).feed(limits(2, 2));
    assert_eq!(pool.boots(), [4]);
}

#[test]
fn a_runner_that_is_told_to_go_is_replaced_if_someone_waits() {
    let mut pool = Pool::new(small(2));
    pool.request(1).join(1).feed(Event::Draining(RunnerSeq(1)));
    assert!(!pool.boots().contains(&2));
    pool.request(2);
    assert_eq!(pool.boots(), [2]);
    pool.join(2);
    assert_eq!(pool.grants(), [(2, 2)]);
}

#[test]
fn a_condemned_runner_is_ended_after_its_grace() {
    let mut pool = Pool::new(small(2).shutdown_timeout(seconds(5)));
    pool.request(1).join(1).feed(Event::Condemn(RunnerSeq(1)));
    assert_eq!(pool.retired(), [1]);
    pool.wait(seconds(5));
    assert_eq!(pool.terminated(), [1]);
}

#[test]
fn a_stalled_runner_gets_nothing_until_it_answers() {
    let mut pool = Pool::new(PoolOptions::new("p").max(1).max_concurrency(2));
    pool.request(1).join(1).feed(Event::Stalled(RunnerSeq(1)));
    pool.take();
    pool.request(2);
    assert!(pool.grants().is_empty());
    pool.feed(Event::Recovered(RunnerSeq(1)));
    assert_eq!(pool.grants(), [(2, 1)]);
}

#[test]
fn an_instance_that_is_not_confirmed_gone_counts_until_it_is_reported_as_leaked() {
    let mut pool = Pool::new(small(1).terminate_timeout(seconds(10)));
    pool.request(1).join(1).feed(Event::Lost(RunnerSeq(1))).request(2);
    assert!(!pool.boots().contains(&2));
    assert!(matches!(pool.verdict(), GrowthVerdict::AtMax { leaving: 1 }));
    pool.wait(seconds(10));
    let actions = pool.take();
    assert!(
        actions.iter().any(|a| matches!(a, Action::Emit(PoolEvent::Leaked { runner: RunnerSeq(1), .. })))
    );
    assert!(actions.iter().any(|a| matches!(a, Action::Boot { runner: RunnerSeq(2), .. })));
}

#[test]
fn a_stop_fails_those_who_wait_lets_work_finish_and_ends_what_does_not() {
    let mut pool = Pool::new(small(2).shutdown_timeout(seconds(5)));
    pool.request(1).request(2).request(3).join(1).join(2);
    pool.take();
    pool.feed(Event::Shutdown);
    assert!(matches!(pool.failures().as_slice(), [(3, Failure::PoolClosed)]));
    pool.release(1).gone(1).request(4);
    assert!(matches!(pool.failures().as_slice(), [(4, Failure::PoolClosed)]));
    pool.wait(seconds(5));
    assert_eq!(pool.terminated(), [2]);
    pool.gone(2);
    assert!(matches!(pool.take().last(), Some(Action::Stopped)));
    assert_eq!(pool.machine.next_wake(), None);
}

#[test]
fn the_inspection_explains_why_the_pool_does_not_grow() {
    let mut pool = Pool::new(small(1));
    assert!(matches!(pool.verdict(), GrowthVerdict::Enough));
    pool.request(1);
    assert!(matches!(pool.verdict(), GrowthVerdict::Booting(1)));
    pool.boot_fails(1);
    let text = pool.verdict().to_string();
    assert!(text.contains("1 in a row") && text.contains("no such image"), "{text}");
    pool.wait(seconds(1)).join(2).request(2);
    assert!(matches!(pool.verdict(), GrowthVerdict::AtMax { leaving: 0 }));
    pool.feed(Event::Shutdown);
    assert!(matches!(pool.verdict(), GrowthVerdict::Closed));
}

#[test]
fn times_beyond_the_clock_mean_never() {
    let mut pool = Pool::new(small(1).boot_timeout(Duration::MAX).shutdown_timeout(Duration::MAX));
    pool.request(1).join(1).feed(Event::Shutdown).wait(seconds(60));
    assert_eq!(pool.machine.next_wake(), None);
}
