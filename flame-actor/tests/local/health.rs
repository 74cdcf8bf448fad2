//! Code that blocks its thread: what it holds up, and what it does not.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix::prelude::*;
use flame_actor::{
    CallError, Pool, PoolBuilder,
    backend::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance, LocalBackend},
    current_runner,
    pool::machine::{PoolEvent, RunnerPhase},
    remote, task,
};
use serde::{Deserialize, Serialize};

use crate::support::{soon, until};

/// A gate that blocks threads, as runners of this backend share the process.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    /// How many threads have come to it.
    inside: AtomicUsize,
}

static GATES: Mutex<Option<HashMap<String, Arc<Gate>>>> = Mutex::new(None);

fn gate(name: &str) -> Arc<Gate> {
    Arc::clone(GATES.lock().unwrap().get_or_insert_default().entry(name.to_owned()).or_default())
}

impl Gate {
    fn pass(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.opened.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    async fn holds(&self, threads: usize) {
        until("threads are at the gate", || self.inside.load(Ordering::SeqCst) >= threads).await;
    }
}

/// Opens its gate when the test ends, however it ends.
struct Open(Arc<Gate>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// What an async function must not do.
#[task]
async fn block(name: String) {
    gate(&name).pass();
}

#[task]
fn wait_at(name: String) -> Option<String> {
    gate(&name).pass();
    current_runner().map(|node| node.name().to_owned())
}

#[task]
async fn runner_name() -> String {
    current_runner().unwrap().name().to_owned()
}

#[derive(Serialize, Deserialize)]
struct Blocker;

impl Actor for Blocker {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Block(String);

#[remote]
impl Handler<Block> for Blocker {
    type Result = String;
    fn handle(&mut self, Block(name): Block, _: &mut Context<Self>) -> String {
        gate(&name).pass();
        current_runner().unwrap().name().to_owned()
    }
}

/// Where the kernel tells of the thread that the actor is on.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Thread;

#[remote]
impl Handler<Thread> for Blocker {
    type Result = String;
    fn handle(&mut self, _: Thread, _: &mut Context<Self>) -> String {
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        std::path::Path::new("/proc").join(thread).display().to_string()
    }
}

/// Remembers the instances that it boots.
#[derive(Clone)]
struct Kept(LocalBackend, Arc<Mutex<Vec<Arc<dyn Instance>>>>);

impl Backend for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let (booting, instances) = (self.0.boot(boot), Arc::clone(&self.1));
        Box::pin(async move {
            let instance = booting.await?;
            instances.lock().unwrap().push(Arc::clone(&instance));
            Ok(instance)
        })
    }
}

impl Kept {
    fn exit(&self, runner: usize) -> BoxFuture<ExitReason> {
        self.1.lock().unwrap()[runner - 1].exited()
    }
}

fn builder(name: &str, arbiters: usize) -> (PoolBuilder, Kept, Open) {
    let backend = Kept(LocalBackend::new().arbiters(arbiters), Arc::default());
    let builder = Pool::builder(name).max(2).backend(backend.clone());
    (builder, backend, Open(gate(name)))
}

fn phase(pool: &Pool) -> Option<RunnerPhase> {
    pool.inspect().runners.first().map(|report| report.phase)
}

#[actix::test]
async fn a_blocked_arbiter_holds_up_no_work_of_others() {
    let (builder, _, gate) = builder("one-blocked", 2);
    let pool = builder.max(1).start().unwrap();
    let blocked = actix_rt::spawn(pool.call(block::task("one-blocked".into())));
    gate.0.holds(1).await;
    // Half of these would be its turn.
    let calls: Vec<_> = (0..20).map(|_| actix_rt::spawn(pool.call(runner_name::task()))).collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_ne!(phase(&pool), Some(RunnerPhase::Stalled));
    gate.0.open();
    soon(blocked).await.unwrap().unwrap();
}

#[actix::test]
async fn a_runner_that_is_blocked_altogether_gets_nothing_until_it_is_free_again() {
    let (builder, _, gate) = builder("all-blocked", 1);
    let pool = builder.start().unwrap();
    assert_eq!(pool.call(runner_name::task()).await.unwrap(), "all-blocked-1");
    let began = Instant::now();
    let blocked = actix_rt::spawn(pool.call(block::task("all-blocked".into())));
    gate.0.holds(1).await;
    until("the pool knows", || phase(&pool) == Some(RunnerPhase::Stalled)).await;
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(soon(pool.call(runner_name::task())).await.unwrap(), "all-blocked-2");
    gate.0.open();
    soon(blocked).await.unwrap().unwrap();
    until("it serves again", || phase(&pool).is_some_and(|phase| phase != RunnerPhase::Stalled)).await;
}

#[actix::test]
async fn a_plain_function_is_held_up_by_no_arbiter() {
    let (builder, _, gate) = builder("functions", 1);
    let pool = builder.max(1).start().unwrap();
    let function = actix_rt::spawn(pool.call(wait_at::task("functions".into())));
    gate.0.holds(1).await;
    let other = Open(self::gate("functions-arbiter"));
    let blocked = actix_rt::spawn(pool.call(block::task("functions-arbiter".into())));
    other.0.holds(1).await;
    gate.0.open();
    // Its answer does not go through the arbiter that is blocked now.
    assert_eq!(soon(function).await.unwrap().unwrap().as_deref(), Some("functions-1"));
    other.0.open();
    soon(blocked).await.unwrap().unwrap();
}

#[actix::test]
async fn a_task_that_never_yields_fails_on_time_and_its_runner_goes() {
    let (builder, backend, gate) = builder("overdue", 2);
    let limit = Duration::from_secs(2);
    let pool = builder.min(1).timeout(limit).start().unwrap();
    assert_eq!(soon(pool.call(runner_name::task())).await.unwrap(), "overdue-1");
    let began = Instant::now();
    let error = soon(pool.call(block::task("overdue".into()))).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(began.elapsed() < limit + Duration::from_secs(1), "{:?}", began.elapsed());
    is_replaced("overdue", &pool, &backend).await;
    drop(gate);
}

#[actix::test]
async fn what_waits_behind_a_task_that_never_yields_runs_on_the_next_runner() {
    let (builder, backend, gate) = builder("behind", 1);
    let pool = builder.max(1).timeout(None).start().unwrap();
    assert_eq!(soon(pool.call(runner_name::task())).await.unwrap(), "behind-1");
    // They leave in this order, and there is one arbiter.
    let stuck = actix_rt::spawn(pool.call(block::task("behind".into())).timeout(Duration::from_secs(1)));
    let calls: Vec<_> = (0..3).map(|_| actix_rt::spawn(pool.call(runner_name::task()))).collect();
    let child = actix_rt::spawn(pool.place_child(Blocker).into_future());
    gate.0.holds(1).await;
    assert_eq!(pool.inspect().runners.first().map(|report| report.held), Some(5));
    assert!(matches!(soon(stuck).await.unwrap(), Err(CallError::Timeout { .. })));
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap(), "behind-2");
    }
    assert_eq!(soon(child).await.unwrap().unwrap().runner().name(), "behind-2");
    is_replaced("behind", &pool, &backend).await;
}

