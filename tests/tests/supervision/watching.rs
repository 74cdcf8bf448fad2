//! Watch: one `Down` to each watcher, with the reason.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{Down, DownReason, Restart, backend::ExitReason};
use flame_tests::{
    process_id,
    scribe::{Do, Scribe, Write},
    support::{Process, signal, soon},
    tests,
};
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::{builder, start};

tests![
    each_watcher_of_a_child_hears_once_as_a_message_and_as_a_future,
    a_panic_is_told_with_its_message,
    the_loss_of_a_runner_is_told_with_the_backends_reason_to_watchers_of_child_and_node,
    a_watch_placed_after_the_loss_of_the_runner_is_told_of_it,
    a_watch_of_what_never_came_to_be_says_so,
    a_watch_placed_after_the_end_is_told_how_it_ended,
    a_child_killed_by_its_deadline_is_told_as_such,
    a_paused_runner_is_told_as_lost,
    the_word_of_an_end_is_not_held_up_by_a_full_lane,
    a_supervised_child_is_down_when_it_is_given_up_and_not_before,
];

struct Widow(mpsc::UnboundedSender<Down>);

impl Actor for Widow {
    type Context = Context<Self>;
}

impl Handler<Down> for Widow {
    type Result = ();

    fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        let _ = self.0.send(down);
    }
}

async fn each_watcher_of_a_child_hears_once_as_a_message_and_as_a_future() {
    let pool = builder("watch").start().unwrap();
    let child = pool.place_child(Scribe::new().0).await.unwrap();
    let (heard, mut downs) = mpsc::unbounded_channel();
    let widow = Widow(heard).start();
    let (future, first) = (child.watch(), child.watch_with(widow.clone().recipient()));
    let second = child.watch_with(widow.recipient());
    child.do_send(Do::Stop);
    assert_eq!(soon(future).await.reason, DownReason::Stopped);
    let told = [soon(downs.recv()).await.unwrap(), soon(downs.recv()).await.unwrap()];
    assert!(told.iter().all(|down| down.reason == DownReason::Stopped), "{told:?}");
    assert!(told.iter().any(|down| down.watch == first) && told.iter().any(|down| down.watch == second));
    pool.stop().await;
    assert!(downs.try_recv().is_err(), "heard twice");
}

async fn a_panic_is_told_with_its_message() {
    let pool = builder("watch-panic").start().unwrap();
    let child = pool.place_child(Scribe::new().0).await.unwrap();
    let watch = child.watch();
    child.do_send(Do::Panic("out of ink".into()));
    assert_eq!(soon(watch).await.reason, DownReason::Panicked { message: "out of ink".into() });
}

async fn the_loss_of_a_runner_is_told_with_the_backends_reason_to_watchers_of_child_and_node() {
    let pool = builder("watch-kill").start().unwrap();
    let child = pool.place_child(Scribe::new().0).await.unwrap();
    let pid = child.send(Write { sender: 0, number: 0 }).await.unwrap();
    let (of_child, of_node) = (child.watch(), child.watch_node());
    let (heard, mut downs) = mpsc::unbounded_channel();
    let widow = Widow(heard).start().recipient();
    let by_message = [child.watch_with(widow.clone()), child.watch_node_with(widow)];
    let killed = Instant::now();
    signal(pid, Signal::KILL);
    for watch in [of_child, of_node] {
        let reason = soon(watch).await.reason;
        let DownReason::NodeLost { exit, .. } = &reason else { panic!("{reason:?}") };
        assert!(matches!(exit, Some(ExitReason::Signaled { signal: 9, .. })), "{reason:?}");
    }
    let told = [soon(downs.recv()).await.unwrap(), soon(downs.recv()).await.unwrap()];
    assert!(by_message.iter().all(|id| told.iter().any(|down| down.watch == *id)), "{told:?}");
    assert!(told.iter().all(|down| matches!(down.reason, DownReason::NodeLost { .. })), "{told:?}");
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
}

async fn a_watch_placed_after_the_loss_of_the_runner_is_told_of_it() {
    let pool = builder("watch-late").start().unwrap();
    let child = pool.place_child(Scribe::new().0).await.unwrap();
    let pid = child.send(Write { sender: 0, number: 0 }).await.unwrap();
    let early = child.watch();
    signal(pid, Signal::KILL);
    let early = soon(early).await.reason;
    assert_eq!(soon(child.watch()).await.reason, early);
    assert_eq!(soon(child.watch_node()).await.reason, early);
}

