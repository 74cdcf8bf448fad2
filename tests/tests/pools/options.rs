//! Each option does what it says.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use flame_actor::{
    CallError, LinkConfig, Pool, PoolError, WorkPhase,
    backend::{Backend, Boot, BootError, BoxFuture, Instance, ProcessBackend, Resources},
    pool::machine::Failure,
    task,
};
use flame_tests::{
    Add, Counter, process_id,
    support::{Fleet, Gate, Process, soon, until},
    tests,
};

use crate::builder;

tests![
    an_idle_runner_goes_only_when_the_check_that_runs_on_it_agrees,
    a_runner_does_no_more_at_a_time_than_max_concurrency,
    a_single_use_runner_serves_one_call_or_child_and_goes,
    one_time_limit_covers_the_queue_the_boot_and_the_execution,
    a_call_may_have_a_time_limit_of_its_own,
    work_that_outlasts_the_shutdown_timeout_is_ended,
    an_idle_runner_goes_after_its_time_and_never_means_never,
    the_runners_of_min_go_after_their_own_time_and_come_back_with_the_next_call,
    beyond_max_queue_a_call_fails_at_once,
    wrong_settings_fail_all_in_one_when_the_pool_is_built,
    resources_of_a_call_reach_the_backend_that_boots_its_process,
];

async fn an_idle_runner_goes_only_when_the_check_that_runs_on_it_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("may-go");
    let fleet = Fleet::new();
    let (time, asks) = (Duration::from_millis(100), folder.path().join("asks"));
    let check = may_go::task(flag.to_str().unwrap().to_owned(), asks.to_str().unwrap().to_owned());
    let pool = builder("checked").idle_check(time, check).backend(fleet.clone()).start().unwrap();
    let pid = soon(pool.call(process_id::task())).await.unwrap();
    // It is asked again and again, on the runner, and says no.
    let asked = || std::fs::read_to_string(&asks).unwrap_or_default();
    until("it was asked three times", || asked().lines().count() >= 3).await;
    assert!(asked().lines().all(|line| line == pid.to_string()));
    assert_eq!(soon(pool.call(process_id::task())).await.unwrap(), pid);
    std::fs::write(flag, "").unwrap();
    assert!(fleet.until_ended("checked-1").await.is_success());
}

/// Notes that it was asked, and by which process; yes when the flag is there.
#[task]
async fn may_go(flag: String, asks: String) -> bool {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(asks).unwrap();
    writeln!(file, "{}", std::process::id()).unwrap();
    std::fs::exists(flag).unwrap()
}

async fn a_runner_does_no_more_at_a_time_than_max_concurrency() {
    let pool = builder("slots").max_concurrency(3).start().unwrap();
    let mut gate = Gate::new();
    let child = pool.place_child(Counter(0)).await.unwrap();
    let calls: Vec<_> = (0..5).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    gate.arrivals(2).await;
    // A call that is past the queue comes to the gate before the answer to a later question.
    child.send(Add(1)).await.unwrap();
    assert!(gate.is_quiet(), "a child holds a slot as a call does");
    assert_eq!((pool.inspect().held, pool.inspect().waiting), (3, 3));
    drop(child);
    gate.arrival().await;
    gate.open();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
}

async fn a_single_use_runner_serves_one_call_or_child_and_goes() {
    let fleet = Fleet::new();
    let pool = builder("single").single_use(true).backend(fleet.clone()).start().unwrap();
    let first = soon(pool.call(process_id::task())).await.unwrap();
    Process::of(first).gone_within(Duration::from_secs(10)).await;
    let child = soon(pool.place_child(Counter(0))).await.unwrap();
    let second = fleet.pid_of(child.runner().name()).unwrap();
    assert_eq!(child.send(Add(1)).await.unwrap(), 1);
    drop(child);
    Process::of(second).gone_within(Duration::from_secs(10)).await;
    assert!(fleet.until_ended("single-1").await.is_success());
    assert!(fleet.until_ended("single-2").await.is_success());
}

async fn one_time_limit_covers_the_queue_the_boot_and_the_execution() {
    let limit = Duration::from_secs(2);
    let fleet = Fleet::new();
    let pool = builder("limit").max_concurrency(1).timeout(limit).backend(fleet.clone()).start().unwrap();
    let ends_in = |phase: WorkPhase, outcome: Result<u32, CallError>, took: Duration| {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, CallError::Timeout { limit: l, .. } if *l == limit), "{error:?}");
        assert_eq!(error.phase(), phase);
        assert_eq!(error.may_have_run(), phase == WorkPhase::Running);
        assert!((limit..limit + Duration::from_secs(3)).contains(&took), "{phase}: {took:?}");
    };

    fleet.hold();
    let start = Instant::now();
    let outcome = pool.call(process_id::task()).await;
    ends_in(WorkPhase::Booting, outcome, start.elapsed());
    fleet.release();
    soon(async { while pool.call(process_id::task()).await.is_err() {} }).await;

    let mut gate = Gate::new();
    let start = Instant::now();
    let running = actix::spawn(pool.call(gate.task()));
    gate.arrival().await;
    let queued = actix::spawn(pool.call(process_id::task()).timeout(limit / 2));
    let error = soon(queued).await.unwrap().unwrap_err();
    assert_eq!((error.phase(), error.may_have_run()), (WorkPhase::Queued, false), "{error:?}");
    let outcome = soon(running).await.unwrap();
    ends_in(WorkPhase::Running, outcome, start.elapsed());
    until("the slot is free", || pool.inspect().held == 0).await;
}

