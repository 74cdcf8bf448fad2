//! A runner's log, on its way to the parent's.
//!
//! Events wait in a bounded queue; beyond it they are left out and counted, because a log must never hold up the work
//! that it tells of.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flame_transport::{Body, MAIN_PORT, SendError};
use tokio::sync::mpsc;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    layer::{Context, SubscriberExt as _},
};

use crate::{
    context::TraceLayer,
    host::protocol::{LogLine, ToParent, cut},
    remote::Peer,
};

/// Sends a runner's `tracing` events to the parent's log, under the target `flame::runner` with the fields `runner`,
/// `pool`, `origin` and, where the event belongs to a trace, `traceparent`.
///
/// [`Runner::serve`](super::Runner::serve) installs it, from the level `INFO` up, where the app has no subscriber of its own. An app that
/// has adds this layer to it. In the parent it does nothing. 1024 events wait at most; of more, the parent's log says how
/// many are missing.
#[derive(Debug, Default, Clone, Copy)]
#[non_exhaustive]
pub struct ForwardLayer;

impl ForwardLayer {
    /// The layer.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

const QUEUE: usize = 1024;
/// Lines of one message to the parent.
const BATCH: usize = 64;

struct Queue {
    send: mpsc::Sender<LogLine>,
    receive: Mutex<Option<mpsc::Receiver<LogLine>>>,
    missed: AtomicU64,
}

// A process has one log, as it has one global subscriber.
static QUEUE_OF_PROCESS: OnceLock<Queue> = OnceLock::new();

/// Makes the forwarding layer the process's subscriber, if it has none.
pub(super) fn install() {
    let _ = queue();
    let forward = ForwardLayer::new().with_filter(LevelFilter::INFO);
    // Its filter is what keeps the details of the transport, which are several events a packet, from being made at all.
    let trace = TraceLayer::new().with_filter(filter_fn(|of| of.is_span() && !is_transport(of.target())));
    // An app that has set its own keeps it.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(trace).with(forward));
}

/// Whether a span is one of the libraries that carry the link, which belong to no trace.
fn is_transport(target: &str) -> bool {
    ["quinn", "rustls", "mio", "tokio"].iter().any(|library| target.starts_with(library))
}

/// Starts to send what is logged; `None` if that is being done already.
pub(super) fn forward(
    peer: &Arc<Peer>,
    runtime: &tokio::runtime::Handle,
) -> Option<tokio::task::AbortHandle> {
    let mut lines = queue().receive.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let peer = Arc::clone(peer);
    let task = runtime.spawn(async move {
        let Some(link) = peer.link() else { return };
        let lane = link.lane(MAIN_PORT);
        let mut batch = Vec::new();
        while lines.recv_many(&mut batch, BATCH).await > 0 {
            let log = ToParent::Log(std::mem::take(&mut batch)).encode();
            while let Err(SendError::Full) = lane.try_tell(Body::Copy(&log)) {
                // The parent is busy; meanwhile the queue fills, and then events are left out.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    Some(task.abort_handle())
}

fn queue() -> &'static Queue {
    QUEUE_OF_PROCESS.get_or_init(|| {
        let (send, receive) = mpsc::channel(QUEUE);
        Queue { send, receive: Mutex::new(Some(receive)), missed: AtomicU64::new(0) }
    })
}

impl<S: Subscriber> Layer<S> for ForwardLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Only a runner has the queue; elsewhere there is nobody to forward to.
        let Some(queue) = QUEUE_OF_PROCESS.get() else { return };
        let mut message = Line::default();
        event.record(&mut message);
        let metadata = event.metadata();
        let missed = queue.missed.swap(0, Ordering::Relaxed);
        let line = LogLine {
            level: number_of(*metadata.level()),
            target: metadata.target().to_owned(),
            message: cut(message.0),
            traceparent: crate::Context::current().traceparent().map(|trace| trace.to_string()),
            missed,
        };
        if queue.send.try_send(line).is_err() {
            queue.missed.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }
}

/// The message of an event and its fields, as one line.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, "{name}={value:?}"),
        };
    }
}

fn number_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Puts a runner's events into this process's log.
pub(crate) fn relay(lines: Vec<LogLine>, runner: &str, pool: &str) {
    for LogLine { level, target: origin, message, traceparent, missed } in lines {
        if missed > 0 {
            tracing::warn!(target: "flame::runner", runner, pool, missed, "events of the runner's log are missing here");
        }
        macro_rules! relay {
            ($level:expr) => {
                tracing::event!(target: "flame::runner", $level, runner, pool, origin, traceparent = traceparent.as_deref(), "{message}")
            };
        }
        match level {
            1 => relay!(Level::ERROR),
            2 => relay!(Level::WARN),
            3 => relay!(Level::INFO),
            4 => relay!(Level::DEBUG),
            _ => relay!(Level::TRACE),
        }
    }
}
