//! What a runner has placed by the pools of its parent.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::DownReason;
use flame_tests::{
    support::{begun, signal, soon, until},
    tests,
};
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::{
    actors::{
        Note, Notes, PlaceOne, Shelf, Shown, mourn, place_and_kill, place_and_stay, place_and_stop,
        place_for, place_for_others, write,
    },
    pool,
};

tests![
    a_child_places_a_child_on_a_third_node_which_is_reached_from_everywhere,
    a_runner_is_told_how_an_actor_and_its_node_on_another_were_lost,
    a_child_that_a_runner_has_placed_is_stopped_with_its_reason,
    a_child_that_a_runner_has_placed_is_started_again_at_its_address,
    a_supervised_child_that_a_runner_has_placed_and_detached_outlives_that_runner,
    a_supervised_child_that_a_runner_has_placed_goes_with_that_runner,
    a_child_that_a_runner_has_placed_ends_with_its_lifetime,
];

async fn a_child_places_a_child_on_a_third_node_which_is_reached_from_everywhere() {
    let (a, b, c) = (pool("first"), pool("second"), pool("third"));
    let shelf = a.place_child(Shelf::default()).await.unwrap();
    let journal = soon(shelf.send(PlaceOne("second".into()))).await.unwrap();
    let (notes, there, here) = soon(c.call(write::task(journal.clone(), 3))).await.unwrap();
    assert_eq!(notes, [0, 1, 2]);
    let (_, same, of_shelf) = soon(a.call(write::task(journal.clone(), 0))).await.unwrap();
    assert!(there == same && there != here && there != of_shelf && here != of_shelf);
    soon(journal.send(Note(3))).await.unwrap();
    assert_eq!(soon(journal.send(Notes)).await.unwrap(), (vec![0, 1, 2, 3], there));
    // It was detached from the child that had it placed.
    drop(shelf);
    soon(journal.send(Note(4))).await.unwrap();
    drop(journal);
    until("nobody has its address", || b.inspect().held == 0).await;
}

async fn a_runner_is_told_how_an_actor_and_its_node_on_another_were_lost() {
    let (a, b) = (pool("mourned"), pool("mourning"));
    let shelf = a.place_child(Shelf::default()).await.unwrap();
    let journal = soon(shelf.send(PlaceOne("mourned".into()))).await.unwrap();
    let (_, victim) = soon(journal.send(Notes)).await.unwrap();
    let (to, mut heard) = begun();
    let call = actix::spawn(b.call(mourn::task(journal, to)));
    assert_ne!(soon(heard.recv()).await.unwrap(), victim);
    signal(victim, Signal::KILL);
    let reasons = soon(call).await.unwrap().unwrap();
    assert!(reasons.iter().all(|reason| matches!(reason, DownReason::NodeLost { .. })), "{reasons:?}");
}

async fn a_child_that_a_runner_has_placed_is_stopped_with_its_reason() {
    let (a, b) = (pool("stopped-a"), pool("stopped-b"));
    // Again and again: that nobody has the child any more races the word of why it is to stop.
    for _ in 0..100 {
        let stopped = a.call(place_and_stop::task("stopped-b".into(), "enough".into()));
        assert_eq!(soon(stopped).await.unwrap(), DownReason::Shutdown { reason: "enough".into() });
    }
    until("its slot is free", || b.inspect().held == 0).await;
}

async fn a_child_that_a_runner_has_placed_is_started_again_at_its_address() {
    let (a, b) = (pool("keeper"), pool("kept"));
    let (first, second, end) = soon(a.call(place_and_kill::task("kept".into()))).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(end, DownReason::Shutdown { reason: "enough".into() });
    until("its slot is free", || b.inspect().held == 0).await;
}

async fn a_supervised_child_that_a_runner_has_placed_and_detached_outlives_that_runner() {
    let (a, b) = (pool("leaver"), pool("left"));
    let journal = soon(a.call(place_for_others::task("left".into()))).await.unwrap();
    a.stop().await;
    let (_, first) = soon(journal.send(Notes)).await.unwrap();
    let node = journal.watch_node();
    signal(first, Signal::KILL);
    soon(node).await;
    let (_, second) = soon(journal.send(Notes)).await.unwrap();
    assert_ne!(first, second);
    drop(journal);
    until("nobody has its address", || b.inspect().held == 0).await;
}

struct Viewer(mpsc::UnboundedSender<Shown>);

impl Actor for Viewer {
    type Context = Context<Self>;
}

impl Handler<Shown> for Viewer {
    type Result = ();
    fn handle(&mut self, shown: Shown, _: &mut Context<Self>) {
        let _ = self.0.send(shown);
    }
}

async fn a_supervised_child_that_a_runner_has_placed_goes_with_that_runner() {
    let (a, b) = (pool("owner"), pool("owned"));
    let (heard, mut shown) = mpsc::unbounded_channel();
    let to = Viewer(heard).start().recipient().into();
    let call = actix::spawn(a.call(place_and_stay::task("owned".into(), to)));
    let Shown(owner, journal) = soon(shown.recv()).await.unwrap();
    let watch = journal.watch();
    signal(owner, Signal::KILL);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    assert!(soon(call).await.unwrap().is_err());
    until("its slot is free", || b.inspect().held == 0).await;
}

async fn a_child_that_a_runner_has_placed_ends_with_its_lifetime() {
    let (a, _b) = (pool("timer"), pool("timed"));
    let lifetime = Duration::from_millis(200);
    let end = soon(a.call(place_for::task("timed".into(), lifetime))).await.unwrap();
    assert_eq!(end, DownReason::Deadline { lifetime });
}
