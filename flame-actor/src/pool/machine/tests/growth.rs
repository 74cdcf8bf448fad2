//! Growth, queueing, and boots that fail.

use super::*;
use crate::pool::{policy::Spare, settings::IdleShutdown};

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
fn a_call_that_its_runner_did_not_begin_before_it_goes_keeps_its_place_and_goes_elsewhere() {
    let mut pool = Pool::new(small(2));
    pool.request(1).request(2).join(1).join(2).request(3).request(4);
    pool.take();
    pool.feed(Event::Condemn(RunnerSeq(2))).feed(Event::Requeue(RequestId(2)));
    assert!(pool.grants().is_empty(), "a runner that goes gets nothing more");
    pool.release(1);
    assert_eq!(pool.grants(), [(2, 1)], "before those that came after it");
    pool.gone(2).join(3).release(2);
    assert_eq!(pool.grants(), [(3, 3), (4, 1)]);
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
fn pools_whose_boots_fail_together_do_not_try_again_together() {
    // How long each of the first tries waits for the one before it.
    let waits = |seed| {
        let mut machine = Machine::new(small(1).validate().unwrap(), seed);
        let (mut now, mut actions) = (Instant::now(), Vec::new());
        machine.on(Event::Request(Request::new(RequestId(1))), now, &mut actions);
        (1..=4)
            .map(|runner| {
                let error = BootFailure(Arc::new(std::io::Error::other("no such image")));
                let failed = Event::BootFailed { runner: RunnerSeq(runner), error, gone: true };
                machine.on(failed, now, &mut actions);
                let retry_at = machine.next_wake().unwrap();
                let wait = retry_at - now;
                now = retry_at;
                machine.on(Event::Tick, now, &mut actions);
                wait
            })
            .collect::<Vec<_>>()
    };
    let all: Vec<Vec<Duration>> = (0..20).map(waits).collect();
    for (failures, full) in [200, 400, 800, 1600].map(Duration::from_millis).into_iter().enumerate() {
        let mut these: Vec<Duration> = all.iter().map(|waits| waits[failures]).collect();
        assert!(these.iter().all(|wait| (full / 2..=full).contains(wait)), "{these:?}");
        these.sort_unstable();
        these.dedup();
        assert!(these.len() > 15, "{these:?}");
    }
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
fn spare_slots_are_kept_warm_and_not_retired() {
    let mut pool = Pool::new(small(5).growth(Spare(2)));
    assert_eq!(pool.boots(), [1, 2]);
    pool.join(1).join(2).wait(seconds(600)).request(1);
    let actions = pool.take();
    assert!(!actions.iter().any(|action| matches!(action, Action::Retire(_))));
    assert!(actions.iter().any(|action| matches!(action, Action::Boot { runner: RunnerSeq(3), .. })));
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
