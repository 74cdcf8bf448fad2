//! SIGTERM: nothing fails that fits the grace. (13)

use std::{
    cell::Cell,
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use flame_actor::{Pool, backend::ExitReason};
use flame_tests::{
    Add, Counter,
    chaos::Random,
    process_id,
    support::{Fleet, Gate, Process, begun, soon, until},
    take, tests,
};
use rustix::process::Signal;

use crate::builder;

tests![
    under_load_runners_that_are_told_to_go_fail_nothing_and_leave_nothing,
    a_runner_told_to_go_at_any_moment_of_its_boot_fails_no_call,
    what_does_not_fit_the_grace_of_a_runner_that_goes_is_ended,
];

async fn under_load_runners_that_are_told_to_go_fail_nothing_and_leave_nothing() {
    const TOLD: usize = 15;
    let fleet = Fleet::new();
    let pool = builder("turnover").max(3).max_concurrency(4).backend(fleet.clone()).start().unwrap();
    soon(pool.call(process_id::task())).await.unwrap();
    let over = Rc::new(Cell::new(false));
    let users: Vec<_> =
        (0..16).map(|n| actix::spawn(use_up_to_the_end(pool.clone(), n, over.clone()))).collect();
    let (mut random, mut told) = (Random::new(13), BTreeSet::new());
    while told.len() < TOLD {
        // The time between the faults, not for anything to happen.
        tokio::time::sleep(Duration::from_millis(random.below(80))).await;
        let others: Vec<u32> = fleet.pids().into_iter().filter(|pid| !told.contains(pid)).collect();
        if let Some(pid) = random.choose(&others) {
            told.insert(pid);
            Process::of(pid).signal(Signal::TERM);
        }
    }
    over.set(true);
    let mut uses = 0;
    for user in users {
        uses += soon(user).await.unwrap();
    }
    soon(pool.stop()).await;
    let exits = fleet.exits();
    // One that was told before it knew what it is dies of the signal, without having had any work.
    let untimely = ExitReason::Signaled { signal: Signal::TERM.as_raw(), core: false };
    let wrong: Vec<_> = exits.values().filter(|exit| !exit.is_success() && **exit != untimely).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(uses > TOLD, "{TOLD} were told to go under {uses} uses");
    assert!(fleet.most() <= 3, "{}", fleet.most());
    // What else must not be left, threads and files, is counted where nothing else runs: see `long`.
    assert!(told.into_iter().all(|pid| Process::of(pid).is_gone()) && fleet.live() == 0);
}

/// Calls, and places, one after the other; how often. Nothing may fail.
async fn use_up_to_the_end(pool: Pool, user: usize, over: Rc<Cell<bool>>) -> usize {
    let (to, _) = begun();
    let mut uses = 0;
    while !over.get() {
        uses += 1;
        if user < 12 {
            let call = soon(pool.call(take::task(uses as u64 % 20, to.clone()))).await;
            call.unwrap_or_else(|error| panic!("call {uses} of {user}: {error:?}"));
        } else {
            let child = soon(pool.place_child(Counter(0))).await;
            let child = child.unwrap_or_else(|error| panic!("placing {uses} of {user}: {error:?}"));
            assert_eq!(soon(child.send(Add(1))).await.unwrap(), 1, "message {uses} of {user}");
        }
    }
    uses
}

async fn a_runner_told_to_go_at_any_moment_of_its_boot_fails_no_call() {
    let fleet = Fleet::new();
    let pool = builder("whole-boot").backend(fleet.clone()).start().unwrap();
    let begun = Instant::now();
    soon(pool.call(process_id::task())).await.unwrap();
    let boot = begun.elapsed();
    soon(pool.stop()).await;

    let rounds = 16;
    for round in 0..rounds {
        let fleet = Fleet::new();
        let name = format!("early-{round}");
        let pool = builder(&name).max_concurrency(4).backend(fleet.clone()).start().unwrap();
        let calls: Vec<_> = (0..4).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
        until("the process is there", || !fleet.pids().is_empty()).await;
        let pid = fleet.pids()[0];
        // Spread over the boot and a little beyond.
        tokio::time::sleep(boot * 5 / 4 * round / rounds).await;
        Process::of(pid).signal(Signal::TERM);
        for call in calls {
            soon(call).await.unwrap().unwrap_or_else(|error| panic!("{round}: {error:?}"));
        }
        let exit = fleet.until_ended(&format!("{name}-1")).await;
        let untimely = ExitReason::Signaled { signal: Signal::TERM.as_raw(), core: false };
        assert!(exit.is_success() || exit == untimely, "{round}: {exit:?}");
        assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid, "{round}");
        soon(pool.stop()).await;
    }
}

async fn what_does_not_fit_the_grace_of_a_runner_that_goes_is_ended() {
    let pool = builder("grace").max(2).shutdown_timeout(Duration::from_millis(500)).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    Process::of(pid).signal(Signal::TERM);
    let outcome = soon(call).await.unwrap();
    assert!(crate::is_lost(&outcome), "{outcome:?}");
    Process::of(pid).gone_within(Duration::from_secs(5)).await;
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
}
