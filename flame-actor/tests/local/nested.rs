//! Work on runners that calls pools itself: the same line as in the parent, with the same errors and in the same time.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{
    CallError, Child, PlaceFailure, Pool, PoolBuilder, RemoteAddr, RemoteRecipient, UnknownPool,
    backend::LocalBackend, current_runner, pool::machine::Failure, remote, task,
};
use serde::{Deserialize, Serialize};

use crate::support::{Log, Note, Notes, soon, until, until_notes};

fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(2).backend(LocalBackend::new().arbiters(1))
}

fn runner() -> String {
    current_runner().map_or_else(|| "the parent".to_owned(), |node| node.name().to_owned())
}

#[task]
async fn here() -> String {
    runner()
}

/// The names of the runner it is on, and of those below.
#[task]
async fn descend(pool: String, depth: u32) -> Result<Vec<String>, String> {
    let mut names = vec![runner()];
    if depth > 0 {
        let below = Pool::named(&pool).map_err(|error| error.to_string())?;
        let below = below.call(descend::task(pool, depth - 1)).await.map_err(|error| error.to_string())?;
        names.extend(below?);
    }
    Ok(names)
}

/// Calls a pool, and gives back the error.
#[task]
async fn failing(pool: String, how: String) -> Result<String, CallError> {
    Pool::named(&pool).unwrap().call(fail::task(how)).timeout(Duration::from_secs(3)).await
}

#[task]
async fn fail(how: String) -> String {
    match how.as_str() {
        "panic" => panic!("as it should"),
        "sleep" => tokio::time::sleep(Duration::from_secs(600)).await,
        _ => {}
    }
    how
}

/// Says when it begins and, by dropping it, when it has been cancelled.
#[task]
async fn linger(log: RemoteRecipient<Note>, pool: String, depth: u64) {
    struct End(RemoteRecipient<Note>, u64);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.do_send(Note(100 + self.1));
        }
    }
    let _end = End(log.clone(), depth);
    log.do_send(Note(depth));
    match depth {
        0 => tokio::time::sleep(Duration::from_secs(600)).await,
        _ => Pool::named(&pool).unwrap().call(linger::task(log, pool, depth - 1)).await.unwrap(),
    }
}

#[task]
async fn detach_below(log: RemoteRecipient<Note>, pool: String) {
    let call = Pool::named(&pool).unwrap().call(linger::task(log, pool, 0));
    call.timeout(Duration::from_secs(3600)).detached().await.unwrap();
}

#[task]
async fn time_left(pool: String, depth: u32) -> Duration {
    match depth {
        0 => flame_actor::Context::current().deadline().unwrap().saturating_duration_since(Instant::now()),
        _ => {
            let call = Pool::named(&pool).unwrap().call(time_left::task(pool, depth - 1));
            call.timeout(Duration::from_secs(3600)).await.unwrap()
        }
    }
}

/// Sends what it is given to whom it is given, from wherever it runs.
#[task]
async fn note_below(pool: String, to: RemoteRecipient<Note>, n: u64) -> RemoteRecipient<Note> {
    to.send(Note(n)).await.unwrap();
    if n > 0 {
        return Pool::named(&pool).unwrap().call(note_below::task(pool, to, n - 1)).await.unwrap();
    }
    to
}

#[task]
async fn cast_below(pool: String, to: RemoteRecipient<Note>, n: u64) {
    Pool::named(&pool).unwrap().cast(note::task(to, n));
}

#[task]
async fn note(to: RemoteRecipient<Note>, n: u64) {
    to.send(Note(n)).await.unwrap();
}

