//! What goes with a call, a placed child or a message: its deadline, its trace, and values of the app's own.
//!
//! A [`Context`] is *current* for a piece of code. What is sent from there takes it along, and it is current again where
//! the message is handled. A message that is sent without one pays nothing for it.
//!
//! | module | what it holds |
//! |---|---|
//! | `value` | values that the app registers by their type |
//! | `trace` | the W3C trace context, and how `tracing` spans have one |
//! | `wire` | how a context stands in a message |

mod trace;
mod value;
mod wire;

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;

pub use trace::{InvalidTraceParent, TraceLayer, TraceParent};
pub use value::{ContextError, ContextValue};
pub(crate) use wire::{put, take};

use value::Value;

/// What goes with a piece of work wherever it leads: a deadline, a trace, and values of the app's own.
///
/// The context of a call, of a placed child and of a message is that of the code that sent it, and is current
///
/// - in a task, from its begin to its end,
/// - in the body of a `handle` of a placed actor, and in the `ResponseFuture` or `ResponseActFuture` that it returns,
/// - in `started` of a placed actor, and while its value is decoded.
///
/// Elsewhere, in an `AtomicResponse` or in a future that is spawned for example, it is carried on with [`scope`](Context::scope). A message to an actor
/// that was not placed, of which only an `Addr` or a `Recipient` was sent, goes through actix's own mailbox, where it
/// loses its context.
///
/// A context is immutable and cheap to clone; the `with` functions make another one. It may have 16 KiB and 64 values: more
/// is an encode error of what is sent with it.
///
/// # Examples
///
/// ```
/// use flame_actor::{Context, ContextValue, Pool, backend::LocalBackend, task};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Tenant(String);
///
/// impl ContextValue for Tenant {
///     const NAME: &'static str = "tenant";
/// }
///
/// #[task]
/// async fn who_asks() -> Option<String> {
///     Some(Context::current().get::<Tenant>()?.0.clone())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder("tenants").backend(LocalBackend::new()).start()?;
/// let context = Context::current().with(Tenant("acme".into()));
/// let tenant = context.scope(async { pool.call(who_asks::task()).await }).await?;
/// assert_eq!(tenant.as_deref(), Some("acme"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Context {
    inner: Option<Arc<Inner>>,
}

#[derive(Clone, Default)]
struct Inner {
    deadline: Option<Instant>,
    trace: Option<TraceParent>,
    /// Few: they are found by looking through them.
    values: Vec<Value>,
    /// Encoded once, however many messages take them along.
    encoded: OnceLock<Result<Bytes, String>>,
    /// Entered together with a context that came from elsewhere.
    span: Option<tracing::Span>,
}

thread_local! {
    static CURRENT: RefCell<Context> = const { RefCell::new(Context { inner: None }) };
}

impl Context {
    /// The context of the code that asks; empty if there is none. Its trace is that of the current `tracing` span if
    /// the app has a [`TraceLayer`].
    #[must_use]
    pub fn current() -> Self {
        // Gone while the thread ends, when destructors may still send.
        let current = CURRENT.try_with(|current| current.borrow().clone()).unwrap_or_default();
        match trace::of_current_span() {
            Some(trace) if current.traceparent() != Some(trace) => current.with_traceparent(trace),
            _ => current,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.is_none()
    }

    /// When the work has to be done by. A call that is made in this context has no longer than that.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.as_ref()?.deadline
    }

    /// The trace that the work belongs to.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.inner.as_ref()?.trace
    }

    /// A value of the app's. `None` if there is none of this type, or it cannot be decoded, which is logged;
    /// [`try_get`](Context::try_get) tells them apart.
    #[must_use]
    pub fn get<T: ContextValue>(&self) -> Option<Arc<T>> {
        self.try_get().unwrap_or_else(|error| {
            tracing::warn!(%error, "a value of the context cannot be had");
            None
        })
    }

    /// A value of the app's, if it is there. It is decoded when it is first asked for.
    ///
    /// # Errors
    ///
    /// See [`ContextError`].
    pub fn try_get<T: ContextValue>(&self) -> Result<Option<Arc<T>>, ContextError> {
        let Some(inner) = &self.inner else { return Ok(None) };
        let value = inner.values.iter().find(|value| value.name() == T::NAME);
        value.map(Value::get::<T>).transpose()
    }

    /// This context with a value more, or another in place of the one of that type.
    #[must_use]
    pub fn with<T: ContextValue>(&self, value: T) -> Self {
        self.changed(|inner| {
            inner.values.retain(|value| value.name() != T::NAME);
            inner.values.push(Value::new(value));
            inner.encoded = OnceLock::new();
        })
    }

    /// This context with a deadline; an earlier one stays.
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        self.changed(|inner| {
            inner.deadline = Some(inner.deadline.map_or(deadline, |before| before.min(deadline)));
        })
    }

    /// This context with a trace, for example that of the request which the app is serving.
    #[must_use]
    pub fn with_traceparent(&self, trace: TraceParent) -> Self {
        self.changed(|inner| inner.trace = Some(trace))
    }

    /// Makes this the current context of a future, whenever and wherever that is polled.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.enter(|| future.as_mut().poll(cx))).await
    }

    /// Makes this the current context of a function, while that runs.
    pub fn enter<R>(&self, code: impl FnOnce() -> R) -> R {
        let _outer = Outer(CURRENT.try_with(|current| current.replace(self.clone())).ok());
        let _span = self.inner.as_ref().and_then(|inner| inner.span.as_ref()).map(tracing::Span::enter);
        code()
    }

    fn changed(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = self.inner.as_deref().cloned().unwrap_or_default();
        change(&mut inner);
        Self { inner: Some(Arc::new(inner)) }
    }
}

/// Puts the outer context back, also when the code panics.
struct Outer(Option<Context>);

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            let inner = CURRENT.try_with(|current| current.replace(outer));
            drop(inner);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let empty = Inner::default();
        let inner = self.inner.as_deref().unwrap_or(&empty);
        f.debug_struct("Context")
            .field("deadline", &inner.deadline)
            .field("traceparent", &inner.trace.map(|trace| trace.to_string()))
            .field("values", &inner.values.iter().map(Value::name).collect::<Vec<_>>())
            .finish()
    }
}
