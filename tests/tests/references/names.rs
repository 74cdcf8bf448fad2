//! Names, over processes.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{LinkConfig, NameError, RemoteAddr, RemoteRecipient, lookup, register, task};
use flame_tests::{
    Begun,
    support::{App, begun, say, signal, soon, until},
    tests,
};
use rustix::process::Signal;

use crate::{
    actors::{Journal, Note, Notes, Sponge, pour},
    builder, pool,
};

tests![
    an_actor_is_found_by_name_from_every_process,
    a_name_goes_with_its_node_and_can_be_given_again,
    a_name_goes_with_its_actor,
    an_actor_that_nobody_can_reach_elsewhere_gets_no_name,
    a_runner_that_has_lost_its_parent_is_told_so_when_it_asks_for_a_name,
];

/// Finds a journal, writes a note there, and gives it a second name.
#[task]
async fn note_by_name(name: String, n: u64, alias: String) -> u32 {
    let journal = lookup::<Journal>(&name).await.unwrap();
    journal.send(Note(n)).await.unwrap();
    register(&alias, &journal).await.unwrap();
    std::process::id()
}

async fn an_actor_is_found_by_name_from_every_process() {
    let (a, b) = (pool("found-a"), pool("found-b"));
    let journal = a.place_child(Journal::default()).await.unwrap();
    register("journal", &journal).await.unwrap();
    let near = soon(a.call(note_by_name::task("journal".into(), 1, "near".into()))).await.unwrap();
    let far = soon(b.call(note_by_name::task("journal".into(), 2, "far".into()))).await.unwrap();
    assert_ne!(near, far);
    assert_eq!(journal.send(Notes).await.unwrap(), (vec![1, 2], near));
    for name in ["near", "far"] {
        assert_eq!(lookup::<Journal>(name).await.unwrap(), journal.addr(), "{name}");
    }
}

async fn a_name_goes_with_its_node_and_can_be_given_again() {
    let a = pool("gone-a");
    let journal = a.place_child(Journal::default()).await.unwrap();
    register("mortal", &journal).await.unwrap();
    let (_, pid) = journal.send(Notes).await.unwrap();
    let journal: RemoteAddr<Journal> = journal.detach();
    signal(pid, Signal::KILL);
    soon(async { while journal.send(Notes).await.is_ok() {} }).await;
    assert!(matches!(lookup::<Journal>("mortal").await, Err(NameError::Unknown { .. })));
    let next = a.place_child(Journal::default()).await.unwrap();
    register("mortal", &next).await.unwrap();
    assert_eq!(lookup::<Journal>("mortal").await.unwrap(), next.addr());
}

async fn a_name_goes_with_its_actor() {
    let a = pool("ended-a");
    // The word of an end overtakes what closes the actor's lane, and more so behind much else.
    let arbiter = Arbiter::new();
    let sponge = RemoteAddr::from(Sponge::start_in_arbiter(&arbiter.handle(), |_| Sponge::default()));
    let pouring = actix::spawn(a.call(pour::task(sponge, 3000, 64 << 10)));
    while !pouring.is_finished() {
        let journal = a.place_child(Journal::default()).await.unwrap();
        register("brief", &journal).await.unwrap();
        assert_eq!(lookup::<Journal>("brief").await.unwrap(), journal.addr());
        soon(journal.stop("enough", Duration::from_secs(5))).await;
        assert!(matches!(lookup::<Journal>("brief").await, Err(NameError::Unknown { .. })));
    }
    assert_eq!(soon(pouring).await.unwrap().unwrap(), 3000);
    arbiter.stop();
}

/// Has no handler for messages from elsewhere.
struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

#[task]
async fn name_a_deaf_one() -> String {
    register("deaf", &Deaf.start().into()).await.unwrap_err().to_string()
}

async fn an_actor_that_nobody_can_reach_elsewhere_gets_no_name() {
    let here = register("deaf", &Deaf.start().into()).await.unwrap_err();
    assert!(matches!(&here, NameError::NotRemote { actor } if actor.ends_with("Deaf")), "{here:?}");
    assert_eq!(soon(pool("deaf-a").call(name_a_deaf_one::task())).await.unwrap(), here.to_string());
}

/// Looks up a name that nobody has until that fails otherwise, and leaves the words in a file.
#[task]
async fn look_up_until_lost(file: String, begun: RemoteRecipient<Begun>) {
    let mut asked = false;
    loop {
        match lookup::<Journal>("nobody").await {
            Err(NameError::Unknown { .. }) if !asked => {
                begun.do_send(Begun(std::process::id()));
                asked = true;
            }
            Err(NameError::Unknown { .. }) => tokio::task::yield_now().await,
            Err(error) => {
                std::fs::write(format!("{file}.new"), format!("{error:?}")).unwrap();
                return std::fs::rename(format!("{file}.new"), file).unwrap();
            }
            Ok(_) => panic!("nobody has it"),
        }
    }
}

/// An app whose runner looks up names.
pub(crate) async fn look_up_in_a_runner(file: &str) {
    let link = LinkConfig::default()
        .with_ping_interval(Duration::from_millis(200))
        .with_lease(Duration::from_secs(3))
        .with_idle_timeout(Duration::from_secs(4));
    let pool = builder("alone").link(link).start().unwrap();
    let (to, mut heard) = begun();
    let call = actix::spawn(pool.call(look_up_until_lost::task(file.to_owned(), to)));
    say(format!("begun {}", heard.recv().await.unwrap()));
    let _ = call.await;
}

async fn a_runner_that_has_lost_its_parent_is_told_so_when_it_asks_for_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words");
    let mut app = App::start("looks-up", &[file.to_str().unwrap()]);
    app.pid("begun ").await;
    // It lives, so that the runner can only know by its silence.
    app.process().signal(Signal::STOP);
    until("the runner has noticed", || file.exists()).await;
    let words = std::fs::read_to_string(file).unwrap();
    assert!(words.starts_with("Parent("), "{words}");
}
