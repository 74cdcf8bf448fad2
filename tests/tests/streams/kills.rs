//! Streams whose nodes are killed.

use std::time::Duration;

use flame_actor::{ByteStream, Pool, StreamClosed, StreamError};
use flame_tests::{
    support::{App, Process, say, signal, soon, until},
    tests,
};
use futures_util::StreamExt;
use rustix::process::Signal;

use crate::work::{pass, process_id, yes};

tests![
    a_killed_runner_is_a_typed_error_on_both_ends_of_every_stream_and_leaves_nothing,
    a_killed_parent_leaves_neither_runner_nor_what_it_streamed,
];

async fn a_killed_runner_is_a_typed_error_on_both_ends_of_every_stream_and_leaves_nothing() {
    let pool = Pool::builder("killed").max(1).start().unwrap();
    let runner = soon(pool.call(process_id::task())).await.unwrap();
    // One that flows through the runner, one that is silent, one that nobody reads yet, one that the runner makes.
    let (flowing, stream) = ByteStream::channel();
    let mut passed = soon(pool.call(pass::task(stream))).await.unwrap();
    let (silent, stream) = ByteStream::channel();
    let mut waiting = soon(pool.call(pass::task(stream))).await.unwrap();
    let (unread, stream) = ByteStream::channel();
    let mut later = soon(pool.call(pass::task(stream))).await.unwrap();
    let (program, mut printed) = soon(pool.call(yes::task())).await.unwrap();
    assert_eq!(pool.inspect().held, 4);
    soon(printed.next()).await.unwrap().unwrap();

    let feeding = actix::spawn(async move {
        loop {
            if let Err(closed) = flowing.send(vec![7; 64 * 1024].into()).await {
                return closed;
            }
        }
    });
    let reading = actix::spawn(async move {
        loop {
            match passed.next().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    });
    let hearing = actix::spawn(async move { silent.closed().await });
    let waiting = actix::spawn(async move { waiting.next().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!feeding.is_finished() && !reading.is_finished() && !waiting.is_finished());
    signal(runner, Signal::KILL);

    let is_loss = |error: &StreamError| matches!(error, StreamError::NodeLost { node, .. } if node.name() == "killed-1");
    for read in [reading, waiting] {
        let Some(Err(error)) = soon(read).await.unwrap() else { panic!("no error") };
        assert!(is_loss(&error) && error.to_string().contains("SIGKILL"), "{error}");
    }
    let error = soon(async {
        loop {
            if let Some(Err(error)) = printed.next().await {
                return error;
            }
        }
    })
    .await;
    assert!(is_loss(&error), "{error}");
    for closed in [feeding, hearing] {
        let closed = soon(closed).await.unwrap();
        assert!(
            matches!(&closed, StreamClosed::NodeLost { node, .. } if node.name() == "killed-1"),
            "{closed}"
        );
    }
    let closed = soon(unread.closed()).await;
    assert!(matches!(closed, StreamClosed::NodeLost { .. }), "{closed}");
    // Also the slot of the stream that is still held, and was never read.
    until("nothing is left", || pool.exports() == 0 && pool.inspect().held == 0).await;
    let Some(Err(error)) = soon(later.next()).await else { panic!("no error") };
    assert!(is_loss(&error), "{error}");
    until("the program is gone", || Process::of(program).is_gone()).await;
    assert_ne!(soon(pool.call(process_id::task())).await.unwrap(), runner);
}

async fn a_killed_parent_leaves_neither_runner_nor_what_it_streamed() {
    let mut app = App::start("endless", &[]);
    let runner = Process::of(app.pid("runner ").await);
    let program = Process::of(app.pid("program ").await);
    app.line("flowing").await;
    assert!(!runner.is_gone() && !program.is_gone());
    app.process().signal(Signal::KILL);
    runner.gone_within(Duration::from_secs(5)).await;
    program.gone_within(Duration::from_secs(1)).await;
}

/// A parent with streams both ways, for ever.
pub(crate) async fn endless() {
    let pool = Pool::builder("endless").max(1).start().unwrap();
    say(format_args!("runner {}", pool.call(process_id::task()).await.unwrap()));
    let (program, mut printed) = pool.call(yes::task()).await.unwrap();
    say(format_args!("program {program}"));
    let zeros = flame_actor::file("/dev/zero").await.unwrap();
    let mut zeros = pool.call(pass::task(zeros)).await.unwrap();
    let mut said = false;
    loop {
        let (one, two) = (printed.next().await, zeros.next().await);
        assert!(matches!((one, two), (Some(Ok(_)), Some(Ok(_)))));
        if !std::mem::replace(&mut said, true) {
            say("flowing");
        }
    }
}
