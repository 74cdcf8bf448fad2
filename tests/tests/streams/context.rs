//! What goes with calls, children and messages into another process.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{Context as Carried, RemoteRecipient, TraceParent, remote, task};
use flame_tests::{Tenant, support::soon, tests};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::work::pool;

tests![
    a_context_goes_with_calls_of_async_and_plain_functions,
    a_context_goes_with_a_placed_child,
    a_context_goes_with_messages_into_each_way_to_handle_them,
    a_context_goes_with_tells_both_to_the_runner_and_from_it,
];

/// What is found of a context.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    tenant: Option<String>,
    trace: Option<String>,
    /// Whether there are 300 to 600 s left.
    in_time: bool,
}

fn found() -> Found {
    let context = Carried::current();
    let left = context.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    Found {
        tenant: context.get::<Tenant>().map(|tenant| tenant.0.clone()),
        trace: context.traceparent().map(|trace| trace.to_string()[..TRACE.len()].to_owned()),
        in_time: left.is_some_and(|left| (300..=600).contains(&left.as_secs())),
    }
}

/// The version and the number of a trace, which stay wherever it leads; the span is another one in each place.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736";

fn sent() -> Carried {
    let trace: TraceParent = format!("{TRACE}-00f067aa0ba902b7-01").parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(600);
    Carried::default().with(Tenant("acme".into())).with_traceparent(trace).with_deadline(deadline)
}

fn all() -> Found {
    Found { tenant: Some("acme".into()), trace: Some(TRACE.into()), in_time: true }
}

fn nothing() -> Found {
    Found { tenant: None, trace: None, in_time: false }
}

/// Found after others have had the thread.
async fn later() -> Found {
    tokio::time::sleep(Duration::from_millis(2)).await;
    found()
}

#[task]
async fn of_a_task() -> Found {
    later().await
}

#[task]
fn of_a_function() -> Found {
    found()
}

async fn a_context_goes_with_calls_of_async_and_plain_functions() {
    // Its own limit is beyond the context's deadline.
    let pool = flame_actor::Pool::builder("calls").max(1).timeout(Duration::from_secs(3600)).start().unwrap();
    let call = sent().scope(async { pool.call(of_a_task::task()).await });
    assert_eq!(soon(call).await.unwrap(), all());
    assert_eq!(soon(sent().enter(|| pool.call(of_a_function::task()))).await.unwrap(), all());
    // The threads that they ran on have kept nothing of it.
    for _ in 0..8 {
        assert_eq!(soon(pool.call(of_a_task::task())).await.unwrap(), nothing());
        assert_eq!(soon(pool.call(of_a_function::task())).await.unwrap(), nothing());
    }
}

/// Says what its context is, in each way in which a handler can answer.
#[derive(Default, Serialize, Deserialize)]
struct Asker {
    #[serde(skip)]
    at_start: Option<Found>,
}

impl Actor for Asker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.at_start = Some(found());
    }
}

macro_rules! ask {
    ($($name:ident)*) => {$(
        #[derive(Message, Serialize, Deserialize)]
        #[rtype(result = "Found")]
        struct $name;
    )*};
}

ask!(InBody InFuture InActFuture InScope AtStart);

#[remote]
impl Handler<InBody> for Asker {
    type Result = MessageResult<InBody>;
    fn handle(&mut self, _: InBody, _: &mut Context<Self>) -> Self::Result {
        MessageResult(found())
    }
}

#[remote]
impl Handler<AtStart> for Asker {
    type Result = MessageResult<AtStart>;
    fn handle(&mut self, _: AtStart, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.at_start.take().unwrap())
    }
}

#[remote]
impl Handler<InFuture> for Asker {
    type Result = ResponseFuture<Found>;
    fn handle(&mut self, _: InFuture, _: &mut Context<Self>) -> Self::Result {
        Box::pin(later())
    }
}

#[remote]
impl Handler<InActFuture> for Asker {
    type Result = ResponseActFuture<Self, Found>;
    fn handle(&mut self, _: InActFuture, _: &mut Context<Self>) -> Self::Result {
        Box::pin(later().into_actor(self))
    }
}

/// In a future of its own, which has no context but the one that it is given.
#[remote]
impl Handler<InScope> for Asker {
    type Result = ResponseFuture<Found>;
    fn handle(&mut self, _: InScope, _: &mut Context<Self>) -> Self::Result {
        let (bare, scoped) = (actix::spawn(later()), actix::spawn(Carried::current().scope(later())));
        Box::pin(async move {
            assert_eq!(bare.await.unwrap(), nothing());
            scoped.await.unwrap()
        })
    }
}

async fn a_context_goes_with_a_placed_child() {
    let pool = pool("children");
    let child = soon(sent().enter(|| pool.place_child(Asker::default()))).await.unwrap();
    assert_eq!(soon(child.send(AtStart)).await.unwrap(), all());
    assert_eq!(soon(child.send(InBody)).await.unwrap(), nothing(), "not beyond `started`");
}

async fn a_context_goes_with_messages_into_each_way_to_handle_them() {
    let pool = pool("handlers");
    let child = soon(pool.place_child(Asker::default())).await.unwrap();
    let ask = || [child.send(InBody).boxed(), child.send(InFuture).boxed(), child.send(InActFuture).boxed()];
    // Those with and those without are under way together.
    let (asked, bare) = (sent().enter(ask), ask());
    let scoped = sent().enter(|| child.send(InScope));
    for asked in asked {
        assert_eq!(soon(asked).await.unwrap(), all());
    }
    for bare in bare {
        assert_eq!(soon(bare).await.unwrap(), nothing());
    }
    assert_eq!(soon(scoped).await.unwrap(), all());
}

/// Passes on what it finds, as a message that goes with the same context.
#[derive(Serialize, Deserialize)]
struct Teller(RemoteRecipient<Tell>);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Tell(Option<Found>);

impl Actor for Teller {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Tell> for Teller {
    type Result = ();
    fn handle(&mut self, _: Tell, _: &mut Context<Self>) {
        self.0.do_send(Tell(Some(found())));
    }
}

struct Ear(mpsc::UnboundedSender<Option<Found>>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Tell> for Ear {
    type Result = ();
    fn handle(&mut self, Tell(found): Tell, _: &mut Context<Self>) {
        let _ = self.0.send(found);
    }
}

async fn a_context_goes_with_tells_both_to_the_runner_and_from_it() {
    let pool = pool("tells");
    let (to, mut heard) = mpsc::unbounded_channel();
    let teller = Teller(Ear(to).start().recipient().into());
    let teller = soon(pool.place_child(teller)).await.unwrap();
    sent().enter(|| teller.do_send(Tell(None)));
    teller.do_send(Tell(None));
    assert_eq!(soon(heard.recv()).await.unwrap(), Some(all()));
    assert_eq!(soon(heard.recv()).await.unwrap(), Some(nothing()));
}