/// Places children on other runners, and owns them.
#[derive(Default, Serialize, Deserialize)]
struct Mother {
    #[serde(skip)]
    children: Vec<Child<Counter>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Counter(u64);

impl Actor for Mother {
    type Context = Context<Self>;
}

impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<(RemoteAddr<Counter>, String, u64), String>")]
struct Bear {
    pool: String,
    /// It starts with this.
    total: u64,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct LetGo;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;
    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

#[remote]
impl Handler<Bear> for Mother {
    type Result = ResponseActFuture<Self, Result<(RemoteAddr<Counter>, String, u64), String>>;
    fn handle(&mut self, Bear { pool, total }: Bear, _: &mut Context<Self>) -> Self::Result {
        let born = async move {
            let pool = Pool::named(&pool).map_err(|error| error.to_string())?;
            let child = pool.place_child(Counter(total)).await.map_err(|error| error.reason.to_string())?;
            let sum = child.send(Add(1)).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((child, sum))
        };
        Box::pin(born.into_actor(self).map(|born, mother, _| {
            let (child, sum) = born?;
            let born = (child.addr(), child.runner().name().to_owned(), sum);
            mother.children.push(child);
            Ok(born)
        }))
    }
}

#[remote]
impl Handler<LetGo> for Mother {
    type Result = ();
    fn handle(&mut self, _: LetGo, _: &mut Context<Self>) {
        self.children.clear();
    }
}

#[actix::test]
async fn a_pool_of_one_slot_that_calls_itself_does_not_wait_for_itself() {
    let pool = builder("own").max(1).max_concurrency(1).start().unwrap();
    let names = soon(pool.call(descend::task("own".into(), 5))).await.unwrap().unwrap();
    assert_eq!(names, ["own-1"; 6]);
    // The slot is free again.
    until("nothing is held", || pool.inspect().held == 0).await;
    assert_eq!(soon(pool.call(here::task())).await.unwrap(), "own-1");
}

#[actix::test]
async fn the_same_line_works_in_both_roles() {
    let _pool = builder("roles").max_concurrency(1).start().unwrap();
    let names = soon(descend("roles".into(), 1)).await.unwrap();
    assert_eq!(names, ["the parent", "roles-1"]);
    let names = soon(descend("roles".into(), 2)).await.unwrap();
    assert_eq!((names.len(), names[0].as_str(), names[1].as_str()), (3, "the parent", "roles-1"));
}

#[actix::test]
async fn a_runner_calls_another_pool_of_its_parent() {
    let (outer, inner) = (builder("outer").start().unwrap(), builder("inner").start().unwrap());
    let names = soon(outer.call(descend::task("inner".into(), 2))).await.unwrap().unwrap();
    assert_eq!(names, ["outer-1", "inner-1", "inner-1"]);
    drop(inner);
    let error = soon(outer.call(failing::task("inner".into(), "panic".into()))).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, CallError::NotPlaced(Failure::NoSuchPool { pool }) if pool == "inner"),
        "{error:?}"
    );
    assert!(!error.may_have_run());
}

#[actix::test]
async fn a_name_is_that_of_the_pool_that_was_started_last_and_is_open() {
    assert_eq!(Pool::named("names").unwrap_err(), UnknownPool { name: "names".into() });
    let first = builder("names").start().unwrap();
    let second = builder("names").max_concurrency(3).start().unwrap();
    assert_eq!(Pool::named("names").unwrap().inspect().max_concurrency, 3);
    soon(second.stop()).await;
    assert_eq!(Pool::named("names").unwrap().inspect().max_concurrency, first.inspect().max_concurrency);
    drop(first);
    assert!(Pool::named("names").is_err());
}

#[actix::test]
async fn a_nested_call_fails_as_the_same_call_in_the_parent_does() {
    let pool = builder("errors").start().unwrap();
    soon(pool.call(here::task())).await.unwrap();
    for how in ["panic", "sleep"] {
        let there = soon(pool.call(failing::task("errors".into(), how.into()))).await.unwrap().unwrap_err();
        let here = soon(failing("errors".into(), how.into())).await.unwrap_err();
        assert_eq!(there.to_string(), here.to_string());
        assert_eq!((there.phase(), there.runner()), (here.phase(), here.runner()));
    }
}

