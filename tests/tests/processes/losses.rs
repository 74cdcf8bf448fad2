//! Runners that are killed, or end by themselves, with work on them.

use std::time::{Duration, Instant};

use flame_actor::{CallError, SendError, backend::ExitReason};
use flame_tests::{Add, Counter, exit, process_id, take};
use rustix::process::Signal;

use crate::support::{begun, builder, is_alive, signal, soon, tests, until};

tests![
    a_killed_runner_fails_its_calls_at_once_and_says_how_it_ended,
    a_killed_runner_fails_what_is_sent_to_its_children_and_frees_their_slots,
    a_runner_that_exits_is_reported_with_its_code,
    one_runners_loss_touches_no_other,
    a_stopped_runner_is_no_loss_while_it_is_shorter_than_the_lease,
];

async fn a_killed_runner_fails_its_calls_at_once_and_says_how_it_ended() {
    let pool = builder("killed").start().unwrap();
    let (to, mut begun) = begun();
    let calls: Vec<_> = (0..10).map(|_| actix::spawn(pool.call(take::task(60_000, to.clone())))).collect();
    let pid = begun.recv().await.unwrap();
    for _ in 1..10 {
        assert_eq!(begun.recv().await, Some(pid));
    }
    let start = Instant::now();
    signal(pid, Signal::KILL);
    for call in calls {
        let error = soon(call).await.unwrap().unwrap_err();
        let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
        assert_eq!(loss.runner.name(), "killed-1");
        assert!(matches!(loss.exit, Some(ExitReason::Signaled { signal: 9, .. })), "{loss:?}");
        assert!(error.to_string().contains("SIGKILL"), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // The pool goes on, with another runner.
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_killed_runner_fails_what_is_sent_to_its_children_and_frees_their_slots() {
    let pool = builder("orphans").max_concurrency(2).start().unwrap();
    let counter = pool.place_child(Counter(1)).await.unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    assert_eq!(counter.send(Add(1)).await.unwrap(), 2);
    signal(pid, Signal::KILL);
    let error = soon(async {
        loop {
            if let Err(error) = counter.send(Add(1)).await {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(&error, SendError::NodeLost { node, .. } if node.name() == "orphans-1"), "{error:?}");
    let (one, two) =
        (pool.place_child(Counter(10)).await.unwrap(), pool.place_child(Counter(20)).await.unwrap());
    assert_eq!((one.send(Add(1)).await.unwrap(), two.send(Add(1)).await.unwrap()), (11, 21));
    assert_eq!(one.runner().name(), "orphans-2");
}

async fn a_runner_that_exits_is_reported_with_its_code() {
    let pool = builder("exits").start().unwrap();
    let error = pool.call(exit::task(3)).await.unwrap_err();
    let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
    assert_eq!(loss.exit, Some(ExitReason::Exited { code: 3 }));
}

async fn one_runners_loss_touches_no_other() {
    let pool = builder("pair").max(2).max_concurrency(1).start().unwrap();
    let (to, mut begun) = begun();
    let calls = [400, 60_000].map(|time| actix::spawn(pool.call(take::task(time, to.clone()))));
    let (one, two) = (begun.recv().await.unwrap(), begun.recv().await.unwrap());
    assert_ne!(one, two);
    let [short, long] = calls;
    // Whichever has the long call.
    let survivor = soon(short).await.unwrap().unwrap();
    let victim = if survivor == one { two } else { one };
    signal(victim, Signal::KILL);
    assert!(matches!(soon(long).await.unwrap(), Err(CallError::RunnerLost(_))));
    assert!(is_alive(survivor));
    assert_eq!(pool.call(process_id::task()).await.unwrap(), survivor);
}

async fn a_stopped_runner_is_no_loss_while_it_is_shorter_than_the_lease() {
    let pool = builder("paused").start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    signal(pid, Signal::STOP);
    tokio::time::sleep(Duration::from_secs(2)).await;
    signal(pid, Signal::CONT);
    assert_eq!(pool.call(process_id::task()).await.unwrap(), pid);
    // Longer than the lease: both sides give up, and the runner is gone.
    signal(pid, Signal::STOP);
    until("the pool has noticed", || pool.inspect().runners.is_empty()).await;
    until("the runner is gone", || !is_alive(pid)).await;
    assert_ne!(pool.call(process_id::task()).await.unwrap(), pid);
}
