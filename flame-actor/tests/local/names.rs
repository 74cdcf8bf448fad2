//! Names for actors, in the parent and on its runners.

use actix::prelude::*;
use flame_actor::{
    NameError, Parent, Pool, RemoteAddr, backend::LocalBackend, lookup, register, remote, task, unregister,
};
use serde::{Deserialize, Serialize};

use crate::support::{Log, Note, Notes, pool, soon, until};

/// Takes a name of its own when it starts.
#[derive(Serialize, Deserialize)]
struct Named(String);

impl Actor for Named {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (name, me) = (self.0.clone(), RemoteAddr::from(ctx.address()));
        ctx.wait(async move { register(&name, &me).await.unwrap() }.into_actor(self));
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Name;

#[remote]
impl Handler<Name> for Named {
    type Result = String;
    fn handle(&mut self, _: Name, _: &mut Context<Self>) -> String {
        self.0.clone()
    }
}

#[task]
async fn note_by_name(name: String, n: u64) -> Vec<u64> {
    let log = lookup::<Log>(&name).await.unwrap();
    log.do_send(Note(n));
    log.send(Notes).await.unwrap()
}

#[task]
async fn look_up(name: String) -> String {
    format!("{:?}", lookup::<Log>(&name).await.map(drop))
}

#[actix::test]
async fn an_actor_of_the_parent_is_found_by_name_on_runners() {
    let pool = pool("finders");
    let log = Log::default().start();
    register("names/parent", &log.clone().into()).await.unwrap();
    assert_eq!(soon(pool.call(note_by_name::task("names/parent".into(), 5))).await.unwrap(), [5]);
    assert_eq!(lookup::<Log>("names/parent").await.unwrap().as_local(), Some(&log));
}

#[actix::test]
async fn an_actor_of_one_runner_is_found_by_name_in_the_parent_and_on_another() {
    let (a, b) = (pool("named-a"), pool("named-b"));
    let log = soon(a.place_child(Log::default())).await.unwrap();
    register("names/placed", &log).await.unwrap();
    assert_eq!(lookup::<Log>("names/placed").await.unwrap(), log.addr());
    assert_eq!(soon(b.call(note_by_name::task("names/placed".into(), 6))).await.unwrap(), [6]);
    assert_eq!(soon(a.call(note_by_name::task("names/placed".into(), 7))).await.unwrap(), [6, 7]);
    // One that has named itself, on its runner.
    let named = soon(a.place_child(Named("names/self".into()))).await.unwrap();
    let found = soon(async {
        loop {
            match lookup::<Named>("names/self").await {
                Ok(found) => return found,
                Err(NameError::Unknown { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let found = found.await;
    assert_eq!(soon(found.send(Name)).await.unwrap(), "names/self");
    assert_eq!(found, named.addr());
}

#[actix::test]
async fn a_name_goes_with_its_actor_and_can_be_given_again() {
    let pool = pool("mortals");
    let log = soon(pool.place_child(Log::default())).await.unwrap();
    register("names/mortal", &log).await.unwrap();
    assert!(matches!(register("names/mortal", &log).await, Err(NameError::Taken { .. })));
    drop(log);
    let other: RemoteAddr<Log> = Log::default().start().into();
    soon(async {
        while register("names/mortal", &other).await.is_err() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(lookup::<Log>("names/mortal").await.unwrap(), other);
    // And a local one's with it.
    let local = Stopper.start();
    register("names/local", &local.clone().into()).await.unwrap();
    local.send(Stop).await.unwrap();
    until("it has stopped", || !local.connected()).await;
    assert!(matches!(lookup::<Stopper>("names/local").await, Err(NameError::Unknown { .. })));
}

struct Stopper;

impl Actor for Stopper {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Stop;

#[remote]
impl Handler<Stop> for Stopper {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[actix::test]
async fn a_name_keeps_a_detached_child_alive_until_it_is_taken_back() {
    let pool = pool("keepers");
    let log = soon(pool.place_child(Log::default())).await.unwrap();
    register("names/kept", &log).await.unwrap();
    drop(log.detach());
    soon(lookup::<Log>("names/kept").await.unwrap().send(Note(1))).await.unwrap();
    assert_eq!(pool.inspect().held, 1);
    unregister("names/kept").await.unwrap();
    until("it has stopped", || pool.inspect().held == 0).await;
    assert!(matches!(unregister("names/kept").await, Err(NameError::Unknown { .. })));
}

#[actix::test]
async fn errors_say_what_is_wrong_with_a_name_also_on_a_runner() {
    let pool = pool("wrong");
    let other = soon(pool.place_child(Named("names/other".into()))).await.unwrap();
    soon(other.send(Name)).await.unwrap();
    let error = soon(pool.call(look_up::task("names/other".into()))).await.unwrap();
    assert!(error.contains("WrongType") && error.contains("names::Named"), "{error}");
    let error = soon(pool.call(look_up::task("names/nobody".into()))).await.unwrap();
    assert!(error.contains("Unknown"), "{error}");
    let log: RemoteAddr<Log> = Log::default().start().into();
    for name in ["", &"n".repeat(256)] {
        assert!(matches!(register(name, &log).await, Err(NameError::Invalid { .. })));
    }
    register(&"n".repeat(255), &log).await.unwrap();
}

#[actix::test]
async fn each_parent_has_names_of_its_own_and_not_without_end() {
    let parent = Parent::new("apart").unwrap();
    let pool = Pool::builder("apart").parent(&parent).backend(LocalBackend::new()).start().unwrap();
    let log: RemoteAddr<Log> = Log::default().start().into();
    parent.register("names/apart", &log).unwrap();
    assert!(matches!(lookup::<Log>("names/apart").await, Err(NameError::Unknown { .. })));
    assert_eq!(soon(pool.call(note_by_name::task("names/apart".into(), 3))).await.unwrap(), [3]);
    for n in 1..4096 {
        parent.register(&format!("names/{n}"), &log).unwrap();
    }
    assert!(matches!(parent.register("names/more", &log), Err(NameError::Full { max: 4096 })));
    parent.unregister("names/7").unwrap();
    parent.register("names/more", &log).unwrap();
    assert_eq!(parent.lookup::<Log>("names/more").unwrap(), log);
}