async fn a_watch_of_what_never_came_to_be_says_so() {
    let pool = builder("watch-never").start().unwrap();
    pool.stop().await;
    for restart in [Restart::Temporary, Restart::Permanent] {
        let never = pool.place_child(Scribe::new().0).restart(restart).addr();
        let (heard, mut downs) = mpsc::unbounded_channel();
        let widow = Widow(heard).start().recipient();
        let early = [never.watch(), never.watch_node()];
        never.watch_with(widow.clone());
        never.watch_node_with(widow);
        for watch in early {
            let reason = soon(watch).await.reason;
            assert!(matches!(reason, DownReason::NotStarted { .. }), "{reason:?}");
        }
        for _ in 0..2 {
            let reason = soon(downs.recv()).await.unwrap().reason;
            assert!(matches!(reason, DownReason::NotStarted { .. }), "{reason:?}");
        }
        for late in [never.watch(), never.watch_node()] {
            let reason = soon(late).await.reason;
            assert!(matches!(reason, DownReason::NotStarted { .. }), "{reason:?}");
        }
        assert!(downs.try_recv().is_err(), "heard twice");
    }
}

async fn a_watch_placed_after_the_end_is_told_how_it_ended() {
    let pool = builder("watch-ended").start().unwrap();
    for restart in [Restart::Temporary, Restart::Transient] {
        let child = pool.place_child(Scribe::new().0).restart(restart).await.unwrap();
        let first = child.watch();
        child.do_send(Do::Stop);
        assert_eq!(soon(first).await.reason, DownReason::Stopped, "{restart:?}");
        assert_eq!(soon(child.watch()).await.reason, DownReason::Stopped, "{restart:?}");
        let (heard, mut downs) = mpsc::unbounded_channel();
        let id = child.watch_with(Widow(heard).start().recipient());
        let down = soon(downs.recv()).await.unwrap();
        assert_eq!((down.watch, down.reason), (id, DownReason::Stopped), "{restart:?}");
    }
}

async fn a_child_killed_by_its_deadline_is_told_as_such() {
    let lifetime = Duration::from_millis(300);
    let pool = builder("watch-time").start().unwrap();
    // It cannot have started before.
    let started = Instant::now();
    let child = pool.place_child(Scribe::new().0).lifetime(lifetime).await.unwrap();
    let watch = child.watch();
    // Not even one that does not want to.
    child.do_send(Do::Resist);
    assert_eq!(soon(watch).await.reason, DownReason::Deadline { lifetime });
    assert!(started.elapsed() >= lifetime, "{:?}", started.elapsed());
    pool.call(process_id::task()).await.unwrap();
    assert_eq!(pool.inspect().held, 0);
}

async fn a_paused_runner_is_told_as_lost() {
    let pool = builder("watch-pause").start().unwrap();
    let child = pool.place_child(Scribe::new().0).await.unwrap();
    let pid = child.send(Write { sender: 0, number: 0 }).await.unwrap();
    let watch = child.watch();
    signal(pid, Signal::STOP);
    let reason = soon(watch).await.reason;
    assert!(matches!(reason, DownReason::NodeLost { .. }), "{reason:?}");
    Process::of(pid).gone_within(Duration::from_secs(10)).await;
}

async fn the_word_of_an_end_is_not_held_up_by_a_full_lane() {
    let pool = builder("watch-full").max(1).start().unwrap();
    let (ending, full) =
        (pool.place_child(Scribe::new().0).await.unwrap(), pool.place_child(Scribe::new().0).own_arbiter());
    let full = full.await.unwrap();
    let watch = ending.watch();
    full.do_send(Do::Block(Duration::from_secs(20)));
    let mut taken = 0;
    while full.try_send(Do::Panic("x".repeat(10_000))).is_ok() {
        taken += 1;
    }
    assert!(taken > 10, "{taken} messages fill the lane");
    let stopped = Instant::now();
    drop(ending);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
}

async fn a_supervised_child_is_down_when_it_is_given_up_and_not_before() {
    let pool = builder("watch-given-up").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(flame_actor::Restart::Permanent);
    let child = placing.intensity(1, Duration::from_secs(60)).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    let mut watch = child.watch();
    signal(pid, Signal::KILL);
    start(&mut deeds).await;
    tokio::select! {
        biased;
        down = &mut watch => panic!("{down:?}"),
        written = child.send(Write { sender: 0, number: 1 }) => assert!(written.is_ok()),
    }
    child.do_send(Do::Panic("once more".into()));
    assert_eq!(soon(watch).await.reason, DownReason::Panicked { message: "once more".into() });
    assert_eq!(soon(child.watch()).await.reason, DownReason::Panicked { message: "once more".into() });
    assert!(child.send(Write { sender: 0, number: 2 }).await.is_err());
}
