//! `task_fn!`: lines in place that run in another process, with the variables that they name.

use flame_actor::{ByteStream, task_fn};
use flame_tests::{support::soon, tests};
use futures_util::TryStreamExt;

use crate::work::{drain, nothing_left, pool};

tests![lines_in_place_run_on_a_runner_with_what_they_name, lines_in_place_take_a_stream_and_return_one,];

async fn lines_in_place_run_on_a_runner_with_what_they_name() {
    let pool = pool("blocks");
    let (words, least) = (vec!["to".to_owned(), "be".into(), "fair".into()], 3);
    let found = soon(pool.call(task_fn!(async |words: Vec<String>, least: usize| -> (u32, Vec<String>) {
        tokio::task::yield_now().await;
        (std::process::id(), words.into_iter().filter(|word| word.len() >= least).collect())
    })));
    let (runner, long) = found.await.unwrap();
    assert_ne!(runner, std::process::id());
    assert_eq!(long, ["fair"]);
    // One that may block, and is another although it stands in the same function.
    let same = soon(pool.call(task_fn!(|runner: u32| -> bool { std::process::id() == runner })));
    assert!(same.await.unwrap());
}

async fn lines_in_place_take_a_stream_and_return_one() {
    let pool = pool("piped");
    let text = ByteStream::new(&b"quiet"[..]);
    let loud = soon(pool.call(task_fn!(async |text: ByteStream| -> ByteStream {
        ByteStream::from_stream(text.map_ok(|bytes| bytes.to_ascii_uppercase().into()))
    })));
    assert_eq!(drain(loud.await.unwrap()).await, (b"QUIET".to_vec(), None));
    nothing_left(&pool).await;
}
