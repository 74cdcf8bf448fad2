//! A context in a message.
//!
//! ```text
//! context := length:varint block
//! block   := has:u8 [left:varint] [trace:25 bytes] value*     has: 1 a deadline, 2 a trace; left in microseconds
//! value   := length:varint name length:varint bytes
//! ```
//!
//! The deadline is told as the time that is left when the message is encoded: clocks of two nodes need not agree.

use std::{
    str,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use flame_transport::{codec::EncodeError, varint};
use serde::ser::Error;

use super::{Context, Inner, TraceParent, Value};

const DEADLINE: u8 = 1;
const TRACE: u8 = 2;

/// The longest context, in bytes.
const MAX_LEN: usize = 16 * 1024;
const MAX_VALUES: usize = 64;
const MAX_NAME: usize = 64;

/// A context that no correct node sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadContext;

impl Context {
    /// The block of this context; nothing at all if it is empty.
    pub(crate) fn encode(&self) -> Result<Bytes, EncodeError> {
        let Some(inner) = &self.inner else { return Ok(Bytes::new()) };
        let values = inner.encoded.get_or_init(|| inner.encode_values());
        let values = values.as_ref().map_err(Error::custom)?;
        let mut block = BytesMut::with_capacity(values.len() + 40);
        let has = |flag, is_there| if is_there { flag } else { 0 };
        block.put_u8(has(DEADLINE, inner.deadline.is_some()) | has(TRACE, inner.trace.is_some()));
        if let Some(deadline) = inner.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            varint::put(&mut block, u64::try_from(left.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(trace) = &inner.trace {
            block.extend_from_slice(&trace.to_bytes());
        }
        block.extend_from_slice(values);
        Ok(block.freeze())
    }

    /// Reads the block of a context. No block is an empty context.
    pub(crate) fn decode(mut block: &[u8]) -> Result<Self, BadContext> {
        if block.is_empty() {
            return Ok(Self::default());
        }
        let mut inner = Inner::default();
        let (&has, rest) = block.split_first().ok_or(BadContext)?;
        block = rest;
        if has & !(DEADLINE | TRACE) != 0 {
            return Err(BadContext);
        }
        if has & DEADLINE != 0 {
            let left = Duration::from_micros(varint::take(&mut block).ok_or(BadContext)?);
            // One that is further away than the clock goes is none.
            inner.deadline = Instant::now().checked_add(left);
        }
        if has & TRACE != 0 {
            let (trace, rest) = block.split_first_chunk().ok_or(BadContext)?;
            let trace = TraceParent::from_bytes(trace).ok_or(BadContext)?;
            inner.span = Some(trace.span());
            inner.trace = Some(trace);
            block = rest;
        }
        let values = Bytes::copy_from_slice(block);
        let mut rest = &values[..];
        while !rest.is_empty() {
            let name = take_part(&mut rest).filter(|name| name.len() <= MAX_NAME).ok_or(BadContext)?;
            let name = str::from_utf8(name).map_err(|_| BadContext)?;
            let bytes = take_part(&mut rest).ok_or(BadContext)?;
            if inner.values.len() == MAX_VALUES || inner.values.iter().any(|value| value.name() == name) {
                return Err(BadContext);
            }
            inner.values.push(Value::came(name, values.slice_ref(bytes)));
        }
        Ok(Self { inner: Some(inner.into()) })
    }
}

impl Inner {
    fn encode_values(&self) -> Result<Bytes, String> {
        if self.values.len() > MAX_VALUES {
            return Err(format!(
                "a context may have {MAX_VALUES} values, and this one has {}",
                self.values.len()
            ));
        }
        let (mut out, mut one) = (BytesMut::new(), BytesMut::new());
        for value in &self.values {
            let wrong = |error: String| format!("the value {:?} of the context: {error}", value.name());
            if value.name().len() > MAX_NAME {
                return Err(wrong(format!("its name is longer than {MAX_NAME} bytes")));
            }
            one.clear();
            value.encode(&mut one, MAX_LEN).map_err(|error| wrong(error.to_string()))?;
            for part in [value.name().as_bytes(), &one] {
                varint::put(&mut out, part.len() as u64);
                out.extend_from_slice(part);
            }
        }
        // What may stand before the values fits into the rest.
        const ROOM: usize = MAX_LEN - 64;
        if out.len() > ROOM {
            return Err(format!("a context may have {ROOM} bytes of values, and this one has {}", out.len()));
        }
        Ok(out.freeze())
    }
}

/// Writes the block of a context, which is not empty, into a message.
pub(crate) fn put(out: &mut BytesMut, block: &[u8]) {
    varint::put(out, block.len() as u64);
    out.extend_from_slice(block);
}

/// Takes the block of a context off the front of a message.
pub(crate) fn take<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], BadContext> {
    take_part(body).filter(|block| (1..=MAX_LEN).contains(&block.len())).ok_or(BadContext)
}

fn take_part<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(varint::take(from)?).ok()?;
    let (part, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::context::ContextValue;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Text(String);

    impl ContextValue for Text {
        const NAME: &'static str = "text";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Number(u32);

    impl ContextValue for Number {
        const NAME: &'static str = "number";
    }

    fn encoded(context: &Context) -> BytesMut {
        let mut out = BytesMut::new();
        put(&mut out, &context.encode().unwrap());
        out
    }

    fn decoded(bytes: &[u8]) -> Result<Context, BadContext> {
        let mut rest = bytes;
        let block = take(&mut rest)?;
        assert!(rest.is_empty());
        Context::decode(block)
    }

    #[test]
    fn what_is_in_a_context_arrives() {
        let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let sent = Context::default()
            .with(Text("x".repeat(1000)))
            .with(Number(7))
            .with_traceparent(trace)
            .with_deadline(deadline);
        let came = decoded(&encoded(&sent)).unwrap();
        assert_eq!(came.get::<Text>().unwrap().0.len(), 1000);
        assert_eq!(*came.get::<Number>().unwrap(), Number(7));
        assert_eq!(came.traceparent(), Some(trace));
        let left = came.deadline().unwrap().saturating_duration_since(Instant::now());
        assert!(left <= Duration::from_secs(5) && left > Duration::from_secs(4), "{left:?}");
        // Also when it is sent on, undecoded or decoded.
        let on = decoded(&encoded(&came)).unwrap();
        assert_eq!(on.get::<Text>(), sent.get::<Text>());
    }

    #[test]
    fn a_value_takes_the_place_of_the_one_of_its_type() {
        let context = Context::default().with(Number(1)).with(Text("a".into())).with(Number(2));
        let came = decoded(&encoded(&context)).unwrap();
        assert_eq!(came.get::<Number>(), Some(Number(2).into()));
        assert_eq!(came.get::<Text>(), Some(Text("a".into()).into()));
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let (soon, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let context = Context::default().with_deadline(soon).with_deadline(later);
        assert_eq!(context.deadline(), Some(soon));
    }

    #[test]
    fn a_context_that_is_too_large_is_an_error_of_its_sender() {
        let context = Context::default().with(Text("x".repeat(MAX_LEN)));
        let error = context.encode().unwrap_err().to_string();
        assert!(error.contains("text"), "{error}");
    }

    #[test]
    fn a_value_that_is_no_such_value_is_an_error_of_its_own() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Impostor(String);
        impl ContextValue for Impostor {
            const NAME: &'static str = "number";
        }
        let came = decoded(&encoded(&Context::default().with(Impostor("no number".into())))).unwrap();
        let error = came.try_get::<Number>().unwrap_err().to_string();
        assert!(error.contains("number"), "{error}");
        assert_eq!(came.get::<Number>(), None);
        assert_eq!(came.try_get::<Text>(), Ok(None));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        let mut block = vec![0];
        for _ in 0..2 {
            block.extend_from_slice(b"\x01a\x01\x00");
        }
        assert!(Context::decode(&block).is_err());
        assert!(Context::decode(&block[..5]).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded_or_longer(&bytes);
            if let Ok(context) = Context::decode(&bytes) {
                let _ = (context.try_get::<Text>(), context.try_get::<Number>());
            }
        }

        #[test]
        fn a_context_cut_short_or_changed_is_an_error_or_another_context(cut in 0_usize..60, flip in 0_usize..60, with in any::<u8>()) {
            let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
            let sent = encoded(&Context::default().with(Number(7)).with_traceparent(trace));
            let mut bytes = sent.to_vec();
            if let Some(byte) = bytes.get_mut(flip) {
                *byte ^= with;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = decoded_or_longer(&bytes).map(|context| context.try_get::<Number>());
        }
    }

    fn decoded_or_longer(bytes: &[u8]) -> Result<Context, BadContext> {
        let mut rest = bytes;
        Context::decode(take(&mut rest)?)
    }
}