async fn a_call_may_have_a_time_limit_of_its_own() {
    let pool = builder("own-limit").timeout(Duration::from_millis(50)).start().unwrap();
    // A boot alone takes longer than what the pool allows.
    soon(pool.call(process_id::task()).timeout(Duration::from_secs(20))).await.unwrap();
    soon(pool.call(process_id::task()).timeout(None)).await.unwrap();
    let gate = Gate::new();
    let limit = Duration::from_millis(300);
    let start = Instant::now();
    let error = soon(pool.call(gate.task()).timeout(limit)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { limit: l, .. } if l == limit), "{error:?}");
    assert!(start.elapsed() >= limit);
    let _child = soon(pool.place_child(Counter(0)).timeout(Duration::from_secs(20))).await.unwrap();
}

async fn work_that_outlasts_the_shutdown_timeout_is_ended() {
    let pool = builder("outlast").shutdown_timeout(Duration::from_millis(500)).start().unwrap();
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    let pid = gate.arrival().await;
    let start = Instant::now();
    soon(pool.stop()).await;
    assert!((Duration::from_millis(500)..Duration::from_secs(5)).contains(&start.elapsed()));
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::RunnerLost(_)) && error.may_have_run(), "{error:?}");
    assert!(Process::of(pid).is_gone());
}

async fn an_idle_runner_goes_after_its_time_and_never_means_never() {
    let fleet = Fleet::new();
    let time = Duration::from_millis(400);
    let pool = builder("idles").idle_shutdown_after(time).backend(fleet.clone()).start().unwrap();
    let stays = builder("stays").idle_shutdown_after(None).start().unwrap();
    let other = soon(stays.call(process_id::task())).await.unwrap();
    let pid = soon(pool.call(process_id::task())).await.unwrap();
    let idle = Instant::now();
    Process::of(pid).gone_within(Duration::from_secs(10)).await;
    assert!(idle.elapsed() >= time, "{:?}", idle.elapsed());
    assert!(fleet.until_ended("idles-1").await.is_success());
    assert_eq!(soon(stays.call(process_id::task())).await.unwrap(), other);
}

async fn the_runners_of_min_go_after_their_own_time_and_come_back_with_the_next_call() {
    let fleet = Fleet::new();
    let pool = Pool::builder("asleep").min(2).max(3).min_idle_shutdown_after(Duration::from_millis(200));
    let pool = pool.idle_shutdown_after(Duration::from_millis(50)).backend(fleet.clone()).start().unwrap();
    fleet.until_boots(2).await;
    until("they sleep", || fleet.live() == 0 && fleet.boots() == 2).await;
    assert_eq!(pool.inspect().kept, 0);
    soon(pool.call(process_id::task())).await.unwrap();
    fleet.until_boots(4).await;
}

async fn beyond_max_queue_a_call_fails_at_once() {
    let pool = builder("queue").max_concurrency(1).max_queue(2).start().unwrap();
    let mut gate = Gate::new();
    let running = actix::spawn(pool.call(gate.task()));
    gate.arrival().await;
    let waiting: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(gate.task()))).collect();
    until("two wait", || pool.inspect().waiting == 2).await;
    let start = Instant::now();
    let error = pool.call(gate.task()).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(matches!(error, CallError::NotPlaced(Failure::QueueFull { max_queue: 2 })), "{error:?}");
    assert!(!error.may_have_run());
    let refused = pool.place_child(Counter(7)).await.unwrap_err();
    assert_eq!(refused.actor.map(|counter| counter.0), Some(7));
    gate.open();
    soon(running).await.unwrap().unwrap();
    for call in waiting {
        soon(call).await.unwrap().unwrap();
    }
}

async fn wrong_settings_fail_all_in_one_when_the_pool_is_built() {
    let fleet = Fleet::new();
    let built = Pool::builder("Not a name!")
        .min(5)
        .max(0)
        .max_concurrency(0)
        .timeout(Duration::ZERO)
        .boot_timeout(Duration::ZERO)
        .link(LinkConfig::default().with_lease(Duration::ZERO))
        .backend(fleet.clone())
        .start();
    let Err(PoolError::Settings(wrong)) = built else { panic!("it was built: {built:?}") };
    assert!(wrong.problems().len() >= 7, "{wrong}");
    for option in ["Not a name!", "max", "min", "max_concurrency", "timeout", "boot_timeout", "lease"] {
        assert!(wrong.to_string().contains(option), "{option} is not in: {wrong}");
    }
    assert_eq!(fleet.boots(), 0);
}

/// Starts each process with what it is to have, as a backend with containers would.
struct Sized;

impl Backend for Sized {
    fn name(&self) -> &str {
        "sized"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let memory = boot.resources.memory().unwrap_or_default();
        ProcessBackend::new().env(MEMORY, memory.to_string()).boot(boot)
    }
}

const MEMORY: &str = "FLAME_TESTS_MEMORY";

/// What the runner was given, and which process it is.
#[task]
async fn given() -> (String, u32) {
    (std::env::var(MEMORY).unwrap_or_default(), std::process::id())
}

async fn resources_of_a_call_reach_the_backend_that_boots_its_process() {
    let memory = |mebibytes: u64| Resources::builder().memory(mebibytes << 20).build().unwrap();
    let fleet = Fleet::of(Sized);
    let pool = builder("sized").max(2).resources(memory(64)).backend(fleet.clone()).start().unwrap();
    let (small, first) = soon(pool.call(given::task())).await.unwrap();
    let (large, second) = soon(pool.call(given::task()).resources(memory(512))).await.unwrap();
    assert_eq!((small, large), ((64 << 20).to_string(), (512 << 20).to_string()));
    assert_ne!(first, second, "a runner has what it was booted with");
    assert_eq!(soon(pool.call(given::task()).resources(memory(64))).await.unwrap().1, first);
    assert_eq!(soon(pool.call(given::task()).resources(memory(512))).await.unwrap().1, second);
    assert_eq!(fleet.boots(), 2);
}
