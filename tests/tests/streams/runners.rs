//! Runners with streams on them, that come and go in order.

use std::time::Duration;

use flame_actor::{ByteStream, Pool};
use flame_tests::{
    support::{Process, is_alive, signal, soon, until},
    tests,
};
use futures_util::StreamExt;
use rustix::process::Signal;

use crate::work::{pass, process_id, yes};

tests![
    dropping_a_programs_output_ends_the_program_on_its_runner,
    a_runner_that_is_told_to_go_lets_its_streams_end,
    an_idle_runner_stays_up_for_a_stream_that_stands_still,
    a_stream_flows_from_runner_to_runner_through_the_parent,
];

async fn dropping_a_programs_output_ends_the_program_on_its_runner() {
    let pool = Pool::builder("program").max(1).start().unwrap();
    let (program, mut printed) = soon(pool.call(yes::task())).await.unwrap();
    assert!(soon(printed.next()).await.unwrap().unwrap().starts_with(b"y\ny\n"));
    let program = Process::of(program);
    assert!(!program.is_gone());
    drop(printed);
    program.gone_within(Duration::from_secs(5)).await;
    until("the slot is free", || pool.inspect().held == 0).await;
}

async fn a_runner_that_is_told_to_go_lets_its_streams_end() {
    let pool = Pool::builder("leaving").max(2).start().unwrap();
    let runner = soon(pool.call(process_id::task())).await.unwrap();
    let (feed, stream) = ByteStream::channel();
    let mut passed = soon(pool.call(pass::task(stream))).await.unwrap();
    feed.send("one".into()).await.unwrap();
    assert_eq!(soon(passed.next()).await.unwrap().unwrap(), "one");
    signal(runner, Signal::TERM);
    let next = async {
        loop {
            let next = pool.call(process_id::task()).await.unwrap();
            if next != runner {
                return;
            }
        }
    };
    soon(next).await;
    feed.send("two".into()).await.unwrap();
    assert_eq!(soon(passed.next()).await.unwrap().unwrap(), "two");
    assert!(is_alive(runner));
    feed.finish();
    assert!(soon(passed.next()).await.is_none());
    until("the runner is gone", || !is_alive(runner)).await;
}

async fn an_idle_runner_stays_up_for_a_stream_that_stands_still() {
    let pool = Pool::builder("still").max(1).idle_shutdown_after(Duration::from_millis(100)).start().unwrap();
    let runner = soon(pool.call(process_id::task())).await.unwrap();
    let (feed, stream) = ByteStream::channel();
    let mut passed = soon(pool.call(pass::task(stream))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    feed.send("still there".into()).await.unwrap();
    assert_eq!(soon(passed.next()).await.unwrap().unwrap(), "still there");
    assert!(is_alive(runner));
    drop(passed);
    until("the runner is gone", || !is_alive(runner)).await;
}

async fn a_stream_flows_from_runner_to_runner_through_the_parent() {
    let one = Pool::builder("one").max(1).start().unwrap();
    let two = Pool::builder("two").max(1).start().unwrap();
    let (program, printed) = soon(one.call(yes::task())).await.unwrap();
    let mut passed = soon(two.call(pass::task(printed))).await.unwrap();
    let mut length = 0;
    while length < 1 << 20 {
        length += soon(passed.next()).await.unwrap().unwrap().len();
    }
    drop(passed);
    Process::of(program).gone_within(Duration::from_secs(5)).await;
    until("nothing is left", || {
        [&one, &two].iter().all(|pool| pool.inspect().held == 0 && pool.exports() == 0)
    })
    .await;
}
