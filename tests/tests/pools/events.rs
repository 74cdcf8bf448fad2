//! What a pool tells: one stream of events, three callbacks, dead letters; bounded, and told what was missed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use flame_actor::{
    CallError, Pool, PoolEvents, SendError, dead_letters,
    pool::machine::{PoolEvent, RetireReason, RunnerSeq},
};
use flame_tests::{
    Add, Counter, panicking, process_id,
    support::{Fleet, Gate, Process, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::builder;

tests![
    the_stream_tells_the_life_of_each_runner_in_order,
    a_loss_and_a_failed_boot_are_told_with_their_numbers_and_causes,
    the_three_callbacks_are_called_and_one_that_panics_harms_nothing,
    a_slow_subscriber_holds_up_nobody_and_is_told_how_much_it_missed,
    a_cast_that_fails_is_a_dead_letter_with_its_reason,
    a_message_to_an_actor_that_has_gone_is_a_dead_letter,
];

/// Waits for an event of this kind; what comes before it is let go.
async fn event(events: &mut PoolEvents, wanted: impl Fn(&PoolEvent) -> bool) -> PoolEvent {
    soon(async {
        loop {
            let event = events.next().await.expect("there are more events");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

async fn the_stream_tells_the_life_of_each_runner_in_order() {
    let pool = builder("told").idle_shutdown_after(Duration::from_millis(50)).start().unwrap();
    let mut events = pool.subscribe();
    soon(pool.call(process_id::task())).await.unwrap();
    let mut told = Vec::new();
    while !matches!(told.last(), Some(PoolEvent::Shrunk { .. })) {
        told.push(soon(events.next()).await.unwrap());
    }
    let kinds: Vec<&str> = told
        .iter()
        .map(|event| match event {
            PoolEvent::GrowStarted { runner: RunnerSeq(1), runners: 1 } => "boots",
            PoolEvent::Grown { runner: RunnerSeq(1), runners: 1, .. } => "up",
            PoolEvent::Retiring { runner: RunnerSeq(1), reason: RetireReason::Idle } => "goes",
            PoolEvent::Shrunk { runner: RunnerSeq(1), runners: 0 } => "gone",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["boots", "up", "goes", "gone"]);
    // The stream ends with the pool.
    soon(pool.stop()).await;
    drop(pool);
    soon(async { while events.next().await.is_some() {} }).await;
}

async fn a_loss_and_a_failed_boot_are_told_with_their_numbers_and_causes() {
    let fleet = Fleet::new();
    let pool = builder("woes").backend(fleet.clone()).start().unwrap();
    let mut events = pool.subscribe();
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..50).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    let pid = gate.arrivals(50).await[0];
    fleet.fail(1);
    Process::of(pid).signal(Signal::KILL);
    event(&mut events, |event| matches!(event, PoolEvent::Lost { runner: RunnerSeq(1), held: 50 })).await;
    event(&mut events, |event| matches!(event, PoolEvent::Shrunk { runner: RunnerSeq(1), .. })).await;
    for call in calls {
        soon(call).await.unwrap().unwrap_err();
    }
    let waits = actix::spawn(pool.call(process_id::task()));
    let failed = event(&mut events, |event| matches!(event, PoolEvent::BootFailed { .. })).await;
    let PoolEvent::BootFailed { failures: 1, error, retry_in, .. } = failed else { panic!("{failed:?}") };
    assert!(crate::words(&error).contains("this boot was to fail"), "{error}");
    assert!(retry_in > Duration::ZERO && retry_in < Duration::from_secs(1), "{retry_in:?}");
    event(&mut events, |event| matches!(event, PoolEvent::Grown { .. })).await;
    soon(waits).await.unwrap().unwrap();
}

async fn the_three_callbacks_are_called_and_one_that_panics_harms_nothing() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let called = Arc::clone(&called);
        move |_: &PoolEvent| {
            called.lock().unwrap().push(what);
            panic!("a callback");
        }
    };
    let pool = builder("callbacks").idle_shutdown_after(Duration::from_millis(50));
    let pool = pool.on_grow_start(note("start")).on_grow_end(note("end")).on_shrink(note("shrink"));
    let pool = pool.start().unwrap();
    for round in 1..=2 {
        soon(pool.call(process_id::task())).await.unwrap();
        until("all three were called", || called.lock().unwrap().len() == 3 * round).await;
    }
    assert_eq!(*called.lock().unwrap(), ["start", "end", "shrink", "start", "end", "shrink"]);
}

async fn a_slow_subscriber_holds_up_nobody_and_is_told_how_much_it_missed() {
    let fleet = Fleet::new();
    let pool = Pool::builder("missed").max(8).max_concurrency(1).backend(fleet.clone());
    let pool = pool.timeout(Duration::from_secs(60)).start().unwrap();
    let mut slow = pool.subscribe();
    let mut prompt = pool.subscribe();
    let mut seen = 0;
    // Boots that fail are events without processes; limits that change let them be tried at once.
    fleet.fail(usize::MAX);
    let mut waits = Vec::new();
    while seen < 1500 {
        waits.push(actix::spawn(pool.call(process_id::task()).timeout(Duration::from_millis(1))));
        // Each of another class of resources, which has a back-off of its own.
        let resources =
            flame_actor::backend::Resources::builder().cpu(1 + waits.len() as u32).build().unwrap();
        drop(
            soon(pool.call(process_id::task()).resources(resources).timeout(Duration::from_millis(20))).await,
        );
        while prompt.try_next().is_some() {
            seen += 1;
        }
    }
    assert_eq!(prompt.missed(), 0);
    let mut kept = 0;
    while slow.try_next().is_some() {
        kept += 1;
    }
    // More come while it is emptied, and the other hears of those too.
    let meanwhile = std::iter::from_fn(|| prompt.try_next()).count();
    assert!(kept <= 1024 + meanwhile, "{kept} events waited for someone who takes none");
    assert!(slow.missed() >= 1500 - 1024, "{}", slow.missed());
    fleet.fail(0);
    soon(pool.call(process_id::task())).await.unwrap();
}

async fn a_cast_that_fails_is_a_dead_letter_with_its_reason() {
    let mut letters = dead_letters();
    let pool = builder("letters").max_concurrency(1).max_queue(1).start().unwrap();
    pool.cast(panicking::task("no stamp".to_owned()));
    let reason = soon(async {
        loop {
            let letter = letters.next().await.unwrap();
            let reason = letter.reason.downcast_ref::<CallError>().cloned();
            // The other tests of this process have dead letters, too.
            if let Some(CallError::Panicked { message, runner }) = reason
                && runner.name() == "letters-1"
            {
                return message;
            }
        }
    })
    .await;
    assert_eq!(reason, "no stamp");

    let mut gate = Gate::new();
    let running = actix::spawn(pool.call(gate.task()));
    gate.arrival().await;
    let mut letters = dead_letters();
    pool.cast(gate.task());
    pool.cast(gate.task());
    soon(async {
        loop {
            let letter = letters.next().await.unwrap();
            if letter.to_string().contains("queue is full: 1 requests") {
                return;
            }
        }
    })
    .await;
    gate.open();
    soon(running).await.unwrap().unwrap();
}

async fn a_message_to_an_actor_that_has_gone_is_a_dead_letter() {
    let pool = builder("addressee").start().unwrap();
    let child = soon(pool.place_child(Counter(0))).await.unwrap();
    let address = child.addr();
    drop(child);
    soon(async { while address.send(Add(1)).await.is_ok() {} }).await;
    let mut letters = dead_letters();
    address.do_send(Add(2));
    soon(async {
        loop {
            let letter = letters.next().await.unwrap();
            let ours = letter.subject.is_some_and(|subject| subject.contains("Add"));
            if ours && letter.reason.is::<SendError>() {
                return;
            }
        }
    })
    .await;
}
