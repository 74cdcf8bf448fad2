//! What user code does to its runner: panics, blocked arbiters, no processor time. (8, 9, 10)

use std::time::{Duration, Instant};

use flame_actor::{CallError, Pool, SendError};
use flame_tests::{
    Add, Break, Counter, calculate, never_yield, panicking, process_id,
    support::{ControlGroup, Controller, Fleet, Process, begun, soon, until, within},
    tests,
};

use crate::builder;

tests![
    a_handler_that_panics_fails_its_caller_alone_and_the_runner_lives,
    a_blocked_arbiter_holds_up_neither_links_nor_deadlines_nor_other_arbiters,
    a_task_that_never_yields_gets_its_runner_ended_and_its_caller_told_in_time,
    a_runner_without_processor_time_is_not_taken_for_lost,
];

async fn a_handler_that_panics_fails_its_caller_alone_and_the_runner_lives() {
    let pool = builder("panics").start().unwrap();
    let (fragile, other) =
        (pool.place_child(Counter(0)).await.unwrap(), pool.place_child(Counter(0)).await.unwrap());
    let pid = pool.call(process_id::task()).await.unwrap();
    let error = soon(fragile.send(Break)).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Panicked { message } if message == "broken by a message"),
        "{error:?}"
    );
    let error = soon(pool.call(panicking::task("in a task".to_owned()))).await.unwrap_err();
    assert!(matches!(&error, CallError::Panicked { message, .. } if message == "in a task"), "{error:?}");
    assert_eq!(other.send(Add(1)).await.unwrap(), 1);
    assert_eq!(pool.call(process_id::task()).await.unwrap(), pid);
}

async fn a_blocked_arbiter_holds_up_neither_links_nor_deadlines_nor_other_arbiters() {
    let pool = Pool::builder("blocked").max(1).shutdown_timeout(Duration::from_secs(1)).start().unwrap();
    let own = pool.place_child(Counter(0)).own_arbiter().await.unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let counters = [pool.place_child(Counter(0)).await.unwrap(), pool.place_child(Counter(0)).await.unwrap()];
    // Far longer than the link may be silent.
    let blocked = own.send(flame_tests::AddSlowly(30_000));
    let begun = Instant::now();
    let mut blocked = std::pin::pin!(blocked);
    let mut rounds = 0;
    loop {
        tokio::select! {
            biased;
            answer = &mut blocked => {
                assert_eq!(answer.unwrap(), 30_000);
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        for counter in &counters {
            within(Duration::from_secs(3), "another arbiter serves", counter.send(Add(1))).await.unwrap();
        }
        rounds += 1;
    }
    assert!(begun.elapsed() >= Duration::from_secs(30) && rounds > 20, "{rounds}");
    assert_eq!(pool.call(process_id::task()).await.unwrap(), pid, "the link held");
}

async fn a_task_that_never_yields_gets_its_runner_ended_and_its_caller_told_in_time() {
    let fleet = Fleet::new();
    let pool = builder("stuck").max(2).shutdown_timeout(Duration::from_secs(1)).backend(fleet.clone());
    let pool = pool.timeout(Duration::from_secs(2)).start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    let (to, mut heard) = begun();
    let (start, call) = (Instant::now(), actix::spawn(pool.call(never_yield::task(30_000, to))));
    assert_eq!(soon(heard.recv()).await, Some(pid));
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    let took = start.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&took), "{took:?}");
    // Its runner takes no more work, and is ended after the grace: it would be 30 s.
    Process::of(pid).gone_within(Duration::from_secs(15)).await;
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
    until("no slot is left over", || pool.inspect().held == 0).await;
}

async fn a_runner_without_processor_time_is_not_taken_for_lost() {
    let group = ControlGroup::new(Controller::Cpu(20));
    let fleet = Fleet::new();
    let pool = builder("starved").backend(fleet.clone()).timeout(Duration::from_secs(60)).start().unwrap();
    let pid = pool.call(process_id::task()).await.unwrap();
    group.take(pid);
    // It calculates without pause for longer than its link may be silent, with a fifth of a processor.
    let calls: Vec<_> = (0..4).map(|_| actix::spawn(pool.call(calculate::task(8_000)))).collect();
    for call in calls {
        assert_eq!(within(Duration::from_secs(60), "the calculation", call).await.unwrap().unwrap(), pid);
    }
    assert_eq!(fleet.boots(), 1);
    soon(pool.stop()).await;
}
