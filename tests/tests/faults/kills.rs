//! SIGKILL: of idle runners, of busy ones, and of the parent. (1, 2, 4)

use std::time::{Duration, Instant};

use flame_actor::{CallError, SendError, backend::ExitReason};
use flame_tests::{
    Add, Counter, process_id,
    support::{App, Fleet, Gate, Process, soon, until, within},
    tests,
};
use rustix::process::Signal;

use crate::{D, builder};

tests![
    an_idle_runner_that_is_killed_is_missed_once_and_replaced,
    all_calls_of_a_killed_runner_fail_at_once,
    many_runners_killed_together_fail_their_own_calls_only,
    no_runner_outlives_a_killed_parent_by_five_seconds,
];

async fn an_idle_runner_that_is_killed_is_missed_once_and_replaced() {
    let fleet = Fleet::new();
    let pool = builder("idle-kill").min(1).backend(fleet.clone()).start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let killed = Instant::now();
    Process::of(pid).signal(Signal::KILL);
    assert!(matches!(fleet.until_ended("idle-kill-1").await, ExitReason::Signaled { signal: 9, .. }));
    fleet.until_boots(2).await;
    assert!(killed.elapsed() < D, "{:?}", killed.elapsed());
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
    // Missed twice, it would be replaced twice.
    assert_eq!((fleet.boots(), fleet.most()), (2, 1));
}

async fn all_calls_of_a_killed_runner_fail_at_once() {
    let pool = builder("busy-kill").max_concurrency(50).start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..50).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pids = gate.arrivals(50).await;
    assert!(pids.iter().all(|pid| *pid == pids[0]));
    let killed = Instant::now();
    Process::of(pids[0]).signal(Signal::KILL);
    for call in calls {
        let error = soon(call).await.unwrap().unwrap_err();
        let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
        assert!(matches!(loss.exit, Some(ExitReason::Signaled { signal: 9, .. })), "{loss:?}");
    }
    // The exit is seen here, so nobody waits for a silence.
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    assert_eq!(pool.inspect().held, 0);
}

async fn many_runners_killed_together_fail_their_own_calls_only() {
    let fleet = Fleet::new();
    let pool = builder("part-kill").max(3).max_concurrency(1).backend(fleet.clone()).start().unwrap();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..3).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pids = gate.arrivals(3).await;
    let counter = {
        let fourth = actix::spawn(pool.place_child(Counter(1)));
        until("the placing waits", || pool.inspect().waiting == 1).await;
        fourth
    };
    for pid in &pids[1..] {
        Process::of(*pid).signal(Signal::KILL);
    }
    // What waited is placed on a replacement.
    let counter = soon(counter).await.unwrap().unwrap();
    assert_eq!(counter.send(Add(1)).await.unwrap(), 2);
    gate.open();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(soon(call).await.unwrap());
    }
    assert_eq!(outcomes.iter().filter(|outcome| crate::is_lost(outcome)).count(), 2, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| outcome.as_ref().ok() == Some(&pids[0])), "{outcomes:?}");
    assert!(fleet.most() <= 3);

    // And an actor whose runner is killed says so to who asks it.
    let runner = fleet.pid_of(counter.runner().name()).unwrap();
    Process::of(runner).signal(Signal::KILL);
    let error = within(D, "the actor is known to be gone", async {
        loop {
            if let Err(error) = counter.send(Add(1)).await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(&error, SendError::NodeLost { node, .. } if *node == counter.runner()), "{error:?}");
}

async fn no_runner_outlives_a_killed_parent_by_five_seconds() {
    let mut app = App::start("parent", &["max=3", "max_concurrency=1"]);
    let parent = app.line("parent ").await;
    let mut pids = Vec::new();
    // One sleeps, one blocks its arbiter, one has an actor that nobody owns.
    app.tell("take 60000").await;
    pids.push(app.pid("begun ").await);
    app.tell("block 60000").await;
    pids.push(app.pid("begun ").await);
    app.tell("place").await;
    app.line("placed ").await;
    let runners: Vec<Process> =
        flame_tests::support::children(parent.parse().unwrap()).into_iter().map(Process::of).collect();
    assert!(runners.len() == 3 && pids.iter().all(|pid| runners.iter().any(|of| of.pid() == *pid)));
    app.process().signal(Signal::KILL);
    let gone = runners.into_iter().map(|runner| runner.gone_within(Duration::from_secs(5)));
    futures_util::future::join_all(gone).await;
}
