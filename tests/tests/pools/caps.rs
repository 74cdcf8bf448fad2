//! A cap that several pools share.

use std::time::Duration;

use flame_actor::{
    Pool, SharedCap,
    pool::machine::{GrowthVerdict, RunnerPhase},
};
use flame_tests::{
    process_id,
    support::{Fleet, Gate, Process, soon, until},
    tests,
};
use rustix::process::Signal;

tests![
    pools_under_a_shared_cap_never_have_more_instances_than_it_together,
    a_pool_that_waits_for_the_cap_gets_what_is_idle_elsewhere_and_nothing_that_works,
    for_one_waiting_boot_one_runner_goes_though_several_pools_have_idle_ones,
    a_killed_runner_gives_its_place_under_the_cap_back,
];

fn pool(name: &str, cap: &SharedCap, fleet: &Fleet) -> Pool {
    let pool = Pool::builder(name).max(5).max_concurrency(1).shared_cap(cap).idle_shutdown_after(None);
    pool.backend(fleet.clone()).start().unwrap()
}

async fn pools_under_a_shared_cap_never_have_more_instances_than_it_together() {
    let (cap, fleet) = (SharedCap::new(2), Fleet::new());
    let pools: Vec<Pool> = (0..3).map(|n| pool(&format!("cap-{n}"), &cap, &fleet)).collect();
    let calls: Vec<_> = (0..18).map(|n| actix::spawn(pools[n % 3].call(process_id::task()))).collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert!(fleet.most() <= 2, "{}", fleet.most());
    for pool in pools {
        soon(pool.stop()).await;
    }
    assert_eq!((cap.in_use(), fleet.live()), (0, 0));
}

async fn a_pool_that_waits_for_the_cap_gets_what_is_idle_elsewhere_and_nothing_that_works() {
    let (cap, fleet) = (SharedCap::new(1), Fleet::new());
    let (one, two) = (pool("has", &cap, &fleet), pool("wants", &cap, &fleet));
    let mut gate = Gate::new();
    let working = actix::spawn(one.call(gate.task()));
    let pid = gate.arrival().await;
    let waiting = actix::spawn(two.call(process_id::task()));
    until("it waits for the cap", || matches!(two.inspect().growth[0].1, GrowthVerdict::SharedCap(1))).await;
    assert!(!waiting.is_finished() && !Process::of(pid).is_gone());
    gate.open();
    assert_eq!(soon(working).await.unwrap().unwrap(), pid);
    // Idle now, and it would stay for ever.
    assert_ne!(soon(waiting).await.unwrap().unwrap(), pid);
    Process::of(pid).gone_within(Duration::from_secs(5)).await;
    assert_eq!((fleet.most(), cap.in_use()), (1, 1));
}

async fn for_one_waiting_boot_one_runner_goes_though_several_pools_have_idle_ones() {
    let (cap, fleet) = (SharedCap::new(3), Fleet::new());
    let pools: Vec<Pool> = (0..3).map(|n| pool(&format!("idle-{n}"), &cap, &fleet)).collect();
    for pool in &pools {
        soon(pool.call(process_id::task())).await.unwrap();
    }
    let late = pool("late", &cap, &fleet);
    soon(late.call(process_id::task())).await.unwrap();
    assert_eq!((fleet.most(), fleet.live(), cap.in_use()), (3, 3, 3));
    let left = || pools.iter().flat_map(|pool| pool.inspect().runners);
    assert_eq!(
        left().filter(|report| matches!(report.phase, RunnerPhase::Idle(_))).count(),
        2,
        "only one went"
    );
}

async fn a_killed_runner_gives_its_place_under_the_cap_back() {
    let (cap, fleet) = (SharedCap::new(1), Fleet::new());
    let (one, two) = (pool("dies", &cap, &fleet), pool("heir", &cap, &fleet));
    let mut gate = Gate::new();
    let working = actix::spawn(one.call(gate.task()));
    let pid = gate.arrival().await;
    let waiting = actix::spawn(two.call(process_id::task()));
    until("it waits", || two.inspect().waiting == 1).await;
    Process::of(pid).signal(Signal::KILL);
    soon(working).await.unwrap().unwrap_err();
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(fleet.most(), 1);
}
