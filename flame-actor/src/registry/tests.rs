//! What the numbers and the digest depend on, with entries that no attribute made.

use actix::prelude::*;
use serde::{Deserialize, Serialize};

use super::{HandlerEntry, MethodCache, MethodId, Registry, RegistryError, RemoteMessage, TaskEntry};
use crate::{host, remote, task};

mod second_version;

#[derive(Serialize, Deserialize)]
struct Alpha;
struct Beta;

macro_rules! actor {
    ($($actor:ty),*) => { $(
        impl Actor for $actor {
            type Context = Context<Self>;
        }
    )* };
}
actor!(Alpha, Beta);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Ping;
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Pong(u32);

macro_rules! handlers {
    ($($actor:ty: $message:ty => $result:ty = $answer:expr;)*) => { $(
        #[remote]
        impl Handler<$message> for $actor {
            type Result = $result;
            fn handle(&mut self, _: $message, _: &mut Context<Self>) -> $result {
                $answer
            }
        }
    )* };
}
handlers! {
    Alpha: Ping => () = ();
    Alpha: Pong => u32 = 0;
    Beta: Ping => () = ();
}

#[task]
fn first() {}

#[task]
fn second(_: u32) {}

#[test]
fn numbers_and_digest_do_not_depend_on_the_order_of_linking() {
    let handlers = [alpha_ping(), alpha_pong(), beta_ping()].map(leak);
    let tasks = [TaskEntry::of::<first>(), TaskEntry::of::<second>()].map(leak);
    let expected = Registry::build(handlers.to_vec(), tasks.to_vec()).unwrap();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for tasks in [vec![tasks[0], tasks[1]], vec![tasks[1], tasks[0]]] {
            let registry = Registry::build(order.map(|index| handlers[index]).to_vec(), tasks).unwrap();
            assert_eq!(registry.digest(), expected.digest());
            assert_eq!((registry.actor::<Alpha>(), registry.actor::<Beta>()), (Some(0), Some(1)));
            assert_eq!(registry.method::<Alpha, Ping>(), Some(MethodId(0)));
            assert_eq!(registry.method::<Alpha, Pong>(), Some(MethodId(1)));
            assert_eq!(registry.method::<Beta, Ping>(), Some(MethodId(0)));
            assert_eq!((registry.task::<first>(), registry.task::<second>()), (Some(0), Some(1)));
            assert_eq!((registry.methods::<Alpha>().len(), registry.methods::<Beta>().len()), (2, 1));
            assert!(registry.message_name(0, 1).is_some_and(|name| name.ends_with("Pong")));
        }
    }
}

#[test]
fn an_entry_that_is_not_there_has_no_number() {
    let registry = Registry::build(vec![leak(alpha_ping())], vec![leak(TaskEntry::of::<first>())]).unwrap();
    assert_eq!(registry.actor::<Beta>(), None);
    assert_eq!(registry.method::<Alpha, Pong>(), None);
    assert_eq!(registry.task::<second>(), None);
    assert!(registry.methods::<Beta>().is_empty());
    assert!(registry.place(1).is_none() && registry.task_run(1).is_none());
}

#[test]
fn the_digest_changes_with_each_name_and_with_what_can_be_placed() {
    let digest = |handlers: Vec<HandlerEntry>, tasks: Vec<TaskEntry>| {
        let handlers = handlers.into_iter().map(leak).collect();
        Registry::build(handlers, tasks.into_iter().map(leak).collect()).unwrap().digest()
    };
    let task = TaskEntry::of::<first>;
    let digests = [
        digest(vec![], vec![]),
        digest(vec![alpha_ping()], vec![]),
        digest(vec![], vec![task()]),
        digest(vec![alpha_ping()], vec![task()]),
        digest(vec![HandlerEntry { actor_name: || "Renamed", ..alpha_ping() }], vec![task()]),
        digest(vec![HandlerEntry { message_name: || "Renamed", ..alpha_ping() }], vec![task()]),
        digest(vec![alpha_ping()], vec![TaskEntry { name: || "Renamed", ..task() }]),
        digest(vec![HandlerEntry { place: || None, ..alpha_ping() }], vec![task()]),
        // The same names, with the borders between them elsewhere.
        digest(with_messages(|| "AB", || "C"), vec![]),
        digest(with_messages(|| "A", || "BC"), vec![]),
        digest(vec![alpha_ping(), alpha_pong(), beta_ping()], vec![]),
        digest(
            vec![alpha_ping(), HandlerEntry { message_name: alpha_pong().message_name, ..beta_ping() }],
            vec![],
        ),
    ];
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "digest {index} is like an earlier one");
    }
}

