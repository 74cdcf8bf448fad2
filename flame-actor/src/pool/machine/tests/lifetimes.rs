//! Idleness, `min`, drains and ends.

use super::*;
use crate::pool::{policy::Spread, settings::IdleShutdown};

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
fn lowering_max_ends_idle_runners_and_lets_the_others_finish() {
    let limits = |min, max| Event::Resize(Limits::new(min, max).unwrap());
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
fn a_runner_that_says_that_it_goes_before_its_join_is_known_gets_nothing() {
    let mut pool = Pool::new(small(1));
    pool.request(1).feed(Event::Draining(RunnerSeq(1))).join(1);
    assert!(pool.grants().is_empty());
    pool.gone(1);
    assert_eq!(pool.boots(), [2]);
    pool.join(2);
    assert_eq!(pool.grants(), [(1, 2)]);
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
fn times_beyond_the_clock_mean_never() {
    let mut pool = Pool::new(small(1).boot_timeout(Duration::MAX).shutdown_timeout(Duration::MAX));
    pool.request(1).join(1).feed(Event::Shutdown).wait(seconds(60));
    assert_eq!(pool.machine.next_wake(), None);
}

#[test]
fn a_runner_that_was_to_go_for_a_lower_max_works_on_if_max_is_raised_in_time() {
    let limits = |max| Event::Resize(Limits::new(0, max).unwrap());
    let mut pool = Pool::new(small(2));
    pool.request(1).request(2).join(1).join(2).feed(limits(1));
    pool.take();
    pool.feed(limits(2)).request(3).release(1).release(2);
    let actions = pool.take();
    assert!(actions.iter().any(|action| matches!(action, Action::Emit(PoolEvent::Reopened { .. }))));
    assert!(!actions.iter().any(|action| matches!(action, Action::Retire(_))));
    pool.request(4);
    assert_eq!(pool.grants().len(), 1);
}

#[test]
fn a_runner_with_work_that_has_to_go_is_cleared_of_what_never_ends() {
    let mut pool = Pool::new(small(2));
    pool.request(1).request(2).join(1).join(2);
    assert!(pool.cleared().is_empty());
    assert!(!pool.machine.is_leaving(RunnerSeq(2)));
    // For a lower `max`.
    pool.feed(Event::Resize(Limits::new(0, 1).unwrap()));
    assert_eq!(pool.cleared(), [2]);
    assert!(pool.machine.is_leaving(RunnerSeq(2)) && !pool.machine.is_leaving(RunnerSeq(1)));
    // Because it says so.
    pool.feed(Event::Draining(RunnerSeq(1)));
    assert_eq!(pool.cleared(), [1]);
    assert!(pool.machine.is_leaving(RunnerSeq(1)));
}

#[test]
fn a_runner_that_serves_once_is_not_cleared_of_the_one_thing_that_it_serves() {
    let mut pool = Pool::new(small(1).single_use(true));
    pool.request(1).join(1);
    assert!(pool.cleared().is_empty());
    assert!(!pool.machine.is_leaving(RunnerSeq(1)));
}
