//! How a pool grows: in proportion to demand, at once, never beyond `max`, never below `min`.

use std::{collections::HashSet, time::Duration};

use flame_actor::{Pool, pool::machine::GrowthVerdict};
use flame_tests::{
    Counter, process_id,
    support::{Fleet, Gate, Process, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{builder, words};

tests![
    a_hundred_waiters_on_an_empty_pool_with_room_for_ten_boot_ten_runners_at_once,
    growth_is_in_proportion_to_demand,
    waiters_that_are_left_over_after_failed_boots_boot_more,
    min_is_kept_before_any_call_after_a_loss_and_after_single_use,
    max_holds_while_runners_boot_serve_drain_and_end,
    waiters_are_served_first_in_first_out_also_after_a_runner_died,
    inspect_says_why_the_pool_does_or_does_not_grow,
];

async fn a_hundred_waiters_on_an_empty_pool_with_room_for_ten_boot_ten_runners_at_once() {
    let fleet = Fleet::new();
    // No boot ends before all have begun.
    fleet.hold();
    let pool = Pool::builder("hundred").max(10).max_concurrency(10).backend(fleet.clone()).start().unwrap();
    let calls: Vec<_> = (0..100).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    fleet.until_live(10).await;
    until("all wait", || pool.inspect().waiting == 100).await;
    fleet.release();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!((fleet.boots(), fleet.most()), (10, 10));
}

async fn growth_is_in_proportion_to_demand() {
    let fleet = Fleet::new();
    fleet.hold();
    let pool = Pool::builder("part").max(10).max_concurrency(10).backend(fleet.clone()).start().unwrap();
    let calls: Vec<_> = (0..25).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    until("all wait", || pool.inspect().waiting == 25).await;
    fleet.until_boots(3).await;
    assert!(matches!(pool.inspect().growth[0].1, GrowthVerdict::Booting(3)));
    fleet.release();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(fleet.boots(), 3, "25 calls need three runners of ten slots");
}

async fn waiters_that_are_left_over_after_failed_boots_boot_more() {
    let fleet = Fleet::new();
    fleet.fail(2);
    let pool = Pool::builder("left-over").max(3).max_concurrency(1).backend(fleet.clone()).start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..3).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pids: HashSet<u32> = gate.arrivals(3).await.into_iter().collect();
    assert_eq!(pids.len(), 3, "each on a runner of its own");
    gate.open();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert!(fleet.boots() >= 5 && fleet.most() <= 3, "{} {}", fleet.boots(), fleet.most());
}

async fn min_is_kept_before_any_call_after_a_loss_and_after_single_use() {
    let fleet = Fleet::new();
    let pool = Pool::builder("floor").min(2).max(3).single_use(true).idle_shutdown_after(Duration::ZERO);
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let up = || {
        use flame_actor::pool::machine::RunnerPhase;
        pool.inspect().runners.iter().filter(|runner| matches!(runner.phase, RunnerPhase::Idle(_))).count()
    };
    until("two are up", || up() == 2).await;
    let first = fleet.pids();
    Process::of(first[0]).signal(Signal::KILL);
    until("the loss is made up for", || fleet.boots() == 3 && up() == 2).await;
    let mut used = HashSet::new();
    for _ in 0..3 {
        assert!(used.insert(soon(pool.call(process_id::task())).await.unwrap()), "a runner was used twice");
        until("what was used up is made up for", || up() == 2 && fleet.live() == 2).await;
    }
    assert!(fleet.most() <= 3, "{}", fleet.most());
}

async fn max_holds_while_runners_boot_serve_drain_and_end() {
    let fleet = Fleet::new();
    let pool = Pool::builder("ceiling").max(2).single_use(true).backend(fleet.clone()).start().unwrap();
    let calls: Vec<_> = (0..12).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    let mut pids = HashSet::new();
    for call in calls {
        pids.insert(soon(call).await.unwrap().unwrap());
    }
    assert_eq!(pids.len(), 12, "each runner served one call");
    assert_eq!(fleet.most(), 2);
}

async fn waiters_are_served_first_in_first_out_also_after_a_runner_died() {
    let pool = builder("line").max_concurrency(1).start().unwrap();
    let mut gate = Gate::new();
    let held = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut waiting = Vec::new();
    for n in 0..5 {
        let (call, order) = (pool.call(process_id::task()), std::rc::Rc::clone(&order));
        waiting.push(actix::spawn(async move {
            call.await.unwrap();
            order.borrow_mut().push(n);
        }));
        until("it waits", || pool.inspect().waiting == n + 1).await;
    }
    Process::of(pid).signal(Signal::KILL);
    soon(held).await.unwrap().unwrap_err();
    for call in waiting {
        soon(call).await.unwrap();
    }
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
}

async fn inspect_says_why_the_pool_does_or_does_not_grow() {
    let fleet = Fleet::new();
    fleet.hold();
    let pool = builder("why").max_concurrency(1).backend(fleet.clone()).start().unwrap();
    let verdict = || pool.inspect().growth[0].1.clone();
    assert!(matches!(verdict(), GrowthVerdict::Enough), "{}", verdict());
    let mut gate = Gate::new();
    let first = actix::spawn(pool.call(gate.task()));
    until("it boots", || matches!(verdict(), GrowthVerdict::Booting(1))).await;
    fleet.release();
    gate.arrival().await;
    let second = actix::spawn(pool.call(gate.task()));
    until("it is at max", || matches!(verdict(), GrowthVerdict::AtMax { leaving: 0 })).await;
    gate.open();
    soon(first).await.unwrap().unwrap();
    soon(second).await.unwrap().unwrap();
    soon(pool.stop()).await;
    assert!(matches!(verdict(), GrowthVerdict::Closed), "{}", verdict());

    let broken = Fleet::new();
    broken.fail(usize::MAX);
    let pool = builder("why-not").backend(broken).start().unwrap();
    let call = actix::spawn(pool.call(process_id::task()));
    until("boots fail", || {
        matches!(&pool.inspect().growth[0].1, GrowthVerdict::BackingOff { failures: 2.., error, .. }
            if words(error).contains("this boot was to fail"))
    })
    .await;
    call.abort();
    drop(pool.place_child(Counter(0)));
}
