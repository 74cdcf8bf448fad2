//! Policies, keys, resources, nested calls, and caps.

use super::*;
use crate::pool::policy::{Candidate, Growth, Load, Placement};

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
fn work_that_waited_for_a_runner_which_makes_room_is_served_elsewhere_at_once() {
    let require = || Affinity::Require(Key::from("a"));
    let mut pool = Pool::new(PoolOptions::new("p").min(2).max(2).max_concurrency(2));
    pool.join(1)
        .join(2)
        .keyed(1, require())
        .feed(Event::Stalled(RunnerSeq(1)))
        .request(2)
        .keyed(3, require());
    assert_eq!(pool.grants(), [(1, 1), (2, 2)]);
    pool.of_class(4, 7);
    assert_eq!(pool.grants(), [(3, 2)]);
}
