//! More work than there is room for, and work that changes its mind. (32, 33, 34, 35)

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use flame_actor::{CallError, Pool, backend::LocalBackend};
use flame_tests::{
    chaos::Random,
    echo, process_id,
    support::{Fleet, Gate, soon, until},
    take, tests,
};

use crate::builder;

tests![
    a_hundred_thousand_deadlines_against_replies_have_one_outcome_each,
    zero_to_max_to_zero_a_hundred_times_loses_no_call,
    a_call_that_meets_a_runner_on_its_way_out_is_not_lost,
    a_thousand_calls_at_max_ten_boot_ten_runners_at_most,
    cancelled_callers_free_their_slots_and_nothing_goes_to_the_wrong_one,
];

async fn a_hundred_thousand_deadlines_against_replies_have_one_outcome_each() {
    const RACES: u64 = 100_000;
    let limit = Duration::from_millis(4);
    let pool = Pool::builder("races").min(1).max(1).max_concurrency(400).timeout(limit);
    let pool = pool.backend(LocalBackend::new()).start().unwrap();
    until("the runner is up", || {
        pool.inspect()
            .runners
            .iter()
            .any(|runner| !matches!(runner.phase, flame_actor::pool::machine::RunnerPhase::Booting))
    })
    .await;
    let (to, _) = flame_tests::support::begun();
    let (mut replies, mut timeouts, mut random) = (0, 0, Random::new(33));
    while replies + timeouts < RACES {
        let batch = (0..500).map(|_| pool.call(take::task(random.below(8), to.clone())));
        let outcomes = soon(futures_util::future::join_all(batch)).await;
        for outcome in outcomes {
            match outcome {
                Ok(pid) => {
                    assert_eq!(pid, std::process::id());
                    replies += 1;
                }
                Err(CallError::Timeout { .. }) => timeouts += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    assert_eq!(replies + timeouts, RACES);
    assert!(replies > RACES / 100 && timeouts > RACES / 100, "no race: {replies} to {timeouts}");
    until("every slot is free", || pool.inspect().held == 0 && pool.inspect().waiting == 0).await;
}

async fn zero_to_max_to_zero_a_hundred_times_loses_no_call() {
    let fleet = Fleet::new();
    let pool = builder("tides").max(2).max_concurrency(1).idle_shutdown_after(Duration::from_millis(10));
    let pool = pool.backend(fleet.clone()).start().unwrap();
    for tide in 0..100 {
        let mut gate = Gate::new();
        let calls: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()))).collect();
        let pids: HashSet<u32> = gate.arrivals(2).await.into_iter().collect();
        assert_eq!(pids.len(), 2, "{tide}");
        gate.open();
        for call in calls {
            soon(call).await.unwrap().unwrap_or_else(|error| panic!("{tide}: {error}"));
        }
        fleet.until_live(0).await;
    }
    assert_eq!((fleet.most(), fleet.boots()), (2, 200));
    let orderly = fleet.exits().values().filter(|exit| exit.is_success()).count();
    assert_eq!(orderly, 200, "runners went otherwise than in order");
}

async fn a_call_that_meets_a_runner_on_its_way_out_is_not_lost() {
    let idle = Duration::from_millis(30);
    let fleet = Fleet::new();
    let pool = builder("ebb").idle_shutdown_after(idle).backend(fleet.clone()).start().unwrap();
    let mut random = Random::new(34);
    for n in 0..150 {
        soon(pool.call(process_id::task())).await.unwrap_or_else(|error| panic!("{n}: {error}"));
        // Just before, at, and just after the moment at which the runner is told to go.
        tokio::time::sleep(idle - Duration::from_millis(4) + Duration::from_micros(random.below(8000))).await;
    }
    assert!((10..150).contains(&fleet.boots()), "{} boots: no race", fleet.boots());
    assert_eq!(fleet.most(), 1);
}

async fn a_thousand_calls_at_max_ten_boot_ten_runners_at_most() {
    let fleet = Fleet::new();
    let pool = builder("flood").max(10).max_concurrency(2).idle_shutdown_after(None);
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let calls: Vec<_> = (0..1000).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert!((1..=10).contains(&fleet.boots()), "{}", fleet.boots());
}

async fn cancelled_callers_free_their_slots_and_nothing_goes_to_the_wrong_one() {
    let pool = builder("fickle").max_concurrency(8).start().unwrap();
    let (to, _heard) = flame_tests::support::begun();
    let mut random = Random::new(32);
    soon(pool.call(process_id::task())).await.unwrap();
    let start = Instant::now();
    for round in 0..40_u8 {
        // Some wait, some are under way, some have run.
        let given_up = (0..30).map(|_| {
            let patience = Duration::from_millis(random.below(20));
            tokio::time::timeout(patience, pool.call(take::task(random.below(20), to.clone())))
        });
        let given_up = futures_util::future::join_all(given_up.collect::<Vec<_>>());
        let kept = (0..10_u8).map(|n| pool.call(echo::task(vec![round, n]))).collect::<Vec<_>>();
        let (_, answers) =
            soon(futures_util::future::join(given_up, futures_util::future::join_all(kept))).await;
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), [round, n as u8]);
        }
    }
    until("every slot is free", || pool.inspect().held == 0 && pool.inspect().waiting == 0).await;
    assert!(start.elapsed() < Duration::from_secs(60));
}
