//! A runner that has to go, and the supervised children on it.

use std::time::Duration;

use flame_actor::Restart;
use flame_tests::{
    scribe::{Act, Deed, Scribe, Write},
    support::{Process, signal, soon},
    tests,
};
use rustix::process::Signal;

use crate::{builder, start};

tests![
    the_supervised_children_of_a_runner_that_is_told_to_go_are_placed_elsewhere_before_it_goes,
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