#[test]
fn two_actor_types_of_one_name_are_refused() {
    let other = HandlerEntry { actor_name: alpha_ping().actor_name, ..beta_ping() };
    let error = Registry::build(vec![leak(alpha_ping()), leak(other)], vec![]).unwrap_err();
    let RegistryError::DuplicateActor { actor, first, second } = error else { panic!("{error}") };
    assert!(actor.ends_with("Alpha"));
    assert_ne!(first, second);
}

#[test]
fn two_message_types_of_one_name_are_refused() {
    let other = HandlerEntry { message_name: alpha_ping().message_name, ..alpha_pong() };
    let error = Registry::build(vec![leak(alpha_ping()), leak(other)], vec![]).unwrap_err();
    let RegistryError::DuplicateMessage { actor, message, first, second } = error else { panic!("{error}") };
    assert!(actor.ends_with("Alpha") && message.ends_with("Ping"));
    assert_ne!(first, second);
}

#[test]
fn two_actors_may_take_messages_of_one_name() {
    let registry = Registry::build(vec![leak(alpha_ping()), leak(beta_ping())], vec![]).unwrap();
    assert_eq!(registry.method::<Alpha, Ping>(), registry.method::<Beta, Ping>());
}

#[test]
fn tasks_of_one_name_in_two_files_are_refused() {
    let one = TaskEntry::of::<first>();
    let other = TaskEntry { location: second_version::HERE, name: one.name, ..TaskEntry::of::<second>() };
    let error = Registry::build(vec![], vec![leak(one), leak(other)]).unwrap_err();
    let RegistryError::DuplicateTask { task, first, second } = error else { panic!("{error}") };
    assert!(task.ends_with("first"));
    assert_ne!(first.file(), second.file());
}

#[test]
fn tasks_of_one_name_in_one_file_are_numbered_by_their_places() {
    let upper = leak(TaskEntry { name: || "block", ..TaskEntry::of::<second>() });
    let lower = leak(TaskEntry { name: || "block", ..TaskEntry::of::<first>() });
    for order in [vec![upper, lower], vec![lower, upper]] {
        let registry = Registry::build(vec![], order).unwrap();
        assert_eq!((registry.task::<second>(), registry.task::<first>()), (Some(0), Some(1)));
    }
}

#[test]
fn tasks_of_one_name_in_one_place_are_refused() {
    let one = TaskEntry::of::<first>();
    let other = TaskEntry { name: one.name, location: one.location, ..TaskEntry::of::<second>() };
    let error = Registry::build(vec![], vec![leak(one), leak(other)]).unwrap_err();
    assert!(matches!(error, RegistryError::DuplicateTask { .. }));
}

#[test]
fn the_duplicate_error_names_both_places() {
    let other =
        HandlerEntry { actor_name: alpha_ping().actor_name, location: second_version::HERE, ..beta_ping() };
    let error = Registry::build(vec![leak(alpha_ping()), leak(other)], vec![]).unwrap_err().to_string();
    assert!(error.contains("second_version.rs") && error.contains("tests.rs"), "{error}");
}

#[test]
fn a_number_is_remembered_after_the_first_look_up() {
    let cache = MethodCache::new();
    let looked_up = cache.method::<Alpha, Pong>().unwrap();
    assert_eq!(looked_up, Pong::method().unwrap());
    // A wrong pair shows that the second time comes from the cache.
    assert_eq!(cache.method::<Beta, Ping>(), Ok(looked_up));
}

#[test]
fn a_pair_that_no_attribute_registered_is_an_error() {
    let cache = MethodCache::new();
    assert_eq!(cache.method::<Beta, Pong>(), Err(&RegistryError::NotRegistered));
}

fn alpha_ping() -> HandlerEntry {
    HandlerEntry::of::<Alpha, Ping>(|| Some(host::place::<Alpha>))
}

fn alpha_pong() -> HandlerEntry {
    HandlerEntry::of::<Alpha, Pong>(|| Some(host::place::<Alpha>))
}

fn beta_ping() -> HandlerEntry {
    HandlerEntry::of::<Beta, Ping>(|| None)
}

fn with_messages(ping: fn() -> &'static str, pong: fn() -> &'static str) -> Vec<HandlerEntry> {
    let ping = HandlerEntry { message_name: ping, ..alpha_ping() };
    vec![ping, HandlerEntry { message_name: pong, ..alpha_pong() }]
}

fn leak<T>(entry: T) -> &'static T {
    Box::leak(Box::new(entry))
}
