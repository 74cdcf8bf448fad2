//! This process's log, captured.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The events of this process's log so far, as lines.
#[must_use]
pub fn log_lines() -> Vec<String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps what flame logs from now on.
pub fn capture_logs() {
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
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("flame") {
            let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
            event.record(&mut line);
            LOG.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
        }
    }
}
