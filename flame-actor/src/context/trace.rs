//! The W3C trace context, and how `tracing` spans have one.

use std::{cell::RefCell, fmt, str::FromStr};

use ring::rand::{SecureRandom, SystemRandom};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer, registry::LookupSpan};

/// Where some work stands in a distributed trace: the `traceparent` of the W3C Trace Context.
///
/// # Examples
///
/// ```
/// use flame_actor::{Context, TraceParent};
///
/// // From the header of the request that the app serves.
/// let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let context = Context::current().with_traceparent(trace);
/// assert_eq!(context.traceparent().map(|trace| trace.to_string()).as_deref(),
///     Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
/// # Ok::<(), flame_actor::InvalidTraceParent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a traceparent: it has to look like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, with no id all zero"
)]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The number of the whole trace.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        u128::from_be_bytes(self.trace)
    }

    /// The number of the span in it.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        u64::from_be_bytes(self.span)
    }

    /// Whether the caller may have recorded the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(super) fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [0; 25];
        let parts = self.trace.iter().chain(&self.span).chain([&self.flags]);
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = *part);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 25]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let parent = Self { trace: *trace, span: *span, flags: *rest.first()? };
        parent.is_valid().then_some(parent)
    }

    /// The span of work that came with this.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::info_span!(target: "flame::context", "remote", traceparent = %self)
    }

    fn is_valid(&self) -> bool {
        self.trace_id() != 0 && self.span_id() != 0
    }

    /// Another span of the same trace.
    fn child(&self) -> Self {
        Self { span: random(), ..*self }
    }

    fn root() -> Self {
        Self { trace: random(), span: random(), flags: 1 }
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(InvalidTraceParent);
        let (version, trace, span, flags) = (part()?, part()?, part()?, part()?);
        // A version to come may have more parts behind these.
        let more = parts.next().is_some();
        let [version] = hex::<1>(version)?;
        if version == 0xff || (version == 0 && more) {
            return Err(InvalidTraceParent);
        }
        let [flags] = hex(flags)?;
        let parent = Self { trace: hex(trace)?, span: hex(span)?, flags };
        parent.is_valid().then_some(parent).ok_or(InvalidTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id(), self.span_id(), self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceParent({self})")
    }
}

/// Gives each `tracing` span a place in a trace, so that [`Context::current`](super::Context::current) has the one of the
/// current span, and work on a runner goes on in its caller's trace.
///
/// Add it to the app's subscriber; in a runner that has none of its own it is there. An app that has OpenTelemetry does
/// not need it: it takes the trace from its own propagator to [`Context::with_traceparent`](super::Context::with_traceparent).
///
/// # Examples
///
/// ```
/// use flame_actor::{Context, TraceLayer};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(TraceLayer::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let request = tracing::info_span!("request").entered();
///     assert!(Context::current().traceparent().is_some());
///     drop(request);
///     assert!(Context::current().traceparent().is_none());
/// });
/// ```
#[derive(Debug, Default, Clone, Copy)]
#[non_exhaustive]
pub struct TraceLayer;

impl TraceLayer {
    /// The layer.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

thread_local! {
    /// The spans that this thread is in.
    static ENTERED: RefCell<Vec<(Id, TraceParent)>> = const { RefCell::new(Vec::new()) };
}

/// The place of the current span, if there is a [`TraceLayer`].
pub(super) fn of_current_span() -> Option<TraceParent> {
    ENTERED.try_with(|entered| entered.borrow().last().map(|(_, trace)| *trace)).ok().flatten()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut came = Came(None);
        attributes.record(&mut came);
        let above = || span.parent()?.extensions().get::<TraceParent>().copied();
        let trace = match came.0.or_else(above) {
            Some(above) => above.child(),
            // A piece of work that has a trace and no span.
            None => super::CURRENT
                .try_with(|current| current.borrow().traceparent())
                .ok()
                .flatten()
                .map_or_else(TraceParent::root, |above| above.child()),
        };
        span.extensions_mut().insert(trace);
    }

    fn on_enter(&self, id: &Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let Some(trace) = span.extensions().get::<TraceParent>().copied() else { return };
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), trace)));
    }

    fn on_exit(&self, id: &Id, _: layer::Context<'_, S>) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            // Spans need not be left in the order in which they were entered.
            if let Some(place) = entered.iter().rposition(|(other, _)| other == id) {
                entered.remove(place);
            }
        });
    }
}

/// Finds the field of [`TraceParent::span`].
struct Came(Option<TraceParent>);

impl Visit for Came {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "traceparent" {
            self.0 = format!("{value:?}").parse().ok();
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness the id is all ones, which still is one.
    if SystemRandom::new().fill(&mut bytes).is_err() || bytes == [0; N] {
        bytes = [0xff; N];
    }
    bytes
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], InvalidTraceParent> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() == 2 * N).ok_or(InvalidTraceParent)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::context::Context;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_as_the_standard_says() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(TraceParent::from_bytes(&parent.to_bytes()), Some(parent));
        assert!(parent.is_sampled());
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(later.parse(), Ok(parent));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad:?}");
        }
    }

    #[test]
    fn spans_within_each_other_are_of_one_trace_and_others_of_another() {
        let subscriber = tracing_subscriber::registry().with(TraceLayer::new());
        tracing::subscriber::with_default(subscriber, || {
            let trace = || Context::current().traceparent().unwrap();
            let outer = tracing::info_span!("outer").entered();
            let outside = trace();
            let inside = tracing::info_span!("inner").in_scope(trace);
            assert_eq!(inside.trace_id(), outside.trace_id());
            assert_ne!(inside.span_id(), outside.span_id());
            assert_eq!(trace(), outside);
            drop(outer);
            assert_ne!(tracing::info_span!("another").in_scope(trace).trace_id(), outside.trace_id());
        });
    }

    #[test]
    fn work_that_came_from_elsewhere_goes_on_in_its_trace() {
        let subscriber = tracing_subscriber::registry().with(TraceLayer::new());
        tracing::subscriber::with_default(subscriber, || {
            let came: TraceParent = GOOD.parse().unwrap();
            let context = Context::default().with_traceparent(came);
            // With the span of its message, and without.
            let here = came.span().in_scope(|| Context::current().traceparent().unwrap());
            assert_eq!(here.trace_id(), came.trace_id());
            assert_ne!(here.span_id(), came.span_id());
            let spanned = || Context::current().traceparent().unwrap();
            let here = context.enter(|| tracing::info_span!("work").in_scope(spanned));
            assert_eq!(here.trace_id(), came.trace_id());
        });
    }
}
