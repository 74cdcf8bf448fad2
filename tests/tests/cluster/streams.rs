//! Streams between pods.

use std::{
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{ByteStream, ItemStream, RemoteRecipient, StreamError, task};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, say},
    watch::Object,
    work::{SOON, host},
};

pub(crate) const CASES: &[Case] = &[
    case!(bytes_and_items_flow_into_a_pod_and_back_and_arrive_as_they_were),
    case!(a_reader_that_goes_ends_the_work_in_the_pod),
];

mod bytes_and_items_flow_into_a_pod_and_back_and_arrive_as_they_were {
    use super::*;

    pub(super) async fn parent() {
        let content: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect();
        std::fs::write(FILE, &content).unwrap();
        let open = || async { flame_actor::file(FILE).await.unwrap() };
        let pool = parent::pool("streams").timeout(Duration::from_secs(120)).start().unwrap();

        let (host, there, count) = pool.call(take::task(open().await, items())).await.unwrap();
        assert_eq!((there.unwrap(), count), (hash(open().await).await.unwrap(), ITEMS));
        say("taken", json!({"host": host}));

        let (host, bytes, items) = pool.call(turn::task(open().await, items())).await.unwrap();
        let bytes = ByteStream::from_stream(bytes.map_ok(|chunk| turned(&chunk)));
        let (back, items) = future::join(hash(bytes), items.try_collect::<Vec<_>>()).await;
        assert_eq!(back.unwrap(), hash(open().await).await.unwrap());
        assert_eq!(items.unwrap(), (0..ITEMS).map(|n| (n, format!("{n}, turned"))).collect::<Vec<_>>());
        say("turned", json!({"host": host}));
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let taken = parent.says("taken").facts;
        let runner = parent.runners(SOON, 1, Object::is_there).remove(0);
        assert_eq!(taken["host"], runner);
        assert_eq!(parent.says("turned").facts["host"], runner);
    }
}

mod a_reader_that_goes_ends_the_work_in_the_pod {
    use super::*;

    pub(super) async fn parent() {
        let pool = parent::pool("generator").timeout(Duration::from_secs(120)).start().unwrap();
        let (to, mut ended) = oneshot::channel();
        let ear = Ear(Some(to)).start();
        let mut numbers = pool.call(count::task(ear.recipient().into())).await.unwrap();
        for n in 0..1000 {
            assert_eq!(numbers.next().await, Some(Ok(n)));
        }
        say("counts", json!({"held": pool.inspect().held}));
        assert!(ended.try_recv().is_err(), "it has ended before");
        drop(numbers);
        say("ended", json!({"host": ended.await.unwrap()}));
        while pool.inspect().held > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        say("free", json!({}));
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        assert_eq!(parent.says("counts").facts["held"], 1);
        let runner = parent.runners(SOON, 1, Object::is_there).remove(0);
        assert_eq!(parent.says("ended").facts["host"], runner);
        parent.says("free");
    }
}

/// A folder that a pod of a restricted namespace can write to.
const FILE: &str = "/tmp/content";
const BYTES: usize = 8 << 20;
const ITEMS: u64 = 5_000;

fn items() -> ItemStream<(u64, String)> {
    ItemStream::new(stream::iter((0..ITEMS).map(|n| (n, n.to_string()))))
}

async fn hash(mut bytes: ByteStream) -> Result<u64, StreamError> {
    let mut hasher = DefaultHasher::new();
    while let Some(chunk) = bytes.try_next().await? {
        // However the bytes are cut, the hash is the same.
        hasher.write(&chunk);
    }
    Ok(hasher.finish())
}

fn turned(chunk: &[u8]) -> Bytes {
    chunk.iter().map(|byte| !byte).collect()
}

/// The pod it ran in, the hash of the bytes, and the number of items that came in order.
#[task]
async fn take(bytes: ByteStream, items: ItemStream<(u64, String)>) -> (String, Option<u64>, u64) {
    let in_order = items.enumerate().filter(|(at, item)| {
        future::ready(matches!(item, Ok((n, text)) if *n == *at as u64 && *text == n.to_string()))
    });
    let (hash, count) = future::join(hash(bytes), in_order.count()).await;
    (host(), hash.ok(), count as u64)
}

/// The pod it ran in, and what came, changed.
#[task]
async fn turn(
    bytes: ByteStream,
    items: ItemStream<(u64, String)>,
) -> (String, ByteStream, ItemStream<(u64, String)>) {
    let items = items.map_ok(|(n, text)| (n, format!("{text}, turned")));
    (host(), ByteStream::from_stream(bytes.map_ok(|chunk| turned(&chunk))), ItemStream::try_new(items))
}

/// Counts for ever, and tells when that ends.
#[task]
async fn count(end: RemoteRecipient<Ended>) -> ItemStream<u64> {
    let work = Work(end);
    ItemStream::new(stream::iter(0..).inspect(move |_| {
        let _ = &work;
    }))
}

struct Work(RemoteRecipient<Ended>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.do_send(Ended { host: host() });
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Ended {
    host: String,
}

struct Ear(Option<oneshot::Sender<String>>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Ended> for Ear {
    type Result = ();

    fn handle(&mut self, Ended { host }: Ended, _: &mut Context<Self>) {
        if let Some(to) = self.0.take() {
            let _ = to.send(host);
        }
    }
}
