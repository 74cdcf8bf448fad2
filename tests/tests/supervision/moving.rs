//! A runner that has to go, and the supervised children on it.

use std::time::Duration;

use flame_actor::{Restart, pool::machine::RunnerPhase};
use flame_tests::{
    scribe::{Act, Deed, Scribe, Write},
    support::{Gate, Process, signal, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{builder, start, until_it};

tests![
    the_supervised_children_of_a_runner_that_is_told_to_go_are_placed_elsewhere_before_it_goes,
    the_supervised_children_beyond_a_lower_max_are_placed_elsewhere_before_their_runner_goes,
    a_child_that_is_starting_when_its_runner_is_told_to_go_moves_as_soon_as_it_has_started,
    no_message_is_lost_repeated_or_overtaken_by_a_move,
];

async fn the_supervised_children_of_a_runner_that_is_told_to_go_are_placed_elsewhere_before_it_goes() {
    let pool = builder("moved").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    // A move is no restart, of which there are to be none.
    let placing = pool.place_child(scribe).restart(Restart::Permanent).intensity(0, Duration::from_secs(60));
    let child = placing.await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let process = Process::of(first);
    signal(first, Signal::TERM);
    // In order, and not with the runner.
    assert_eq!(until_it(&mut deeds, Act::Stopped).await, first);
    let (second, _) = start(&mut deeds).await;
    assert_ne!(second, first);
    assert_eq!(soon(child.send(Write { sender: 0, number: 0 })).await.unwrap(), second);
    process.gone_within(Duration::from_secs(10)).await;
}

async fn the_supervised_children_beyond_a_lower_max_are_placed_elsewhere_before_their_runner_goes() {
    let pool = builder("lowered").max(2).max_concurrency(2).start().unwrap();
    let place =
        |scribe| pool.place_child(scribe).restart(Restart::Permanent).intensity(0, Duration::from_secs(60));
    let (scribe, mut deeds) = Scribe::new();
    let _stays = place(scribe).await.unwrap();
    let (first, _) = start(&mut deeds).await;
    // The other slot is taken while the second child is placed.
    let mut gate = Gate::new();
    let call = actix::spawn(pool.call(gate.task()));
    assert_eq!(gate.arrival().await, first);
    let (scribe, mut moved) = Scribe::new();
    let child = place(scribe).await.unwrap();
    let (second, _) = start(&mut moved).await;
    assert_ne!(second, first);
    gate.open();
    soon(call).await.unwrap().unwrap();
    pool.resize(0, 1).unwrap();
    assert_eq!(start(&mut moved).await.0, first);
    assert_eq!(soon(child.send(Write { sender: 0, number: 0 })).await.unwrap(), first);
    Process::of(second).gone_within(Duration::from_secs(10)).await;
    assert!(deeds.try_recv().is_err(), "the one on the runner that stays has not moved");
}

async fn a_child_that_is_starting_when_its_runner_is_told_to_go_moves_as_soon_as_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = builder("moved-early").start().unwrap();
    let (mut scribe, mut deeds) = Scribe::new();
    scribe.awaits = Some(file.clone());
    let mut placing =
        pool.place_child(scribe).restart(Restart::Permanent).intensity(0, Duration::from_secs(60));
    let early = placing.addr().send(Write { sender: 0, number: 0 });
    let placing = actix::spawn(placing);
    let (first, _) = start(&mut deeds).await;
    let process = Process::of(first);
    signal(first, Signal::TERM);
    let drains = || pool.inspect().runners.iter().any(|r| matches!(r.phase, RunnerPhase::Draining));
    until("the pool knows that the runner goes", drains).await;
    std::fs::write(file, "").unwrap();
    let child = soon(placing).await.unwrap().unwrap();
    assert_eq!(soon(early).await.unwrap(), first, "what has waited for the start");
    assert_eq!(until_it(&mut deeds, Act::Stopped).await, first);
    let (second, _) = start(&mut deeds).await;
    assert_ne!(second, first);
    assert_eq!(soon(child.send(Write { sender: 0, number: 0 })).await.unwrap(), second);
    process.gone_within(Duration::from_secs(10)).await;
}

async fn no_message_is_lost_repeated_or_overtaken_by_a_move() {
    let pool = builder("moved-busy").start().unwrap();
    let (scribe, mut deeds) = Scribe::new();
    let placing = pool.place_child(scribe).restart(Restart::Permanent).intensity(0, Duration::from_secs(60));
    let child = placing.await.unwrap();
    let (first, _) = start(&mut deeds).await;
    let mut asks = Vec::new();
    for number in 0..600 {
        asks.push(child.send(Write { sender: 0, number }));
        if number == 200 {
            signal(first, Signal::TERM);
        }
        // The senders go on while the child moves.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut pids = Vec::new();
    for ask in asks {
        pids.push(soon(ask).await.unwrap());
    }
    pids.dedup();
    assert_eq!(pids.len(), 2, "{pids:?}");
    // What two runners report comes over two links; each deed says when it was done.
    let mut written = Vec::new();
    while written.len() < 600 {
        if let Deed { at, act: Act::Wrote(_, number), .. } = soon(deeds.recv()).await.unwrap() {
            written.push((at, number));
        }
    }
    written.sort_unstable();
    assert!(written.iter().map(|(_, number)| *number).eq(0..600), "{written:?}");
}
