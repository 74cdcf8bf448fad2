//! `task_fn!`: lines in place that run on a runner.

use std::collections::BTreeMap;

use flame_actor::{Failure, RemoteAddr, current_runner, task_fn};

use crate::support::{Log, Note, Notes, pool, soon};
use actix::Actor as _;

#[actix::test]
async fn a_block_runs_on_a_runner_with_the_variables_that_it_names() {
    let pool = pool("blocks");
    let (words, mut least) = (vec!["to".to_owned(), "be".into(), "fair".into()], 2);
    least += 1;
    let block = task_fn!(async |words: Vec<String>, least: usize| -> (BTreeMap<String, usize>, String) {
        tokio::task::yield_now().await;
        let lengths = words.into_iter().map(|word| {
            let n = word.len();
            (word, n)
        });
        (lengths.filter(|(_, n)| *n >= least).collect(), current_runner().unwrap().to_string())
    });
    let (lengths, runner) = soon(pool.call(block)).await.unwrap();
    assert_eq!(lengths, BTreeMap::from([("fair".to_owned(), 4)]));
    assert_eq!(runner, "blocks-1");
}

#[actix::test]
async fn a_block_that_is_not_async_may_block() {
    let pool = pool("blocking");
    let millis = 5;
    let slept = soon(pool.call(task_fn!(|mut millis: u64| -> u64 {
        millis += 1;
        std::thread::sleep(std::time::Duration::from_millis(millis));
        return millis;
    })));
    assert_eq!(slept.await.unwrap(), 6);
}

#[actix::test]
async fn blocks_of_one_function_are_told_apart() {
    let pool = pool("several");
    let n = 4;
    let (two, three) = (task_fn!(|n: u32| -> u32 { n * 2 }), task_fn!(|n: u32| -> u32 { n * 3 }));
    assert_eq!((soon(pool.call(two)).await.unwrap(), soon(pool.call(three)).await.unwrap()), (8, 12));
    soon(pool.call(task_fn!(|| {}))).await.unwrap();
}

#[actix::test]
async fn a_block_takes_references_and_maps_its_error() {
    let pool = pool("referring");
    let log = Log::default().start();
    let (to, path) = (RemoteAddr::from(log.clone()), "/no/such/file".to_owned());
    let outcome: Result<u64, Failure> =
        soon(pool.call(task_fn!(failure async |to: RemoteAddr<Log>, path: &str| -> std::io::Result<u64> {
            to.do_send(Note(6));
            Ok(std::fs::metadata(path)?.len())
        })))
        .await
        .unwrap();
    assert!(outcome.unwrap_err().message().contains("No such file"));
    while log.send(Notes).await.unwrap() != [6] {
        tokio::task::yield_now().await;
    }
}