#[actix::test]
async fn a_nested_call_has_no_longer_than_its_caller() {
    let limit = Duration::from_secs(15);
    let pool = builder("inherit").timeout(limit).start().unwrap();
    let left = soon(pool.call(time_left::task("inherit".into(), 2))).await.unwrap();
    assert!(left <= limit && left * 2 > limit, "{left:?}");
}

#[actix::test]
async fn what_a_task_has_detached_has_no_longer_than_the_task() {
    let pool = builder("detaches").start().unwrap();
    let log = Log::default().start();
    let call = pool.call(detach_below::task(log.clone().recipient().into(), "detaches".into()));
    let error = soon(call.timeout(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    // It says so when it is cut off.
    until_notes(&log, &[0, 100]).await;
    until("nothing is held", || pool.inspect().held == 0).await;
}

#[actix::test]
async fn dropping_a_call_cancels_what_its_task_has_called() {
    let pool = builder("cancels").timeout(None).start().unwrap();
    let log = Log::default().start();
    let seen = |n| {
        let log = log.clone();
        async move {
            while !log.send(Notes).await.unwrap().contains(&n) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    {
        let call = pool.call(linger::task(log.clone().recipient().into(), "cancels".into(), 2));
        tokio::select! {
            _ = call => panic!("it takes ten minutes"),
            () = soon(seen(0)) => {}
        }
    }
    for depth in 0..3 {
        soon(seen(100 + depth)).await;
    }
    until("nothing is held", || pool.inspect().held == 0).await;
}

#[actix::test]
async fn references_in_arguments_and_answers_work_wherever_a_call_leads() {
    let (outer, _inner) = (builder("refer").start().unwrap(), builder("below").start().unwrap());
    let log = Log::default().start();
    let call = outer.call(note_below::task("below".into(), log.clone().recipient().into(), 2));
    let back = soon(call).await.unwrap();
    assert_eq!(back, log.clone().recipient().into(), "it is the one that was sent");
    soon(back.send(Note(7))).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [2, 1, 0, 7]);
}

#[actix::test]
async fn a_cast_of_a_runner_outlives_the_task_that_made_it() {
    let pool = builder("casts").start().unwrap();
    let log = Log::default().start();
    soon(pool.call(cast_below::task("casts".into(), log.clone().recipient().into(), 3))).await.unwrap();
    soon(async {
        while log.send(Notes).await.unwrap() != [3] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[actix::test]
async fn a_runner_places_children_elsewhere_and_owns_them() {
    let (mothers, children) = (builder("mothers").start().unwrap(), builder("kids").start().unwrap());
    let mother = soon(mothers.place_child(Mother::default())).await.unwrap();
    let born = soon(mother.send(Bear { pool: "kids".into(), total: 40 })).await.unwrap().unwrap();
    let (child, on, sum) = born;
    assert_eq!((on.as_str(), sum), ("kids-1", 41));
    assert_eq!(soon(child.send(Add(1))).await.unwrap(), 42);
    soon(mother.send(LetGo)).await.unwrap();
    until("the child has stopped", || children.inspect().held == 0).await;
    assert!(soon(child.send(Add(1))).await.is_err());

    // With its runner go the children that it owns.
    soon(mother.send(Bear { pool: "kids".into(), total: 0 })).await.unwrap().unwrap();
    assert_eq!(children.inspect().held, 1);
    drop(mother);
    until("the child has stopped", || children.inspect().held == 0).await;

    // Its own pool has one slot, and that is its own.
    let crowded = builder("crowded").max(1).max_concurrency(1).start().unwrap();
    let mother = soon(crowded.place_child(Mother::default())).await.unwrap();
    let born = soon(mother.send(Bear { pool: "crowded".into(), total: 1 })).await.unwrap().unwrap();
    assert_eq!((born.1.as_str(), born.2), ("crowded-1", 2));
    // An unknown one is told apart.
    let error = soon(mother.send(Bear { pool: "nowhere".into(), total: 1 })).await.unwrap().unwrap_err();
    let expected = PlaceFailure::NotPlaced(Failure::NoSuchPool { pool: "nowhere".into() });
    assert_eq!(error, expected.to_string());
}
