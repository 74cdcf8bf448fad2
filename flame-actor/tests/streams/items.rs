//! Streams of serde items.

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{ByteStream, ItemStream, RemoteAddr, StreamClosed, StreamError, remote, task};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::support::{Count, drain, nothing_left, pool, silent, soon, until};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    number: u64,
    text: Option<String>,
    ballast: Bytes,
}

fn line(number: u64) -> Line {
    let ballast =
        vec![number as u8; if number.is_multiple_of(100) { 100_000 } else { (number % 50) as usize }];
    Line { number, text: number.is_multiple_of(3).then(|| number.to_string()), ballast: ballast.into() }
}

/// Those that come with a text.
#[task]
async fn texts(lines: ItemStream<Line>) -> ItemStream<Line> {
    ItemStream::try_new(lines.filter(|line| {
        let keep = line.as_ref().map_or(true, |line| line.text.is_some());
        async move { keep }
    }))
}

#[actix::test]
async fn items_of_all_sizes_go_through_a_task_and_come_back_equal_and_in_order() {
    let pool = pool("items");
    let lines = ItemStream::new(stream::iter((0..1000).map(line)));
    let back: Vec<_> = soon(soon(pool.call(texts::task(lines))).await.unwrap().collect()).await;
    let back: Vec<Line> = back.into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(back, (0..1000).step_by(3).map(line).collect::<Vec<_>>());
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_failure_comes_after_the_items_before_it() {
    let pool = pool("failing");
    let (feed, lines) = ItemStream::channel();
    let mut back = soon(pool.call(texts::task(lines))).await.unwrap();
    feed.send(line(3)).await.unwrap();
    assert_eq!(soon(back.next()).await, Some(Ok(line(3))));
    feed.fail("no line 4");
    assert!(
        matches!(soon(back.next()).await, Some(Err(StreamError::Failed { message })) if message.ends_with("no line 4"))
    );
    assert_eq!(soon(back.next()).await, None);
    nothing_left(&pool).await;
}

#[derive(Serialize, Deserialize)]
struct Unspeakable(#[serde(serialize_with = "refuse")] u8);

fn refuse<S: serde::Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("not this one"))
}

#[task]
async fn unspeakable() -> ItemStream<Unspeakable> {
    ItemStream::new(stream::iter([Unspeakable(1)]))
}

#[actix::test]
async fn an_item_that_cannot_be_encoded_is_the_streams_failure() {
    let pool = pool("unspeakable");
    let mut items = soon(pool.call(unspeakable::task())).await.unwrap();
    let Some(Err(StreamError::Failed { message })) = soon(items.next()).await else { panic!("another end") };
    assert!(message.contains("not this one"), "{message}");
    nothing_left(&pool).await;
}

