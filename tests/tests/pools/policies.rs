//! Growth and placement: the policies that there are, and the user's own.

use std::{collections::HashSet, time::Duration};

use flame_actor::{
    Pool, PoolBuilder,
    pool::{
        machine::RunnerPhase,
        policy::{Candidate, Growth, Load, Placement, Spare, Spread},
    },
};
use flame_tests::{
    process_id,
    support::{Fleet, Gate, soon, until},
    tests,
};

tests![
    packed_runners_go_idle_under_a_trickle_and_spread_ones_do_not,
    spare_capacity_is_up_before_it_is_asked_for,
    the_users_own_policies_decide,
    policies_that_panic_harm_nothing,
];

async fn packed_runners_go_idle_under_a_trickle_and_spread_ones_do_not() {
    async fn after_a_trickle(name: &str, with: impl FnOnce(PoolBuilder) -> PoolBuilder) -> usize {
        let fleet = Fleet::new();
        let idle = Duration::from_millis(600);
        let pool = Pool::builder(name).max(2).max_concurrency(2).idle_shutdown_after(idle);
        let pool = with(pool).backend(fleet.clone()).start().unwrap();
        let mut gate = Gate::new();
        let calls: Vec<_> = (0..4).map(|_| actix::spawn(pool.call(gate.task()))).collect();
        gate.arrivals(4).await;
        gate.open();
        for call in calls {
            soon(call).await.unwrap().unwrap();
        }
        assert_eq!(fleet.live(), 2);
        // Two calls at a time, again and again, for twice the idle time.
        for _ in 0..24 {
            let (one, two) = (pool.call(process_id::task()), pool.call(process_id::task()));
            let (one, two) = soon(futures_util::future::join(one, two)).await;
            one.and(two).unwrap();
            tokio::time::sleep(idle / 12).await;
        }
        fleet.live()
    }
    assert_eq!(after_a_trickle("packed", |pool| pool).await, 1);
    assert_eq!(after_a_trickle("spread", |pool| pool.placement(Spread)).await, 2);
}

async fn spare_capacity_is_up_before_it_is_asked_for() {
    let fleet = Fleet::new();
    let pool = Pool::builder("spare").max(3).max_concurrency(1).growth(Spare(1));
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let idle = || {
        pool.inspect().runners.iter().filter(|runner| matches!(runner.phase, RunnerPhase::Idle(_))).count()
    };
    until("one is warm", || idle() == 1).await;
    let mut gate = Gate::new();
    let first = actix::spawn(pool.call(gate.task()));
    gate.arrival().await;
    until("another is warm", || fleet.boots() == 2 && idle() == 1).await;
    gate.open();
    soon(first).await.unwrap().unwrap();
}

/// Two runners, whatever is asked.
struct Two;

impl Growth for Two {
    fn runners(&self, _: &Load) -> u32 {
        2
    }
}

struct Youngest;

impl Placement for Youngest {
    fn choose(&self, candidates: &[Candidate]) -> usize {
        candidates.len() - 1
    }
}

async fn the_users_own_policies_decide() {
    let fleet = Fleet::new();
    let pool = Pool::builder("own").max(4).max_concurrency(4).growth(Two).placement(Youngest);
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let up = || pool.inspect().runners.iter().filter(|it| !matches!(it.phase, RunnerPhase::Booting)).count();
    until("two are up", || up() == 2).await;
    let youngest = fleet.pid_of("own-2").unwrap();
    let pids: HashSet<u32> = futures_util::future::join_all((0..4).map(|_| pool.call(process_id::task())))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(pids, HashSet::from([youngest]));
    assert_eq!(fleet.boots(), 2);
}

struct Broken;

impl Growth for Broken {
    fn runners(&self, _: &Load) -> u32 {
        panic!("no growth today");
    }
}

impl Placement for Broken {
    fn choose(&self, _: &[Candidate]) -> usize {
        panic!("no placement today");
    }
}

async fn policies_that_panic_harm_nothing() {
    let pool = Pool::builder("broken").max(2).max_concurrency(1).growth(Broken).placement(Broken);
    let pool = pool.start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pids: HashSet<u32> = gate.arrivals(2).await.into_iter().collect();
    assert_eq!(pids.len(), 2);
    gate.open();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    // With a choice between two.
    assert!(pids.contains(&soon(pool.call(process_id::task())).await.unwrap()));
}
