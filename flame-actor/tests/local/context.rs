//! What goes with calls, children and messages.

use std::time::{Duration, Instant};

use actix::prelude::*;
use flame_actor::{
    CallError, Context as Carried, ContextValue, SendError, TraceLayer, TraceParent, remote, task,
};
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{builder, pool, soon};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tenant(String);

impl ContextValue for Tenant {
    const NAME: &'static str = "tenant";
}

fn tenant(name: &str) -> Carried {
    Carried::default().with(Tenant(name.to_owned()))
}

fn current() -> Option<String> {
    Carried::current().get::<Tenant>().map(|tenant| tenant.0.clone())
}

async fn later() -> Option<String> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    current()
}

#[task]
async fn of_a_task() -> Option<String> {
    later().await
}

#[task]
fn of_a_function() -> Option<String> {
    current()
}

#[task]
async fn time_left() -> Option<Duration> {
    left()
}

fn left() -> Option<Duration> {
    Some(Carried::current().deadline()?.saturating_duration_since(Instant::now()))
}

#[task]
async fn trace() -> Option<String> {
    tokio::task::yield_now().await;
    Carried::current().traceparent().map(|trace| trace.to_string())
}

/// Says what its context is, in each way in which a handler can answer.
#[derive(Default, Serialize, Deserialize)]
struct Asker {
    #[serde(skip)]
    started_in: Option<String>,
}

impl Actor for Asker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.started_in = current();
    }
}

macro_rules! ask {
    ($($name:ident)*) => {$(
        #[derive(Message, Serialize, Deserialize)]
        #[rtype(result = "Option<String>")]
        struct $name;
    )*};
}

ask!(Value Boxed Acting Beside Started);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Option<Duration>")]
struct Left;

#[remote]
impl Handler<Left> for Asker {
    type Result = Option<Duration>;
    fn handle(&mut self, _: Left, _: &mut Context<Self>) -> Option<Duration> {
        left()
    }
}

#[remote]
impl Handler<Value> for Asker {
    type Result = Option<String>;
    fn handle(&mut self, _: Value, _: &mut Context<Self>) -> Option<String> {
        current()
    }
}

#[remote]
impl Handler<Boxed> for Asker {
    type Result = ResponseFuture<Option<String>>;
    fn handle(&mut self, _: Boxed, _: &mut Context<Self>) -> Self::Result {
        Box::pin(later())
    }
}

#[remote]
impl Handler<Acting> for Asker {
    type Result = ResponseActFuture<Self, Option<String>>;
    fn handle(&mut self, _: Acting, _: &mut Context<Self>) -> Self::Result {
        Box::pin(later().into_actor(self))
    }
}

/// In a future of its own, which has no context but the one that it is given.
#[remote]
impl Handler<Beside> for Asker {
    type Result = ResponseFuture<Option<String>>;
    fn handle(&mut self, _: Beside, _: &mut Context<Self>) -> Self::Result {
        let (bare, scoped) = (actix_rt::spawn(later()), actix_rt::spawn(Carried::current().scope(later())));
        Box::pin(async move {
            assert_eq!(bare.await.unwrap(), None);
            scoped.await.unwrap()
        })
    }
}

#[remote]
impl Handler<Started> for Asker {
    type Result = Option<String>;
    fn handle(&mut self, _: Started, _: &mut Context<Self>) -> Option<String> {
        self.started_in.clone()
    }
}

#[actix::test]
async fn a_context_goes_with_calls_to_async_and_plain_functions() {
    let pool = pool("contexts");
    let call = tenant("acme").scope(async { pool.call(of_a_task::task()).await });
    assert_eq!(soon(call).await.unwrap().as_deref(), Some("acme"));
    let call = tenant("other").enter(|| pool.call(of_a_function::task()));
    assert_eq!(soon(call).await.unwrap().as_deref(), Some("other"), "that of where the call was made");
    // The threads that they ran on have kept nothing of it.
    for _ in 0..8 {
        assert_eq!(soon(pool.call(of_a_task::task())).await.unwrap(), None);
        assert_eq!(soon(pool.call(of_a_function::task())).await.unwrap(), None);
    }
}

