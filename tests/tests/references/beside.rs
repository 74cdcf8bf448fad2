//! A child starts actors of its own on its runner, and everybody can reach them.

use flame_tests::{support::soon, tests};

use crate::{
    actors::{Note, Notes, Shelf, StartOne, write},
    pool,
};

tests![an_actor_that_a_child_starts_beside_it_is_reached_from_everywhere];

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
