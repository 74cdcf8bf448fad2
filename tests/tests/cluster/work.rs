//! Work on pods.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{ItemStream, RemoteRecipient, pool::machine::RunnerPhase, task};
use flame_tests::{Add, Counter};
use futures_util::{StreamExt, future};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, say},
    watch::{Object, is_running},
};

pub(crate) const CASES: &[Case] = &[
    case!(a_runner_is_a_pod_that_takes_children_calls_and_streams),
    case!(a_runner_that_is_deleted_while_it_works_is_told_as_deleted),
    case!(a_runner_pod_that_is_deleted_in_order_finishes_its_call_and_takes_no_other),
    case!(a_pool_grows_to_twenty_pods_and_back_to_none),
];

mod a_runner_is_a_pod_that_takes_children_calls_and_streams {
    use super::*;

    pub(super) async fn parent() {
        let pool = parent::pool("work").timeout(Duration::from_secs(120)).start().unwrap();
        let counter = pool.place_child(Counter(40)).await.unwrap();
        say("placed", json!({"sum": counter.send(Add(2)).await.unwrap()}));
        say("called", json!({"host": pool.call(host_name::task()).await.unwrap()}));
        let (all, heard) = oneshot::channel();
        let ear = Ear { next: 0, all: Some(all) }.start();
        pool.call(count::task(STREAMED, ear.recipient().into())).await.unwrap();
        heard.await.unwrap();
        say("streamed", json!({}));
        drop(counter);
        pool.stop().await;
        say("stopped", json!({}));
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        assert_eq!(parent.says("placed").facts["sum"], 42);
        let runner = parent.runners(SOON, 1, Object::is_there).remove(0);
        assert_eq!(parent.says("called").facts["host"], runner);
        parent.says("streamed");
        parent.says("stopped");
        parent.has_no_runner(Duration::from_secs(30));
    }
}

mod a_runner_that_is_deleted_while_it_works_is_told_as_deleted {
    use super::*;

    pub(super) async fn parent() {
        let pool = parent::pool("deleted").timeout(None).start().unwrap();
        let (begun, heard) = oneshot::channel();
        let ear = Ear { next: 0, all: Some(begun) }.start();
        let call = actix::spawn(pool.call(count_and_stay::task(STREAMED, ear.recipient().into())));
        heard.await.unwrap();
        say("works", json!({}));
        let error = call.await.unwrap().unwrap_err();
        say("failed", json!({"error": error.to_string()}));
        say("goes on", json!({"host": pool.call(host_name::task()).await.unwrap()}));
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        parent.says("works");
        let runner = parent.runners(SOON, 1, Object::is_there).remove(0);
        cluster.kubectl(&["delete", "pod", &runner, "--grace-period=0", "--force", "--wait=false"]);
        let error = parent.says("failed").facts["error"].to_string();
        assert!(error.contains("deleted"), "{error}");
        // The pool has another one, which is another pod.
        assert_ne!(parent.says("goes on").facts["host"], runner);
    }
}

mod a_runner_pod_that_is_deleted_in_order_finishes_its_call_and_takes_no_other {
    use super::*;

    pub(super) async fn parent() {
        let pool = parent::pool("leaving").max(2).timeout(Duration::from_secs(120)).start().unwrap();
        let (gate, waits) = ItemStream::channel();
        let call = actix::spawn(pool.call(host_name_after::task(waits)));
        say("works", json!({"host": pool.call(host_name::task()).await.unwrap()}));
        while !pool.inspect().runners.iter().any(|runner| runner.phase == RunnerPhase::Draining) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let next = pool.call(host_name::task()).await.unwrap();
        gate.finish();
        say("finished", json!({"host": call.await.unwrap().unwrap(), "next": next}));
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let host = parent.says("works").facts["host"].clone();
        let runner = parent.runners(SOON, 1, |pod| pod.is_there() && is_running(pod.now())).remove(0);
        assert_eq!(host, runner);
        cluster.delete_pod(&runner);
        let finished = parent.says("finished").facts;
        assert_eq!(finished["host"], host);
        assert_ne!(finished["next"], host);
        cluster.until_gone(Duration::from_secs(30), &runner);
    }
}

mod a_pool_grows_to_twenty_pods_and_back_to_none {
    use super::*;

    const MANY: u64 = 20;

    pub(super) async fn parent() {
        let pool = parent::pool("many")
            .max(MANY as u32)
            .max_concurrency(1)
            .timeout(Duration::from_secs(150))
            // Time for the test to see them all: the API shows late that a container runs.
            .idle_shutdown_after(Duration::from_secs(10))
            .start()
            .unwrap();
        let children = future::join_all((0..MANY).map(|n| pool.place_child(Counter(n)))).await;
        let children: Vec<_> = children.into_iter().map(Result::unwrap).collect();
        let sums = future::join_all(children.iter().map(|child| child.send(Add(1)))).await;
        let sum: u64 = sums.into_iter().map(Result::unwrap).sum();
        say("grown", json!({"sum": sum, "runners": pool.inspect().runners.len()}));
        drop(children);
        while !pool.inspect().runners.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        say("shrunk", json!({}));
        // It stays, so that its runners do not go because of it.
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let grown = parent.says("grown");
        assert_eq!(
            (&grown.facts["sum"], &grown.facts["runners"]),
            (&json!((1..=MANY).sum::<u64>()), &json!(MANY))
        );
        parent.runners(SOON, MANY as usize, |pod| pod.is_there() && is_running(pod.now()));
        let shrunk = parent.says("shrunk");
        parent.has_no_runner(Duration::from_secs(120));
        println!("20 pods to none: {:.1} s", (shrunk.at - grown.at).as_secs_f64());
    }
}

/// What the cluster shows a moment after the parent has said it.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// How many messages make a stream: 2 MB in all.
const STREAMED: u64 = 2_000;

/// The pod it runs in.
#[task]
pub(crate) async fn host_name() -> String {
    host()
}

/// The pod this process is in: a container is called as its pod.
pub(crate) fn host() -> String {
    std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned()
}

/// The pod it runs in, once it may return.
#[task]
async fn host_name_after(mut gate: ItemStream<()>) -> String {
    while gate.next().await.is_some() {}
    host()
}

/// One of the messages of a stream.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Numbered {
    number: u64,
    ballast: bytes::Bytes,
}

/// Sends so many messages.
#[task]
async fn count(messages: u64, to: RemoteRecipient<Numbered>) {
    let ballast = bytes::Bytes::from(vec![7; 1000]);
    for number in 0..messages {
        to.send(Numbered { number, ballast: ballast.clone() }).await.expect("the parent hears");
    }
}

/// The same, and stays.
#[task]
async fn count_and_stay(messages: u64, to: RemoteRecipient<Numbered>) {
    count(messages, to).await;
    future::pending::<()>().await;
}

/// Hears a stream, and that it is whole and in order.
struct Ear {
    next: u64,
    all: Option<oneshot::Sender<()>>,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Numbered> for Ear {
    type Result = ();

    fn handle(&mut self, message: Numbered, _: &mut Context<Self>) {
        assert_eq!((message.number, message.ballast.len()), (self.next, 1000));
        self.next += 1;
        if self.next == STREAMED
            && let Some(all) = self.all.take()
        {
            let _ = all.send(());
        }
    }
}
