//! Several parents and pools in one process, in any runtime.

use flame_actor::{Parent, task};

use crate::support::{Log, Note, Notes, builder, soon};

#[task]
async fn who() -> Option<String> {
    flame_actor::current_runner().map(|node| node.name().to_owned())
}

#[actix::test]
async fn two_parents_and_three_pools_in_one_process_know_nothing_of_each_other() {
    let (one, two) = (Parent::new("one").unwrap(), Parent::new("two").unwrap());
    let pools = [
        builder("a").parent(&one).start().unwrap(),
        builder("b").parent(&one).start().unwrap(),
        builder("a").parent(&two).start().unwrap(),
    ];
    let mut logs = Vec::new();
    for (n, pool) in (0..).zip(&pools) {
        let log = soon(pool.place_child(Log(vec![n]))).await.unwrap();
        log.do_send(Note(n));
        logs.push(log);
    }
    for (n, log) in (0..).zip(&logs) {
        assert_eq!(soon(log.send(Notes)).await.unwrap(), [n, n]);
    }
    let names: Vec<_> = logs.iter().map(|log| log.runner().name().to_owned()).collect();
    assert_eq!(names, ["a-1", "b-1", "a-1"]);
    assert_ne!(logs[0].runner(), logs[2].runner(), "two lives of one name");
    drop(logs);
    for pool in &pools {
        soon(pool.stop()).await;
    }
}

#[actix::test]
async fn code_on_a_runner_knows_which_runner_it_is_on() {
    let pool = builder("me").start().unwrap();
    assert_eq!(soon(pool.call(who::task())).await.unwrap().as_deref(), Some("me-1"));
    assert_eq!(flame_actor::current_runner(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_works_in_a_tokio_runtime_with_many_threads() {
    let pool = builder("tokio").start().unwrap();
    let log = soon(pool.place_child(Log::default())).await.unwrap();
    let address = log.addr();
    tokio::spawn(async move { address.send(Note(1)).await.unwrap() }).await.unwrap();
    assert_eq!(log.send(Notes).await.unwrap(), [1]);
    let pool = pool.clone();
    assert!(tokio::spawn(async move { pool.call(who::task()).await }).await.unwrap().unwrap().is_some());
}
