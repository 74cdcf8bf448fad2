//! What the tests share.

use std::{
    fmt::{self, Write as _},
    fs,
    future::Future,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix::prelude::*;
use flame_actor::{Pool, PoolBuilder, RemoteRecipient};
use flame_tests::Begun;
use tokio::sync::mpsc;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context as LayerContext, layer::SubscriberExt};

/// A pool of one runner, which is a child process.
pub(crate) fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1)
}

/// Runs a test in an actix system, as an app would.
pub(crate) fn run(test: impl Future<Output = ()>) {
    System::new().block_on(async { soon(test).await });
}

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("within 30 s")
}

/// Looks again until it is so. What another process does comes with no event.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), looking)
        .await
        .unwrap_or_else(|_| panic!("not within 15 s: {what}"));
}

/// Whether a process runs; one that is dead and not reaped does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// Sends a signal to a process that the test has started.
pub(crate) fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Someone who hears that tasks have begun.
pub(crate) fn begun() -> (RemoteRecipient<Begun>, mpsc::UnboundedReceiver<u32>) {
    let (heard, begun) = mpsc::unbounded_channel();
    (Ear(heard).start().recipient().into(), begun)
}

struct Ear(mpsc::UnboundedSender<u32>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Begun> for Ear {
    type Result = ();
    fn handle(&mut self, Begun(pid): Begun, _: &mut Context<Self>) {
        let _ = self.0.send(pid);
    }
}

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The events of this process's log so far, as lines.
pub(crate) fn log_lines() -> Vec<String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(crate) fn capture_logs() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Capture)).unwrap();
}

struct Capture;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        if event.metadata().target().starts_with("flame") {
            let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
            event.record(&mut line);
            LOG.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
        }
    }
}

/// One trial per function, under the function's name.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$(libtest_mimic::Trial::test(
                concat!(module_path!(), "::", stringify!($name)).trim_start_matches("processes::"),
                || { crate::support::run($name()); Ok(()) },
            )),*]
        }
    };
}
pub(crate) use tests;