#[actix::test]
async fn a_context_goes_with_messages_into_handlers_and_the_futures_that_they_return() {
    let pool = pool("handlers");
    let child = soon(pool.place_child(Asker::default())).await.unwrap();
    let one = tenant("one");
    let asked = one.enter(|| (child.send(Value), child.send(Boxed), child.send(Acting), child.send(Beside)));
    let bare = (child.send(Value), child.send(Boxed), child.send(Acting), child.send(Beside));
    assert_eq!(soon(asked.0).await.unwrap().as_deref(), Some("one"));
    assert_eq!(soon(asked.1).await.unwrap().as_deref(), Some("one"));
    assert_eq!(soon(asked.2).await.unwrap().as_deref(), Some("one"));
    assert_eq!(soon(asked.3).await.unwrap().as_deref(), Some("one"));
    assert_eq!(soon(bare.0).await.unwrap(), None);
    assert_eq!(soon(bare.1).await.unwrap(), None);
    assert_eq!(soon(bare.2).await.unwrap(), None);
    assert_eq!(soon(bare.3).await.unwrap(), None);
}

#[actix::test]
async fn a_context_goes_with_placed_children_into_started() {
    let pool = pool("children");
    let child = soon(tenant("acme").enter(|| pool.place_child(Asker::default()))).await.unwrap();
    assert_eq!(soon(child.send(Started)).await.unwrap().as_deref(), Some("acme"));
    assert_eq!(soon(child.send(Value)).await.unwrap(), None, "not beyond `started`");
}

#[actix::test]
async fn a_deadline_goes_with_calls_and_messages() {
    let (long, short) = (Duration::from_secs(60), Duration::from_secs(15));
    let pool = builder("deadlines").timeout(long).start().unwrap();
    let child = soon(pool.place_child(Asker::default())).await.unwrap();
    let in_time = |left: Option<Duration>, limit| left.is_some_and(|left| left <= limit && left * 2 > limit);
    // A call has one from its pool.
    let left = soon(pool.call(time_left::task())).await.unwrap();
    assert!(in_time(left, long), "{left:?}");
    let context = Carried::default().with_deadline(Instant::now() + short);
    let left = soon(context.enter(|| pool.call(time_left::task()))).await.unwrap();
    assert!(in_time(left, short), "{left:?}");
    let left = soon(context.enter(|| child.send(Left))).await.unwrap();
    assert!(in_time(left, short), "{left:?}");
    assert_eq!(soon(child.send(Left)).await.unwrap(), None);
}

#[actix::test]
async fn a_trace_goes_on_where_its_work_does() {
    let pool = pool("traces");
    let came: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let context = Carried::default().with_traceparent(came);
    let there = soon(context.enter(|| pool.call(trace::task()))).await.unwrap();
    assert_eq!(there.as_deref(), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    // A span is a trace to whoever has the layer.
    let subscriber = tracing_subscriber::registry().with(TraceLayer::new());
    let (here, call) = tracing::subscriber::with_default(subscriber, || {
        let _request = tracing::info_span!("request").entered();
        (Carried::current().traceparent().unwrap(), pool.call(trace::task()))
    });
    assert_eq!(soon(call).await.unwrap(), Some(here.to_string()));
}

#[actix::test]
async fn a_context_that_is_too_large_is_an_error_of_its_sender() {
    let pool = pool("large");
    let child = soon(pool.place_child(Asker::default())).await.unwrap();
    let large = tenant(&"x".repeat(20_000));
    let error = soon(large.enter(|| child.send(Value))).await.unwrap_err();
    assert!(matches!(&error, SendError::Encode(_)) && error.to_string().contains("tenant"), "{error:?}");
    let error = soon(large.enter(|| pool.call(of_a_task::task()))).await.unwrap_err();
    assert!(matches!(error, CallError::Message(SendError::Encode(_))), "{error:?}");
    assert_eq!(soon(child.send(Value)).await.unwrap(), None);
}
