//! Restarts: on another runner, at one address, one incarnation at a time.

use std::time::{Duration, Instant};

use flame_actor::{Between, DownReason, Restart, SendError, backend::ProcessBackend, dead_letters};
use flame_tests::{
    scribe::{Act, Do, Scribe, Write, WriteTo},
    support::{Process, is_alive, signal, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{builder, start, until_it};

tests![
    a_permanent_child_goes_on_at_its_address_on_a_runner_that_the_pool_boots_for_it,
    messages_sent_between_two_incarnations_wait_in_order,
    messages_that_meet_an_incarnation_which_has_just_ended_go_to_the_next_one_in_order,
    messages_that_meet_an_incarnation_which_has_just_ended_are_refused_where_the_user_wants_that,
    tells_under_way_to_a_lost_runner_are_dead_letters_of_the_parent,
    messages_between_two_incarnations_are_refused_where_the_user_wants_that,
    no_more_messages_wait_between_two_incarnations_than_the_user_wants,
    the_first_restart_waits_for_nothing_and_the_next_ones_ever_longer,
    an_ask_under_way_to_a_lost_runner_fails_and_is_not_repeated,
    the_next_incarnation_starts_from_the_last_snapshot,
    a_snapshot_that_is_published_last_is_not_lost,
    a_transient_child_is_started_again_after_a_panic_and_not_after_a_stop,
    a_temporary_child_is_never_started_again,
    a_paused_runner_is_gone_before_the_next_incarnation_starts,
    a_runner_that_nobody_can_end_is_replaced_when_its_lease_is_over_for_certain,
    a_lifetime_spans_all_incarnations,
    a_child_is_started_again_on_the_same_runner_when_only_the_child_has_ended,
];

async fn a_permanent_child_goes_on_at_its_address_on_a_runner_that_the_pool_boots_for_it() {
    let pool = builder("again").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    assert_eq!(child.send(Write { sender: 0, number: 0 }).await.unwrap(), first);
    let (address, before) = (child.addr(), child.runner());
    signal(first, Signal::KILL);
    // The witness is a reference in the child's spec.
    let (second, _) = start(&mut deeds).await;
    assert_ne!(second, first);
    assert_eq!(soon(address.send(Write { sender: 0, number: 1 })).await.unwrap(), second);
    assert_eq!(address, child.addr());
    assert_ne!(child.runner(), before);
}

async fn messages_sent_between_two_incarnations_wait_in_order() {
    let pool = builder("between").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let node = child.watch_node();
    signal(first, Signal::KILL);
    soon(node).await;
    let asks: Vec<_> = (0..100).map(|number| child.send(Write { sender: 1, number })).collect();
    for (number, ask) in asks.into_iter().enumerate() {
        let pid = soon(ask).await.unwrap();
        assert_ne!(pid, first);
        until_it(&mut deeds, Act::Wrote(1, number as u64)).await;
    }
}

async fn messages_that_meet_an_incarnation_which_has_just_ended_go_to_the_next_one_in_order() {
    let pool = builder("returned").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    start(&mut deeds).await;
    let (reader, mut read) = Scribe::new();
    // All of these are on the runner, or on their way, when the first incarnation ends.
    let blocked = child.send(Do::Block(Duration::from_millis(300)));
    let panicked = child.send(Do::Panic("on purpose".into()));
    let mut asks = Vec::new();
    let mut parcels = Vec::new();
    for number in 0..300 {
        match number % 3 {
            0 => child.do_send(Write { sender: 1, number }),
            1 => asks.push(child.send(Write { sender: 1, number })),
            // The reference in it comes back with it.
            _ => parcels.push(child.send(WriteTo { reader: reader.witness.clone(), number })),
        }
    }
    soon(blocked).await.unwrap();
    assert!(matches!(soon(panicked).await, Err(SendError::Panicked { .. })));
    start(&mut deeds).await;
    for number in (0..300).filter(|number| number % 3 != 2) {
        assert_eq!(soon(deeds.recv()).await.unwrap().act, Act::Wrote(1, number));
    }
    for ask in asks {
        soon(ask).await.unwrap();
    }
    for parcel in parcels {
        soon(parcel).await.unwrap();
    }
    for number in (0..300).filter(|number| number % 3 == 2) {
        assert_eq!(soon(read.recv()).await.unwrap().act, Act::Wrote(0, number));
    }
}

async fn messages_that_meet_an_incarnation_which_has_just_ended_are_refused_where_the_user_wants_that() {
    let pool = builder("sent-back").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(Restart::Permanent).between(Between::Refuse);
    let child = placing.await.unwrap();
    start(&mut deeds).await;
    child.do_send(Do::Block(Duration::from_millis(300)));
    child.do_send(Do::Panic("on purpose".into()));
    let behind = child.send(Write { sender: 1, number: 0 });
    assert!(matches!(soon(behind).await, Err(SendError::Restarting)));
    start(&mut deeds).await;
    // The parent hears of the start a moment after the child's witness.
    let again = async { while child.send(Write { sender: 1, number: 1 }).await.is_err() {} };
    soon(again).await;
    assert_eq!(soon(deeds.recv()).await.unwrap().act, Act::Wrote(1, 1));
}

async fn tells_under_way_to_a_lost_runner_are_dead_letters_of_the_parent() {
    let mut letters = dead_letters();
    let pool = builder("under-way").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let node = child.runner();
    child.do_send(Do::Block(Duration::from_secs(60)));
    (0..10).for_each(|number| child.do_send(Write { sender: 1, number }));
    signal(first, Signal::KILL);
    let letter = loop {
        let letter = soon(letters.next()).await.unwrap();
        if letter.node.as_ref() == Some(&node) {
            break letter;
        }
    };
    assert_eq!(letter.messages, 11, "{letter}");
    assert!(matches!(letter.reason.downcast_ref(), Some(SendError::NodeLost { .. })), "{letter}");
}

async fn messages_between_two_incarnations_are_refused_where_the_user_wants_that() {
    let pool = builder("refused").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(Restart::Permanent).between(Between::Refuse);
    let child = placing.await.unwrap();
    let (first, _) = start(&mut deeds).await;
    signal(first, Signal::KILL);
    let mut refused = 0;
    loop {
        match soon(child.send(Write { sender: 0, number: 0 })).await {
            Ok(pid) if pid != first => break,
            Err(SendError::Restarting) => refused += 1,
            // Before the loss is noticed.
            Ok(_) | Err(SendError::NodeLost { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(refused > 0);
}

async fn no_more_messages_wait_between_two_incarnations_than_the_user_wants() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    std::fs::write(&file, "").unwrap();
    let pool = builder("bounded").max(1).start().unwrap();
    let (mut scribe, mut deeds) = Scribe::new();
    scribe.awaits = Some(file.clone());
    let placing = pool.place_child(scribe).restart(Restart::Permanent).between(Between::Queue(3));
    let child = placing.await.unwrap();
    let (first, _) = start(&mut deeds).await;
    std::fs::remove_file(&file).unwrap();
    signal(first, Signal::KILL);
    // It is being started from here until the file is there.
    let (second, _) = start(&mut deeds).await;
    let mut asks: Vec<_> = (0..10).map(|number| child.send(Write { sender: 0, number })).collect();
    for refused in asks.split_off(3) {
        assert!(matches!(soon(refused).await, Err(SendError::Full)));
    }
    std::fs::write(&file, "").unwrap();
    for waited in asks {
        assert_eq!(soon(waited).await.unwrap(), second);
    }
}

async fn the_first_restart_waits_for_nothing_and_the_next_ones_ever_longer() {
    let pool = builder("backed-off").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(Restart::Permanent).intensity(3, Duration::from_secs(60));
    let child = placing.await.unwrap();
    start(&mut deeds).await;
    let mut waited = Vec::new();
    for number in 0..3 {
        soon(child.send(Write { sender: 0, number })).await.unwrap();
        child.do_send(Do::Panic("once more".into()));
        let wrote = soon(deeds.recv()).await.unwrap();
        assert_eq!(wrote.act, Act::Wrote(0, number));
        let started = loop {
            let deed = soon(deeds.recv()).await.unwrap();
            if deed.act == Act::Started(0) {
                break deed;
            }
        };
        waited.push(Duration::from_nanos(started.at - wrote.at));
    }
    let least = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(200)];
    assert!(waited.iter().zip(least).all(|(waited, least)| *waited >= least), "{waited:?}");
}

async fn an_ask_under_way_to_a_lost_runner_fails_and_is_not_repeated() {
    let pool = builder("once").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    child.do_send(Write { sender: 7, number: 1 });
    until_it(&mut deeds, Act::Wrote(7, 1)).await;
    let blocked = child.send(Do::Block(Duration::from_secs(60)));
    let behind = child.send(Write { sender: 7, number: 2 });
    signal(first, Signal::KILL);
    assert!(matches!(soon(blocked).await, Err(SendError::NodeLost { .. })));
    assert!(matches!(soon(behind).await, Err(SendError::NodeLost { .. })));
    start(&mut deeds).await;
    soon(child.send(Write { sender: 7, number: 3 })).await.unwrap();
    assert_eq!(soon(deeds.recv()).await.unwrap().act, Act::Wrote(7, 3));
}

async fn the_next_incarnation_starts_from_the_last_snapshot() {
    let pool = builder("snapshot").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, written) = start(&mut deeds).await;
    assert_eq!(written, 0);
    for number in 0..3 {
        child.send(Write { sender: 0, number }).await.unwrap();
    }
    child.send(Do::Publish).await.unwrap();
    child.send(Write { sender: 0, number: 3 }).await.unwrap();
    signal(first, Signal::KILL);
    assert_eq!(start(&mut deeds).await.1, 3);
    // And so does the one after that.
    child.do_send(Do::Panic("again".into()));
    assert_eq!(start(&mut deeds).await.1, 3);
}

async fn a_snapshot_that_is_published_last_is_not_lost() {
    let pool = builder("last-words").max(1).start().unwrap();
    let (mut scribe, mut deeds) = Scribe::new();
    scribe.written = vec![1; 20_000];
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    start(&mut deeds).await;
    child.do_send(Write { sender: 0, number: 0 });
    child.do_send(Do::Publish);
    child.do_send(Do::Panic("right behind it".into()));
    assert_eq!(start(&mut deeds).await.1, 20_001);
}

async fn a_transient_child_is_started_again_after_a_panic_and_not_after_a_stop() {
    let pool = builder("transient").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Transient).await.unwrap();
    start(&mut deeds).await;
    child.do_send(Do::Panic("badly".into()));
    start(&mut deeds).await;
    let watch = child.watch();
    // Its start is told when it starts, its address a moment later.
    soon(child.send(Write { sender: 0, number: 0 })).await.unwrap();
    child.do_send(Do::Stop);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
}

async fn a_temporary_child_is_never_started_again() {
    let pool = builder("temporary").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    let watch = child.watch();
    signal(pid, Signal::KILL);
    assert!(matches!(soon(watch).await.reason, DownReason::NodeLost { .. }));
    assert!(child.send(Write { sender: 0, number: 0 }).await.is_err());
}

async fn a_paused_runner_is_gone_before_the_next_incarnation_starts() {
    let pool = builder("paused").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let node = child.watch_node();
    signal(first, Signal::STOP);
    soon(node).await;
    let waits = child.send(Write { sender: 0, number: 0 });
    let second = soon(waits).await.unwrap();
    assert_ne!(second, first);
    assert!(!is_alive(first), "the paused runner is there, and could go on");
}

async fn a_runner_that_nobody_can_end_is_replaced_when_its_lease_is_over_for_certain() {
    // The lease of these pools, and what a runner may take to end its work then.
    const CERTAIN: Duration = Duration::from_secs(3 + 5);
    let stubborn = ProcessBackend::new().grace(Duration::from_secs(60));
    let pool = builder("leased").max(2).backend(stubborn).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let process = Process::of(first);
    let paused = Instant::now();
    signal(first, Signal::STOP);
    // It does not handle this one, nor does the next.
    let under_way = child.send(Write { sender: 0, number: 0 });
    let (second, _) = start(&mut deeds).await;
    // It was heard last one ping before it was paused, at the earliest.
    assert!(paused.elapsed() >= CERTAIN - Duration::from_secs(1), "{:?}", paused.elapsed());
    assert!(is_alive(first) && second != first);
    assert!(soon(under_way).await.is_err());
    assert_eq!(soon(child.send(Write { sender: 0, number: 1 })).await.unwrap(), second);
    signal(first, Signal::CONT);
    process.gone_within(Duration::from_secs(5)).await;
    assert_eq!(soon(deeds.recv()).await.unwrap().act, Act::Wrote(0, 1));
    assert!(deeds.try_recv().is_err(), "the first was heard");
}

async fn a_lifetime_spans_all_incarnations() {
    let lifetime = Duration::from_secs(3);
    let pool = builder("lifetime").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(Restart::Permanent).lifetime(lifetime);
    let child = placing.await.unwrap();
    let (pid, _) = start(&mut deeds).await;
    let watch = child.watch();
    // Most of it passes in the first incarnation.
    tokio::time::sleep(lifetime - Duration::from_secs(1)).await;
    signal(pid, Signal::KILL);
    let killed = Instant::now();
    assert_eq!(soon(watch).await.reason, DownReason::Deadline { lifetime });
    // With the second it began anew if it takes as long as this.
    assert!(killed.elapsed() < lifetime, "{:?}", killed.elapsed());
}

async fn a_child_is_started_again_on_the_same_runner_when_only_the_child_has_ended() {
    let pool = builder("same").max(1).start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let child = pool.place_child(scribe).restart(Restart::Permanent).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    child.do_send(Do::Panic("only I".into()));
    assert_eq!(start(&mut deeds).await.0, first);
    until("it holds one slot", || pool.inspect().held == 1).await;
    drop(child);
    until("the slot is free", || pool.inspect().held == 0).await;
    drop(pool);
    Process::of(first).gone_within(Duration::from_secs(10)).await;
}
