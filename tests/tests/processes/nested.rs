//! Runners that call their parent's pools, and what goes along with it, over real processes.

use flame_actor::{CallError, Context, TraceParent, backend::ExitReason};
use flame_tests::{Tenant, call_from_a_thread, log, nested_take, process_id, processes_below, tenants_below};
use rustix::process::Signal;

use crate::support::{begun, builder, is_alive, log_lines, signal, soon, tests, until};

tests![
    runners_call_their_own_pool_and_another_and_a_pool_of_one_slot_runs_it_in_place,
    a_thread_that_the_app_starts_on_a_runner_calls_the_parents_pools_too,
    a_nested_call_tells_how_the_runner_that_had_it_was_lost,
    what_a_killed_runner_has_called_is_cancelled,
    a_context_goes_from_process_to_process,
    a_runners_events_are_logged_with_the_trace_that_they_belong_to,
];

async fn runners_call_their_own_pool_and_another_and_a_pool_of_one_slot_runs_it_in_place() {
    let (one, _two) =
        (builder("nested-one").max_concurrency(1).start().unwrap(), builder("nested-two").start().unwrap());
    let here = one.call(process_id::task()).await.unwrap();
    assert_ne!(here, std::process::id());
    let own = one.call(processes_below::task("nested-one".into(), 3)).await.unwrap();
    assert_eq!(own, [here; 4]);
    let other = one.call(processes_below::task("nested-two".into(), 1)).await.unwrap();
    assert!(matches!(other.as_slice(), [first, second] if *first == here && *second != here), "{other:?}");
}

async fn a_thread_that_the_app_starts_on_a_runner_calls_the_parents_pools_too() {
    let pool = builder("from-threads").max(2).start().unwrap();
    let (task, called) = pool.call(call_from_a_thread::task("from-threads".into())).await.unwrap();
    assert!(is_alive(task) && is_alive(called));
}

async fn a_nested_call_tells_how_the_runner_that_had_it_was_lost() {
    let (outer, inner) = (builder("outside").start().unwrap(), builder("inside").start().unwrap());
    let (to, mut begun) = begun();
    let call = actix::spawn(outer.call(nested_take::task("inside".into(), 60_000, to)));
    let pid = begun.recv().await.unwrap();
    assert_ne!(outer.call(process_id::task()).await.unwrap(), pid);
    signal(pid, Signal::KILL);
    let error = soon(call).await.unwrap().unwrap().unwrap_err();
    let CallError::RunnerLost(loss) = &error else { panic!("{error:?}") };
    assert_eq!(loss.runner.name(), "inside-1");
    assert!(matches!(loss.exit, Some(ExitReason::Signaled { signal: 9, .. })), "{loss:?}");
    drop(inner);
}

async fn what_a_killed_runner_has_called_is_cancelled() {
    let (outer, inner) = (builder("callers").start().unwrap(), builder("called").start().unwrap());
    let (to, mut begun) = begun();
    let call = actix::spawn(outer.call(nested_take::task("called".into(), 60_000, to)));
    let executing = begun.recv().await.unwrap();
    let calling = outer.call(process_id::task()).await.unwrap();
    signal(calling, Signal::KILL);
    assert!(matches!(soon(call).await.unwrap(), Err(CallError::RunnerLost(_))));
    until("the slot is free", || inner.inspect().held == 0).await;
    assert_eq!(inner.call(process_id::task()).await.unwrap(), executing, "its runner is as it was");
}

async fn a_context_goes_from_process_to_process() {
    let pool = builder("tenants").max(2).start().unwrap();
    let context = Context::current().with(Tenant("acme".into()));
    let call = context.scope(async { pool.call(tenants_below::task("tenants".into(), 2)).await });
    assert_eq!(call.await.unwrap(), ["acme", "acme", "acme"].map(|name| Some(name.to_owned())));
    let bare = pool.call(tenants_below::task("tenants".into(), 1)).await.unwrap();
    assert_eq!(bare, [None, None]);
}

async fn a_runners_events_are_logged_with_the_trace_that_they_belong_to() {
    let pool = builder("traced").start().unwrap();
    let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let context = Context::current().with_traceparent(trace);
    context.scope(async { pool.call(log::task("said in a trace".into())).await }).await.unwrap();
    until("the event is there", || log_lines().iter().any(|line| line.contains("said in a trace"))).await;
    let lines = log_lines();
    let line = lines.iter().find(|line| line.contains("said in a trace")).unwrap();
    assert!(line.contains("traceparent=\"00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{line}");
}
