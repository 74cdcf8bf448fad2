//! How streams end: what is told to the other process, and that the work there ends too.

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{ByteStream, ItemStream, RemoteRecipient, StreamClosed, StreamError, task};
use flame_tests::{
    support::{soon, until},
    tests,
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::work::{Meter, drain, metered, no_source, nothing_left, pool, zeros};

tests![
    an_end_and_each_error_of_a_source_in_the_parent_is_told_to_the_runner,
    an_end_and_each_error_of_a_source_on_a_runner_is_told_to_the_parent,
    items_end_with_the_same_errors,
    a_reader_on_a_runner_that_goes_ends_the_source_in_the_parent,
    a_reader_in_the_parent_that_goes_ends_the_source_on_the_runner,
    a_call_that_is_dropped_ends_the_streams_in_its_arguments,
];

/// How a source ends, and what its reader hears of it.
const ENDS: [&str; 4] = ["finished", "failed", "dropped", "panicked"];

fn heard(end: &str) -> Option<StreamError> {
    match end {
        "failed" => Some(StreamError::Failed { message: "the tape broke".into() }),
        "dropped" => Some(StreamError::GivenUp),
        "panicked" => Some(StreamError::Failed { message: "it panicked: out of paint".into() }),
        _ => None,
    }
}

/// Some bytes, and this end.
#[task]
async fn source(end: String) -> ByteStream {
    if end == "panicked" {
        let chunks = stream::iter(0..).map(|n| match n {
            0 => Ok::<_, StreamError>(Bytes::from_static(b"so far")),
            _ => panic!("out of paint"),
        });
        return ByteStream::from_stream(chunks);
    }
    let (feed, stream) = ByteStream::channel();
    actix::spawn(async move {
        feed.send("so far".into()).await.unwrap();
        match end.as_str() {
            "finished" => feed.finish(),
            "failed" => feed.fail("the tape broke"),
            _ => drop(feed),
        }
    });
    stream
}

/// All that comes, and the error that ended it.
#[task]
async fn drain_there(stream: ByteStream) -> (Bytes, String) {
    let (bytes, error) = drain(stream).await;
    (bytes.into(), format!("{error:?}"))
}

async fn an_end_and_each_error_of_a_source_in_the_parent_is_told_to_the_runner() {
    let pool = pool("told");
    for end in ENDS {
        let stream = source(end.into()).await;
        let (bytes, error) = soon(pool.call(drain_there::task(stream))).await.unwrap();
        assert_eq!((&*bytes, error), (&b"so far"[..], format!("{:?}", heard(end))), "{end}");
    }
    nothing_left(&pool).await;
}

async fn an_end_and_each_error_of_a_source_on_a_runner_is_told_to_the_parent() {
    let pool = pool("tells");
    for end in ENDS {
        let stream = soon(pool.call(source::task(end.into()))).await.unwrap();
        assert_eq!(drain(stream).await, (b"so far".to_vec(), heard(end)), "{end}");
    }
    nothing_left(&pool).await;
}

#[task]
async fn pass_items(items: ItemStream<u64>) -> ItemStream<u64> {
    items
}

async fn items_end_with_the_same_errors() {
    let pool = pool("items-end");
    for end in ["finished", "failed", "dropped"] {
        let (feed, items) = ItemStream::channel();
        let items = soon(pool.call(pass_items::task(items))).await.unwrap();
        feed.send(7).await.unwrap();
        match end {
            "finished" => feed.finish(),
            "failed" => feed.fail("the tape broke"),
            _ => drop(feed),
        }
        let all: Vec<_> = soon(items.collect()).await;
        assert_eq!(all, [Ok(7)].into_iter().chain(heard(end).map(Err)).collect::<Vec<_>>(), "{end}");
    }
    nothing_left(&pool).await;
}

/// Reads so many chunks and returns.
#[task]
async fn taste(mut stream: ByteStream, chunks: usize) {
    for _ in 0..chunks {
        stream.next().await.unwrap().unwrap();
    }
}

async fn a_reader_on_a_runner_that_goes_ends_the_source_in_the_parent() {
    let pool = pool("tastes");
    let meter = Meter::new();
    for chunks in [0, 3] {
        soon(pool.call(taste::task(meter.endless(), chunks))).await.unwrap();
        until("the source is gone", || meter.sources() == 0).await;
    }
    for chunks in [0, 1] {
        let (feed, stream) = ByteStream::channel();
        let tasting = actix::spawn(pool.call(taste::task(stream, chunks)));
        let feeding = async {
            loop {
                if let Err(closed) = feed.send(vec![0; 100_000].into()).await {
                    return closed;
                }
            }
        };
        assert_eq!(soon(feeding).await, StreamClosed::Dropped);
        assert_eq!(soon(feed.closed()).await, StreamClosed::Dropped);
        soon(tasting).await.unwrap().unwrap();
    }
    nothing_left(&pool).await;
}

/// Feeds a stream until nobody reads it, and tells why it has stopped.
#[task]
async fn feed_until_closed(to: RemoteRecipient<Closed>) -> ByteStream {
    let (feed, stream) = ByteStream::channel();
    actix::spawn(async move {
        let closed = loop {
            if let Err(closed) = feed.send(vec![0; 100_000].into()).await {
                break closed;
            }
        };
        to.do_send(Closed(format!("{closed:?}")));
    });
    stream
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Closed(String);

struct Ear(mpsc::UnboundedSender<String>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Closed> for Ear {
    type Result = ();

    fn handle(&mut self, Closed(why): Closed, _: &mut Context<Self>) {
        let _ = self.0.send(why);
    }
}

async fn a_reader_in_the_parent_that_goes_ends_the_source_on_the_runner() {
    let pool = pool("goes");
    let (to, mut heard) = mpsc::unbounded_channel();
    let ear = Ear(to).start().recipient();
    for chunks in [0, 3] {
        let (mut flowing, mut fed) = (
            soon(pool.call(zeros::task())).await.unwrap(),
            soon(pool.call(feed_until_closed::task(ear.clone().into()))).await.unwrap(),
        );
        for _ in 0..chunks {
            soon(flowing.next()).await.unwrap().unwrap();
            soon(fed.next()).await.unwrap().unwrap();
        }
        assert_eq!(soon(pool.call(metered::task())).await.unwrap().0, 1);
        drop((flowing, fed));
        assert_eq!(soon(heard.recv()).await.unwrap(), format!("{:?}", StreamClosed::Dropped));
        no_source(&pool).await;
    }
    drop(ear);
    nothing_left(&pool).await;
}

async fn a_call_that_is_dropped_ends_the_streams_in_its_arguments() {
    let pool = pool("dropped");
    let meter = Meter::new();
    let call = actix::spawn(pool.call(taste::task(meter.endless(), usize::MAX)));
    until("it flows", || meter.bytes() > 10 << 20).await;
    call.abort();
    until("the source is gone", || meter.sources() == 0).await;
    nothing_left(&pool).await;
}
