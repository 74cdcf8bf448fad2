//! A child starts actors of its own on its runner, and everybody can reach them.

use flame_actor::DownReason;
use flame_tests::{support::soon, tests};

use crate::{
    actors::{Note, Notes, Shelf, StartOne, place_and_stop, write},
    pool,
};

tests![
    an_actor_that_a_child_starts_beside_it_is_reached_from_everywhere,
    a_child_that_a_runner_has_placed_is_stopped_with_its_reason,
];

async fn an_actor_that_a_child_starts_beside_it_is_reached_from_everywhere() {
    let (a, b) = (pool("beside-a"), pool("beside-b"));
    let shelf = a.place_child(Shelf::default()).await.unwrap();
    let journal = soon(shelf.send(StartOne)).await.unwrap();
    let (notes, there, elsewhere) = soon(b.call(write::task(journal.clone(), 3))).await.unwrap();
    assert_eq!(notes, [0, 1, 2]);
    let (_, same, on_its_runner) = soon(a.call(write::task(journal.clone(), 0))).await.unwrap();
    assert!(there == same && there == on_its_runner && there != elsewhere);
    soon(journal.send(Note(3))).await.unwrap();
    assert_eq!(soon(journal.send(Notes)).await.unwrap(), (vec![0, 1, 2, 3], there));
    // Its child does not own it.
    drop(shelf);
    soon(journal.send(Note(4))).await.unwrap();
}

async fn a_child_that_a_runner_has_placed_is_stopped_with_its_reason() {
    let (a, b) = (pool("stopped-a"), pool("stopped-b"));
    let reason = soon(a.call(place_and_stop::task("stopped-b".into(), "enough".into()))).await.unwrap();
    assert_eq!(reason, DownReason::Shutdown { reason: "enough".into() });
    assert_eq!(b.inspect().held, 0);
}