/// Hears notes.
#[derive(Default)]
struct Ear(Vec<u64>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Note(u64);

#[derive(Message)]
#[rtype(result = "Vec<u64>")]
struct Notes;

impl Actor for Ear {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Note> for Ear {
    type Result = ();
    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

impl Handler<Notes> for Ear {
    type Result = Vec<u64>;
    fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Vec<u64> {
        std::mem::take(&mut self.0)
    }
}

/// Tells each of so many actors its number, and goes.
#[task]
async fn tell_each(ears: ItemStream<RemoteAddr<Ear>>, count: usize) -> usize {
    let mut told = 0;
    let mut ears = ears.take(count);
    while let Some(Ok(ear)) = ears.next().await {
        ear.send(Note(told as u64)).await.unwrap();
        told += 1;
    }
    told
}

#[actix::test]
async fn addresses_in_items_work_and_those_that_nobody_came_to_read_are_given_back() {
    let pool = pool("addresses");
    let ears: Vec<_> = (0..50).map(|_| Ear::default().start()).collect();
    let addresses = || {
        let addresses: Vec<RemoteAddr<Ear>> = ears.iter().cloned().map(Into::into).collect();
        ItemStream::new(stream::iter(addresses))
    };
    assert_eq!(soon(pool.call(tell_each::task(addresses(), 1000))).await.unwrap(), 50);
    for (n, ear) in ears.iter().enumerate() {
        assert_eq!(ear.send(Notes).await.unwrap(), [n as u64]);
    }
    nothing_left(&pool).await;
    // All of them were sent, and few of them were read.
    assert_eq!(soon(pool.call(tell_each::task(addresses(), 7))).await.unwrap(), 7);
    nothing_left(&pool).await;
    let weak: Vec<_> = ears.iter().map(Addr::downgrade).collect();
    drop(ears);
    until("no actor is kept by a stream", || weak.iter().all(|ear| ear.upgrade().is_none())).await;
}

/// Keeps a stream of addresses for somebody.
#[derive(Default, Serialize, Deserialize)]
struct Shelf(#[serde(skip)] Option<ItemStream<RemoteAddr<Ear>>>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Option<ItemStream<RemoteAddr<Ear>>>")]
struct Swap(Option<ItemStream<RemoteAddr<Ear>>>);

impl Actor for Shelf {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Swap> for Shelf {
    type Result = MessageResult<Swap>;
    fn handle(&mut self, Swap(stream): Swap, _: &mut Context<Self>) -> Self::Result {
        MessageResult(std::mem::replace(&mut self.0, stream))
    }
}

/// Puts so many actors of its own runner on the shelf, and returns when they have all been told.
#[task]
async fn offer(shelf: RemoteAddr<Shelf>, count: usize) -> Vec<Vec<u64>> {
    let ears: Vec<_> = (0..count).map(|_| Ear::default().start()).collect();
    let addresses: Vec<RemoteAddr<Ear>> = ears.iter().cloned().map(Into::into).collect();
    shelf.send(Swap(Some(ItemStream::new(stream::iter(addresses))))).await.unwrap();
    let mut notes = Vec::new();
    for ear in ears {
        notes.push(loop {
            let notes = ear.send(Notes).await.unwrap();
            if !notes.is_empty() {
                break notes;
            }
            tokio::task::yield_now().await;
        });
    }
    notes
}

/// Takes what is on the shelf and tells each its number.
#[task]
async fn take(shelf: RemoteAddr<Shelf>) -> usize {
    let ears = loop {
        if let Some(ears) = shelf.send(Swap(None)).await.unwrap() {
            break ears;
        }
        tokio::task::yield_now().await;
    };
    tell_each(ears, usize::MAX).await
}

#[actix::test]
async fn addresses_in_items_lead_from_runner_to_runner() {
    let (one, two, three) = (pool("offers"), pool("shelves"), pool("takes"));
    let shelf = two.place_child(Shelf::default()).await.unwrap();
    let offering = actix::spawn(one.call(offer::task(shelf.addr(), 20)));
    assert_eq!(soon(three.call(take::task(shelf.addr()))).await.unwrap(), 20);
    let notes = soon(offering).await.unwrap().unwrap();
    assert_eq!(notes, (0..20).map(|n| vec![n]).collect::<Vec<_>>());
    drop(shelf);
    for pool in [&one, &two, &three] {
        nothing_left(pool).await;
    }
}

/// Streams of a stream.
#[task]
async fn concatenate(mut streams: ItemStream<ByteStream>) -> ByteStream {
    let (feed, all) = ByteStream::channel();
    actix::spawn(async move {
        let sending = async {
            while let Some(Ok(mut stream)) = streams.next().await {
                while let Some(Ok(chunk)) = stream.next().await {
                    feed.send(chunk).await?;
                }
            }
            Ok::<_, StreamClosed>(())
        };
        let sent = tokio::select! {
            sent = sending => sent,
            closed = feed.closed() => Err(closed),
        };
        if sent.is_ok() {
            feed.finish();
        }
    });
    all
}

#[actix::test]
async fn streams_travel_in_streams() {
    let pool = pool("nested");
    let parts = ["one ", "two ", "three"].map(|part| ByteStream::new(part.as_bytes()));
    let all = soon(pool.call(concatenate::task(ItemStream::new(stream::iter(parts))))).await.unwrap();
    assert_eq!(drain(all).await, (b"one two three".to_vec(), None));
    let count = Count::default();
    let silent: Vec<_> = (0..5).map(|_| silent(&count)).collect();
    let all = soon(pool.call(concatenate::task(ItemStream::new(stream::iter(silent))))).await.unwrap();
    assert_eq!(count.now(), 5);
    drop(all);
    until("all of them are gone", || count.now() == 0).await;
}
