//! Boots that are cut short, in each phase. (3, 36)

use std::{
    net::UdpSocket,
    sync::Arc,
    time::{Duration, Instant},
};

use flame_actor::{
    CallError, Pool,
    backend::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance, ProcessBackend},
};
use flame_tests::{
    process_id,
    support::{Fleet, Process, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{builder, words};

tests![
    a_boot_killed_before_it_knows_its_role_is_made_up_for,
    a_boot_killed_at_any_moment_is_made_up_for,
    boots_that_always_fail_tell_why_before_the_deadline_and_back_off,
    a_boot_that_never_joins_is_ended_and_leaves_nothing,
    a_runner_that_never_reaches_its_parent_exits_and_says_why,
];

/// The app, after a shell that waits for a line of its own first: a boot that stays in its first phase.
fn sluggish(wait: &str) -> ProcessBackend {
    let app = std::env::current_exe().unwrap();
    ProcessBackend::command("sh").args(["-c", &format!("{wait}; exec \"$0\"")]).arg(app)
}

async fn a_boot_killed_before_it_knows_its_role_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", flag.display());
    let fleet = Fleet::of(sluggish(&wait));
    let pool = builder("early").max_concurrency(2).backend(fleet.clone()).start().unwrap();
    let calls: Vec<_> = (0..2).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    until("the shell is there", || fleet.pids().len() == 1).await;
    Process::of(fleet.pids()[0]).signal(Signal::KILL);
    fleet.until_boots(2).await;
    std::fs::write(flag, "").unwrap();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!((fleet.boots(), fleet.most()), (2, 1));
}

async fn a_boot_killed_at_any_moment_is_made_up_for() {
    let fleet = Fleet::new();
    // As long as a boot takes here, roughly, so that the kills fall into all of its phases.
    let pool = Pool::builder("whole").max(1).backend(fleet.clone()).start().unwrap();
    let begun = Instant::now();
    soon(pool.call(process_id::task())).await.unwrap();
    let boot = begun.elapsed();
    soon(pool.stop()).await;

    let rounds = 12;
    for round in 0..rounds {
        let fleet = Fleet::new();
        let pool = Pool::builder(format!("cut-{round}")).max(1).backend(fleet.clone()).start().unwrap();
        let call = actix::spawn(pool.call(process_id::task()));
        until("the process is there", || !fleet.pids().is_empty()).await;
        let pid = fleet.pids()[0];
        tokio::time::sleep(boot * round / rounds).await;
        Process::of(pid).signal(Signal::KILL);
        // The pool knows of the kill as soon as this test does.
        fleet.until_ended(&format!("cut-{round}-1")).await;
        match soon(call).await.unwrap() {
            Ok(other) => assert!(other != pid || fleet.boots() == 1, "{round}"),
            // It had joined, and got the call.
            Err(CallError::RunnerLost(_)) => {}
            Err(error) => panic!("{round}: {error:?}"),
        }
        until("its loss is known", || pool.inspect().runners.iter().all(|runner| runner.runner.0 > 1)).await;
        assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), pid);
        assert_eq!(fleet.most(), 1);
        soon(pool.stop()).await;
        assert_eq!(fleet.live(), 0);
    }
}

async fn boots_that_always_fail_tell_why_before_the_deadline_and_back_off() {
    let fleet = Fleet::new();
    fleet.fail(usize::MAX);
    fleet.hold();
    let limit = Duration::from_secs(4);
    let pool = Pool::builder("hopeless")
        .max(4)
        .max_concurrency(25)
        .timeout(limit)
        .backend(fleet.clone())
        .start()
        .unwrap();
    let begun = Instant::now();
    let calls: Vec<_> = (0..100).map(|_| actix::spawn(pool.call(process_id::task()))).collect();
    fleet.until_boots(4).await;
    fleet.release();
    for call in calls {
        let error = soon(call).await.unwrap().unwrap_err();
        assert!(words(&error).contains("this boot was to fail"), "{error:?}");
    }
    assert!(begun.elapsed() < limit, "they are told as soon as no boot can help: {:?}", begun.elapsed());
    // All four at once; then one after 0.1 to 0.2 s, one after 0.2 to 0.4 s more, and so on.
    assert!((6..=10).contains(&fleet.boots()), "{}", fleet.boots());
    assert_eq!(fleet.live(), 0);
    // When boots work again, so does the pool.
    fleet.fail(0);
    soon(async { while pool.call(process_id::task()).await.is_err() {} }).await;
}

async fn a_boot_that_never_joins_is_ended_and_leaves_nothing() {
    let fleet = Fleet::of(ProcessBackend::command("sleep").arg("1000").grace(Duration::from_millis(200)));
    let boot_timeout = Duration::from_millis(500);
    let pool = builder("mute").boot_timeout(boot_timeout).timeout(Duration::from_secs(2));
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let call = actix::spawn(pool.call(process_id::task()));
    until("the process is there", || !fleet.pids().is_empty()).await;
    let first = Process::of(fleet.pids()[0]);
    first.gone_within(Duration::from_secs(5)).await;
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(words(&error).contains("did not join within 500ms"), "{error:?}");
    soon(pool.stop()).await;
    assert_eq!((fleet.live(), fleet.most()), (0, 1));
}

/// Sends its runners to where nobody answers, with little time.
struct Astray(UdpSocket);

impl Backend for Astray {
    fn name(&self) -> &str {
        "astray"
    }

    fn boot(&self, mut boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        boot.ticket.invitation.addresses = vec![self.0.local_addr().unwrap()];
        boot.ticket.invitation.valid_for = Duration::from_millis(500);
        ProcessBackend::new().boot(boot)
    }
}

async fn a_runner_that_never_reaches_its_parent_exits_and_says_why() {
    let fleet = Fleet::of(Astray(UdpSocket::bind("127.0.0.1:0").unwrap()));
    // The pool would wait for longer.
    let pool = builder("astray").boot_timeout(Duration::from_secs(60)).timeout(Duration::from_secs(4));
    let pool = pool.backend(fleet.clone()).start().unwrap();
    let error = soon(pool.call(process_id::task())).await.unwrap_err();
    assert_eq!(fleet.until_ended("astray-1").await, ExitReason::Exited { code: 71 });
    for part in ["exited with code 71", "could not join"] {
        assert!(words(&error).contains(part), "{part:?} is not in: {}", words(&error));
    }
    assert!(!error.may_have_run());
}