#[actix::test]
async fn a_call_that_is_dropped_and_never_yields_costs_its_runner() {
    let (builder, backend, gate) = builder("unheard", 2);
    let pool = builder.min(1).timeout(None).start().unwrap();
    {
        let mut call = std::pin::pin!(pool.call(block::task("unheard".into())));
        tokio::select! {
            _ = &mut call => panic!("it is blocked"),
            () = gate.0.holds(1) => {}
        }
    }
    is_replaced("unheard", &pool, &backend).await;
    drop(gate);
}

#[actix::test]
async fn a_plain_function_that_overruns_keeps_its_slot_and_costs_its_runner() {
    let (builder, backend, gate) = builder("overrun", 2);
    let pool = builder.min(1).timeout(Duration::from_secs(2)).start().unwrap();
    let error = soon(pool.call(wait_at::task("overrun".into()))).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert_eq!(pool.inspect().runners.first().map(|report| report.held), Some(1));
    is_replaced("overrun", &pool, &backend).await;
    drop(gate);
}

#[actix::test]
async fn a_child_that_never_comes_out_of_its_handler_to_stop_costs_its_runner() {
    let (builder, backend, gate) = builder("stubborn", 2);
    let pool = builder.min(1).start().unwrap();
    let child = soon(pool.place_child(Blocker)).await.unwrap();
    child.do_send(Block("stubborn".into()));
    gate.0.holds(1).await;
    drop(child);
    is_replaced("stubborn", &pool, &backend).await;
    drop(gate);
}

