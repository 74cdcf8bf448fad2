//! What streams are made of, and where they can stand.

use std::{io::Cursor, sync::Arc};

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{ByteStream, ItemStream, StreamError, remote, task};
use flame_tests::{support::soon, tests};
use futures_util::{TryStreamExt, future, stream};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::work::{drain, nothing_left, pass, pattern, pool};

tests![
    bytes_from_a_file_a_reader_and_a_hand_are_arguments_and_results,
    items_of_all_sizes_are_arguments_and_results,
    both_are_fields_of_actors_and_of_messages,
    a_stream_that_was_sent_over_two_links_is_read_over_one,
];

/// All the bytes, or how it ended instead.
#[task]
async fn collect(stream: ByteStream) -> Result<Bytes, String> {
    match drain(stream).await {
        (bytes, None) => Ok(bytes.into()),
        (_, Some(error)) => Err(format!("{error:?}")),
    }
}

fn reader(bytes: &[u8]) -> ByteStream {
    ByteStream::new(Cursor::new(bytes.to_vec()))
}

fn by_hand(bytes: &[u8]) -> ByteStream {
    let (feed, stream) = ByteStream::channel();
    let bytes = Bytes::copy_from_slice(bytes);
    actix::spawn(async move {
        // In pieces of all sizes.
        let mut at = 0;
        for size in (1..).map(|n| n * 97 % 70_000) {
            let end = bytes.len().min(at + size);
            feed.send(bytes.slice(at..end)).await.unwrap();
            at = end;
            if at == bytes.len() {
                return feed.finish();
            }
        }
    });
    stream
}

async fn bytes_from_a_file_a_reader_and_a_hand_are_arguments_and_results() {
    let pool = pool("bytes");
    let content = pattern(3_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    let open = || async { flame_actor::file(file.path()).await.unwrap() };
    for stream in [open().await, reader(&content), by_hand(&content)] {
        assert!(soon(pool.call(collect::task(stream))).await.unwrap() == Ok(content.clone().into()));
    }
    for stream in [open().await, reader(&content), by_hand(&content)] {
        let back = soon(pool.call(pass::task(stream))).await.unwrap();
        assert!(drain(back).await == (content.clone(), None));
    }
    nothing_left(&pool).await;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    number: u64,
    text: Option<String>,
    ballast: Bytes,
}

fn line(number: u64) -> Line {
    let ballast = if number.is_multiple_of(100) { 100_000 } else { number % 50 };
    Line {
        number,
        text: number.is_multiple_of(3).then(|| number.to_string()),
        ballast: vec![number as u8; ballast as usize].into(),
    }
}

/// Those with a text, and how many there were.
#[task]
async fn texts(lines: ItemStream<Line>) -> ItemStream<Line> {
    ItemStream::try_new(lines.try_filter(|line| future::ready(line.text.is_some())))
}

#[task]
async fn are_in_order(lines: ItemStream<Line>) -> Result<u64, String> {
    let count = lines.try_fold(0, |n, got| async move {
        assert_eq!(got, line(n));
        Ok(n + 1)
    });
    count.await.map_err(|error| error.to_string())
}

async fn items_of_all_sizes_are_arguments_and_results() {
    let pool = pool("items");
    let lines = || ItemStream::new(stream::iter((0..1000).map(line)));
    assert_eq!(soon(pool.call(are_in_order::task(lines()))).await.unwrap(), Ok(1000));
    let back = soon(pool.call(texts::task(lines()))).await.unwrap();
    let back: Vec<Line> = soon(back.try_collect()).await.unwrap();
    assert_eq!(back, (0..1000).step_by(3).map(line).collect::<Vec<_>>());
    nothing_left(&pool).await;
}

/// Has streams from its birth, takes others, and gives those away that it had.
#[derive(Serialize, Deserialize)]
struct Holder(Option<(ByteStream, ItemStream<Line>)>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "(ByteStream, ItemStream<Line>)")]
struct Swap(ByteStream, ItemStream<Line>);

impl Actor for Holder {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Swap> for Holder {
    type Result = MessageResult<Swap>;

    fn handle(&mut self, Swap(bytes, lines): Swap, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.0.replace((bytes, lines)).unwrap())
    }
}

async fn both_are_fields_of_actors_and_of_messages() {
    let pool = pool("fields");
    let lines = |from: u64| ItemStream::new(stream::iter((from..from + 100).map(line)));
    let holder = Holder(Some((reader(b"from its birth"), lines(0))));
    let holder = soon(pool.place_child(holder)).await.unwrap();
    for (had, first, given) in [("from its birth", 0, "by message"), ("by message", 1, "never read")] {
        let swap = holder.send(Swap(reader(given.as_bytes()), lines(first + 1)));
        let (bytes, items) = soon(swap).await.unwrap();
        assert_eq!(drain(bytes).await, (had.into(), None));
        let items: Vec<Line> = soon(items.try_collect()).await.unwrap();
        assert_eq!(items, (first..first + 100).map(line).collect::<Vec<_>>());
    }
    drop(holder);
    nothing_left(&pool).await;
}

/// One stream in two messages, as no other value could be.
#[derive(Clone)]
struct Shared(Arc<ByteStream>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ByteStream::deserialize(deserializer).map(|stream| Self(Arc::new(stream)))
    }
}

#[task]
async fn collect_shared(stream: Shared) -> Result<Bytes, String> {
    collect(Arc::into_inner(stream.0).unwrap()).await
}

async fn a_stream_that_was_sent_over_two_links_is_read_over_one() {
    let (one, two) = (pool("first"), pool("second"));
    let taken = Err(format!("{:?}", StreamError::Taken));
    let (feed, stream) = ByteStream::channel();
    let shared = Shared(Arc::new(stream));
    let reading = actix::spawn(one.call(collect_shared::task(shared.clone())));
    // More than what waits unread: the first has it.
    for _ in 0..20 {
        soon(feed.send("first ".into())).await.unwrap();
    }
    assert_eq!(soon(two.call(collect_shared::task(shared.clone()))).await.unwrap(), taken);
    feed.finish();
    assert_eq!(soon(reading).await.unwrap().unwrap(), Ok("first ".repeat(20).into()));
    // Nor is there anything for whoever comes when all has been read, here or there.
    for pool in [&one, &two] {
        assert_eq!(soon(pool.call(collect_shared::task(shared.clone()))).await.unwrap(), taken);
    }
    let stream = Arc::into_inner(shared.0).unwrap();
    assert_eq!(drain(stream).await, (Vec::new(), Some(StreamError::Taken)));
    nothing_left(&one).await;
    nothing_left(&two).await;
}
