//! Two runners know each other's actors through their parent.

use std::time::Duration;

use flame_tests::{
    process_id,
    support::{begun, is_alive, resident_bytes, signal, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{
    actors::{Journal, Keep, Notes, Shelf, Sponge, pour, write, write_and_give_up, write_until_lost},
    pool,
};

tests![
    a_runner_sends_to_an_actor_of_another_once_and_in_order,
    the_loss_of_a_runner_is_a_typed_error_on_the_one_that_knew_its_actor,
    a_killed_runner_gives_back_what_it_knew_of_another,
    what_a_slow_actor_has_not_handled_does_not_pile_up_in_the_parent,
    an_ask_that_one_runner_gives_up_never_reaches_the_other,
];

async fn a_runner_sends_to_an_actor_of_another_once_and_in_order() {
    let (a, b) = (pool("order-a"), pool("order-b"));
    let journal = a.place_child(Journal::default()).await.unwrap();
    let (notes, there, here) = soon(b.call(write::task(journal.addr(), 10_000))).await.unwrap();
    assert_eq!(notes, (0..10_000).collect::<Vec<_>>());
    let processes = [there, here, std::process::id()];
    assert!(processes.iter().collect::<std::collections::HashSet<_>>().len() == 3, "{processes:?}");
}

async fn the_loss_of_a_runner_is_a_typed_error_on_the_one_that_knew_its_actor() {
    let (a, b) = (pool("lost-a"), pool("lost-b"));
    let journal = a.place_child(Journal::default()).await.unwrap();
    let (_, victim) = journal.send(Notes).await.unwrap();
    let (to, mut heard) = begun();
    let call = actix::spawn(b.call(write_until_lost::task(journal.addr(), to)));
    let other = soon(heard.recv()).await.unwrap();
    assert_ne!(other, victim);
    signal(victim, Signal::KILL);
    let (first, last) = soon(call).await.unwrap().unwrap();
    // Under way at that moment, or not taken any more.
    assert!(first.contains("NodeLost"), "{first}");
    assert!(last.contains("NodeLost") && last.contains("lost-a-1"), "{last}");
    assert_eq!(b.call(process_id::task()).await.unwrap(), other, "nothing has happened to it");
}

async fn a_killed_runner_gives_back_what_it_knew_of_another() {
    let (a, b) = (pool("kept-a"), pool("kept-b"));
    let journal = a.place_child(Journal::default()).await.unwrap();
    let shelf = b.place_child(Shelf::default()).await.unwrap();
    let pid = soon(shelf.send(Keep(journal.addr()))).await.unwrap();
    // Nobody but the shelf has its address now.
    std::mem::drop(journal.detach());
    a.call(process_id::task()).await.unwrap();
    assert_eq!(a.inspect().held, 1);
    signal(pid, Signal::KILL);
    until("the journal has stopped", || a.inspect().held == 0).await;
    assert!(!is_alive(pid));
}

async fn what_a_slow_actor_has_not_handled_does_not_pile_up_in_the_parent() {
    const DROPS: u64 = 2000;
    const SIZE: usize = 64 * 1024;
    let (a, b) = (pool("slow-a"), pool("slow-b"));
    let sponge = a.place_child(Sponge::default()).await.unwrap();
    b.call(process_id::task()).await.unwrap();
    let before = resident_bytes(std::process::id());
    let pouring = actix::spawn(b.call(pour::task(sponge.addr(), DROPS, SIZE)));
    let mut most = before;
    while !pouring.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        most = most.max(resident_bytes(std::process::id()));
    }
    assert_eq!(soon(pouring).await.unwrap().unwrap(), DROPS, "none is lost");
    let grown = most.saturating_sub(before);
    assert!(
        grown < 24 << 20,
        "the parent grew by {grown} bytes while {} went through it",
        DROPS * SIZE as u64
    );
}

async fn an_ask_that_one_runner_gives_up_never_reaches_the_other() {
    let (a, b) = (pool("given-up-a"), pool("given-up-b"));
    let journal = a.place_child(Journal::default()).await.unwrap();
    // More than a lane of the default link takes ahead, so that the last waits at the relay.
    let (count, last) = (8400, u64::MAX);
    let notes = soon(b.call(write_and_give_up::task(journal.addr(), count, last))).await.unwrap();
    assert_eq!(notes, (0..count).collect::<Vec<_>>());
}
