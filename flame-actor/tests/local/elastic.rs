//! What a pool does and tells as it grows and shrinks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use flame_actor::{
    CallError, LinkConfig, Pool, PoolError, PoolEvents, SharedCap,
    backend::LocalBackend,
    dead_letters,
    pool::{
        BootCause, BootPhase,
        machine::{PoolEvent, RetireReason, RunnerSeq},
    },
    task,
};

use crate::support::{Log, Recorded, builder, soon, until};

#[task]
async fn nothing() {}

#[task]
async fn fail() {
    panic!("a cast on purpose");
}

/// The next event of interest.
async fn next<T>(events: &mut PoolEvents, wanted: impl Fn(&PoolEvent) -> Option<T>) -> T {
    soon(async {
        loop {
            let event = events.next().await.expect("the pool goes on");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

fn shrunk(event: &PoolEvent) -> Option<RunnerSeq> {
    match event {
        PoolEvent::Shrunk { runner, .. } => Some(*runner),
        _ => None,
    }
}

#[actix::test]
async fn a_subscriber_hears_of_a_runners_whole_life_and_of_the_pools_end() {
    let pool = builder("heard").start().unwrap();
    let mut events = pool.subscribe();
    soon(pool.call(nothing::task())).await.unwrap();
    soon(pool.stop()).await;
    let mut heard = Vec::new();
    while let Some(event) = soon(events.next()).await {
        heard.push(match event {
            PoolEvent::GrowStarted { runners: 1, .. } => "starts",
            PoolEvent::Grown { runners: 1, .. } => "joins",
            PoolEvent::Retiring { reason: RetireReason::PoolStops, .. } => "retires",
            PoolEvent::Shrunk { runners: 0, .. } => "ends",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(heard, ["starts", "joins", "retires", "ends"]);
    assert_eq!(events.missed(), 0);
}

#[actix::test]
async fn callbacks_are_called_in_order_and_one_that_panics_harms_nothing() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let calls = Arc::clone(&calls);
        move |_: &PoolEvent| {
            calls.lock().unwrap().push(what);
            assert_ne!(what, "start", "on purpose");
        }
    };
    let pool =
        builder("called").on_grow_start(note("start")).on_grow_end(note("end")).on_shrink(note("shrink"));
    let pool = pool.start().unwrap();
    soon(pool.call(nothing::task())).await.unwrap();
    soon(pool.stop()).await;
    assert_eq!(*calls.lock().unwrap(), ["start", "end", "shrink"]);
}

#[actix::test]
async fn min_and_max_can_be_changed_while_the_pool_runs() {
    let pool = Pool::builder("resized").max(1).max_concurrency(1).backend(LocalBackend::new());
    let pool = pool.start().unwrap();
    let mut events = pool.subscribe();
    let first = soon(pool.place_child(Log::default())).await.unwrap();
    let second = actix_rt::spawn(pool.place_child(Log::default()));
    until("it waits for room", || pool.inspect().waiting == 1).await;
    pool.resize(0, 2).unwrap();
    let second = soon(second).await.unwrap().unwrap();
    assert!(pool.resize(2, 1).is_err());
    assert_eq!(pool.inspect().limits.max(), 2, "a wrong resize changes nothing");
    // Busy runners are not taken from their work.
    pool.resize(0, 1).unwrap();
    let closing = next(&mut events, |event| match event {
        PoolEvent::Closing { runner, reason: RetireReason::Resized } => Some(*runner),
        _ => None,
    });
    let closing = closing.await;
    drop((first, second));
    assert_eq!(next(&mut events, shrunk).await, closing);
    pool.resize(1, 1).unwrap();
    assert_eq!(pool.inspect().kept, 1);
}

/// Whether runners may go, as the checks on them see it.
static MAY_GO: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU32 = AtomicU32::new(0);

#[task]
async fn may_go() -> bool {
    assert!(flame_actor::current_runner().is_some(), "the check runs on the runner");
    ASKED.fetch_add(1, Ordering::SeqCst);
    MAY_GO.load(Ordering::SeqCst)
}

#[actix::test]
async fn an_idle_runner_goes_when_its_check_agrees_and_not_before() {
    let pool = builder("checked").idle_check(Duration::from_millis(20), may_go::task()).start().unwrap();
    let mut events = pool.subscribe();
    soon(pool.call(nothing::task())).await.unwrap();
    until("it was asked, and asked again", || ASKED.load(Ordering::SeqCst) >= 3).await;
    assert_eq!(pool.inspect().runners.len(), 1);
    MAY_GO.store(true, Ordering::SeqCst);
    assert_eq!(next(&mut events, shrunk).await, RunnerSeq(1));
}

#[task]
async fn cannot_say() -> bool {
    ASKED_IN_VAIN.fetch_add(1, Ordering::SeqCst);
    panic!("a check on purpose");
}

static ASKED_IN_VAIN: AtomicU32 = AtomicU32::new(0);

#[actix::test]
async fn a_check_that_fails_keeps_its_runner() {
    let pool = builder("unsure").idle_check(Duration::from_millis(20), cannot_say::task()).start().unwrap();
    soon(pool.call(nothing::task())).await.unwrap();
    until("it was asked again", || ASKED_IN_VAIN.load(Ordering::SeqCst) >= 3).await;
    assert_eq!(pool.inspect().runners.len(), 1);
}

#[actix::test]
async fn pools_under_a_shared_cap_never_exceed_it_and_give_way_to_waiting_work() {
    let cap = SharedCap::new(1);
    let under_cap = |name: &str| builder(name).max_concurrency(1).shared_cap(&cap).start().unwrap();
    let (one, two) = (under_cap("cap-one"), under_cap("cap-two"));
    let child = soon(one.place_child(Log::default())).await.unwrap();
    let waiting = actix_rt::spawn(two.call(nothing::task()));
    until("it waits for the cap", || two.inspect().to_string().contains("shared cap")).await;
    assert_eq!((cap.in_use(), two.inspect().runners.len()), (1, 0));
    // Idle now, and another pool has work: it goes though its idle time is far away.
    drop(child);
    soon(waiting).await.unwrap().unwrap();
    assert!(one.inspect().runners.len() + two.inspect().runners.len() <= 1);
    // And back again, from a runner that is idle already.
    soon(one.call(nothing::task())).await.unwrap();
    soon(one.stop()).await;
    soon(two.stop()).await;
    assert_eq!(cap.in_use(), 0);
}

#[actix::test]
async fn a_cast_that_fails_is_a_dead_letter_and_a_pool_event() {
    let mut letters = dead_letters();
    let pool = builder("dead-cast").start().unwrap();
    let mut events = pool.subscribe();
    pool.cast(fail::task());
    let (task, error) = next(&mut events, |event| match event {
        PoolEvent::CastFailed { task, error } => Some((*task, Arc::clone(error))),
        _ => None,
    })
    .await;
    assert!(task.ends_with("fail"), "{task}");
    assert!(matches!(error.downcast_ref(), Some(CallError::Panicked { .. })), "{error:?}");
    // Other tests of this process have dead letters too.
    let letter = soon(async {
        loop {
            let letter = letters.next().await.unwrap();
            if letter.to_string().contains("a cast on purpose") {
                return letter;
            }
        }
    })
    .await;
    assert_eq!(letter.node.map(|node| node.name().to_owned()), Some("dead-cast-1".to_owned()));
    assert_eq!(letter.subject, Some(task));
}

#[actix::test]
async fn a_message_that_is_not_delivered_is_a_dead_letter() {
    let mut letters = dead_letters();
    let pool = builder("dead-message").start().unwrap();
    let child = soon(pool.place_child(Log::default())).await.unwrap();
    let address = child.addr();
    drop(child);
    let gone = |letter: &flame_actor::DeadLetter| letter.subject.is_some_and(|name| name.ends_with("Heavy"));
    soon(async {
        loop {
            address.do_send(crate::support::Heavy(1, bytes::Bytes::new()));
            if letters.try_next().is_some_and(|letter| gone(&letter)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[actix::test]
async fn a_boot_that_takes_too_long_says_how_far_it_came_and_what_was_printed() {
    let limit = Duration::from_secs(1);
    let pool = Pool::builder("mute").boot_timeout(limit).timeout(None);
    let pool = pool.backend(Recorded::mute(&["loading the model", "still loading"])).start().unwrap();
    let error = soon(pool.call(nothing::task())).await.unwrap_err();
    let report = error.boot_report().expect("boots are the reason");
    assert_eq!(report.phase, BootPhase::Joining);
    assert!(matches!(report.cause, BootCause::TimedOut(time) if time == limit), "{report}");
    assert_eq!(report.log, ["loading the model", "still loading"]);
    assert!(!error.may_have_run() && error.runner().is_none());
}

#[test]
fn all_that_is_wrong_with_a_pool_comes_in_one_error() {
    let cap = SharedCap::new(0);
    let wrong = Pool::builder("Wrong!").min(1).shared_cap(&cap).idle_check(Duration::ZERO, may_go::task());
    let wrong = wrong.link(LinkConfig::default().with_lease(Duration::ZERO).with_mtu(0));
    let Err(PoolError::Settings(wrong)) = wrong.start() else { panic!("it must not start") };
    let text = wrong.to_string();
    for part in ["Wrong!", "shared cap is 0", "above the shared cap", "idle_check", "lease", "mtu"] {
        assert!(text.contains(part), "{part:?} is missing from {text:?}");
    }
    assert_eq!(wrong.problems().len(), 5, "{text}");
}
