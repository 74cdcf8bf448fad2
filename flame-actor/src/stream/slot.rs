//! What a stream value holds: the source, until somebody takes it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt, stream};
use tokio::runtime::Handle;

use super::error::{StreamClosed, StreamError};

/// Where the items come from, wherever that is.
pub(super) type Source<I> = Pin<Box<dyn Stream<Item = Result<I, StreamError>> + Send>>;

/// Shared by a stream value and by what was made of it for other nodes. Whoever reads first has the source.
pub(super) struct Slot<I> {
    state: Mutex<State<I>>,
    /// The runtime that the source was made on, and is polled on when its reader is elsewhere: its own thread, so that
    /// slow work in it holds up nothing but what is there anyway.
    home: Option<Handle>,
    fate: Fate,
}

struct State<I> {
    phase: Phase<I>,
    /// An item, or the rest of one, that was put back.
    rest: Option<I>,
}

enum Phase<I> {
    Open(Source<I>),
    Ended,
    Taken,
}

/// Why nobody reads any more, once that is so; for the producer.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<Mutex<Option<StreamClosed>>>);

impl<I> Slot<I> {
    pub(super) fn new(source: Source<I>, fate: Fate) -> Arc<Self> {
        let state = State { phase: Phase::Open(source), rest: None };
        Arc::new(Self { state: Mutex::new(state), home: Handle::try_current().ok(), fate })
    }

    pub(super) fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    pub(super) fn fate(&self) -> &Fate {
        &self.fate
    }

    /// The next item, for the value's own reader.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<I, StreamError>>> {
        // A reader that always finds more must not keep its thread to itself.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let mut state = self.lock();
        if let Some(rest) = state.rest.take() {
            budget.made_progress();
            return Poll::Ready(Some(Ok(rest)));
        }
        let polled = match &mut state.phase {
            Phase::Open(source) => ready!(source.as_mut().poll_next(cx)),
            Phase::Ended => return Poll::Ready(None),
            Phase::Taken => Some(Err(StreamError::Taken)),
        };
        budget.made_progress();
        if !matches!(polled, Some(Ok(_))) {
            let ended = std::mem::replace(&mut state.phase, Phase::Ended);
            drop(state);
            // Outside of the lock: it is the user's code that goes.
            drop(ended);
        }
        Poll::Ready(polled)
    }

    /// Puts back what was not used of an item.
    pub(super) fn put_back(&self, rest: I) {
        self.lock().rest = Some(rest);
    }
}

impl<I: Send + 'static> Slot<I> {
    /// The source itself, with what was put back, for a reader elsewhere; `None` if it was taken before.
    pub(super) fn take(&self) -> Option<Source<I>> {
        let mut state = self.lock();
        let rest = stream::iter(state.rest.take().map(Ok));
        match std::mem::replace(&mut state.phase, Phase::Taken) {
            Phase::Open(source) => Some(rest.chain(source).boxed()),
            Phase::Ended => Some(rest.boxed()),
            Phase::Taken => None,
        }
    }
}

impl<I> Slot<I> {
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        // The user's code may have panicked under it; then its source is not asked again, or panics again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fate {
    pub(super) fn set(&self, closed: StreamClosed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(closed);
    }

    pub(super) fn get(&self) -> StreamClosed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(StreamClosed::Dropped)
    }
}