#[actix::test]
async fn what_waits_behind_a_long_handler_costs_nobody_a_runner() {
    let (builder, _, gate) = builder("patient", 1);
    let pool = builder.max(1).timeout(Duration::from_secs(1)).start().unwrap();
    let child = soon(pool.place_child(Blocker)).await.unwrap();
    let answer = child.send(Block("patient".into()));
    gate.0.holds(1).await;
    let error = soon(pool.call(runner_name::task())).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. } | CallError::NotPlaced(_)), "{error:?}");
    // Longer than the grace of something that does not yield.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(phase(&pool), Some(RunnerPhase::Stalled));
    gate.0.open();
    assert_eq!(soon(answer).await.unwrap(), "patient-1");
}

#[actix::test]
async fn an_own_arbiter_keeps_a_blocking_child_apart_and_ends_with_it() {
    let (builder, _, gate) = builder("apart", 1);
    let pool = builder.max(1).start().unwrap();
    soon(pool.call(runner_name::task())).await.unwrap();
    let child = soon(pool.place_child(Blocker).own_arbiter()).await.unwrap();
    let answer = child.send(Block("apart".into()));
    gate.0.holds(1).await;
    soon(pool.call(runner_name::task())).await.unwrap();
    gate.0.open();
    assert_eq!(soon(answer).await.unwrap(), "apart-1");
    let thread = soon(child.send(Thread)).await.unwrap();
    drop(child);
    until("its thread has ended", || !std::path::Path::new(&thread).exists()).await;
}

/// The pool's first runner takes no more work and ends without its thread, and says so; another takes its place.
async fn is_replaced(name: &str, pool: &Pool, backend: &Kept) {
    let exit = soon(backend.exit(1)).await;
    assert!(matches!(&exit, ExitReason::Unknown { detail } if detail.contains("left behind")), "{exit:?}");
    until("the pool knows", || pool.inspect().runners.iter().all(|report| report.runner.0 > 1)).await;
    assert_eq!(soon(pool.call(runner_name::task())).await.unwrap(), format!("{name}-2"));
}

/// Boots runners whose life is over at once, the first so many.
#[derive(Clone)]
struct Mayflies(LocalBackend, Arc<AtomicUsize>);

impl Backend for Mayflies {
    fn name(&self) -> &str {
        "mayflies"
    }

    fn boot(&self, mut boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let is_short =
            self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        boot.ticket.life = is_short.then_some(Duration::ZERO);
        self.0.boot(boot)
    }
}

#[actix::test]
async fn a_runner_that_is_told_to_go_while_it_joins_says_so_and_fails_no_call() {
    const MAYFLIES: usize = 10;
    let backend = Mayflies(LocalBackend::new(), Arc::new(AtomicUsize::new(MAYFLIES)));
    let pool = Pool::builder("mayflies").max(1).max_concurrency(4);
    let pool = pool.backend(backend).start().unwrap();
    let mut events = pool.subscribe();
    let (mut grown, mut left) = (0, 0);
    while left < MAYFLIES {
        let calls: Vec<_> = (0..4).map(|_| actix_rt::spawn(pool.call(runner_name::task()))).collect();
        for call in calls {
            soon(call).await.unwrap().unwrap();
        }
        // Whichever runners those were on, the next one goes.
        let gone = left + 1;
        while left < gone {
            match soon(events.next()).await.unwrap() {
                PoolEvent::Grown { .. } => grown += 1,
                PoolEvent::Shrunk { .. } => left += 1,
                wrong @ (PoolEvent::BootFailed { .. } | PoolEvent::Lost { .. }) => panic!("{wrong:?}"),
                _ => {}
            }
        }
    }
    assert!(grown >= MAYFLIES, "each has joined");
}
