//! The frames of the control stream, after the handshake: few, small, and never behind a long message.
//!
//! ```text
//! frame  := length:varint kind:u8 body
//! Ping   := number            Pong := number
//! Credit := port messages bytes                        what a port's owner has handled since the last one
//! Window := messages bytes                             the same for the whole link
//! Signal := bytes                                      a notice of the layer above
//! ```

use bytes::{BufMut, BytesMut};

use super::{
    Malformed,
    varint::{self, Head},
};

/// The longest control frame: a signal is a notice, not a message.
pub(crate) const MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control<'a> {
    Ping { number: u64 },
    Pong { number: u64 },
    Credit { port: u32, messages: u64, bytes: u64 },
    Window { messages: u64, bytes: u64 },
    Signal(&'a [u8]),
}

/// Appends a control frame.
pub(crate) fn put(out: &mut BytesMut, control: Control<'_>) {
    let (kind, numbers, tail): (u8, [Option<u64>; 3], &[u8]) = match control {
        Control::Ping { number } => (0, [Some(number), None, None], &[]),
        Control::Pong { number } => (1, [Some(number), None, None], &[]),
        Control::Credit { port, messages, bytes } => {
            (2, [Some(u64::from(port)), Some(messages), Some(bytes)], &[])
        }
        Control::Window { messages, bytes } => (3, [Some(messages), Some(bytes), None], &[]),
        Control::Signal(body) => (4, [None; 3], body),
    };
    let length = 1 + numbers.iter().flatten().map(|&n| varint::len(n)).sum::<usize>() + tail.len();
    varint::put(out, length as u64);
    out.put_u8(kind);
    for number in numbers.into_iter().flatten() {
        varint::put(out, number);
    }
    out.put_slice(tail);
}

/// Reads the control frame at the head of `bytes` and how many bytes it takes; `None` while it is incomplete.
pub(crate) fn peek(bytes: &[u8]) -> Result<Option<(Control<'_>, usize)>, Malformed> {
    const BAD: Malformed = Malformed("control frame");
    let (length, prefix) = match varint::peek(bytes) {
        Head::Partial => return Ok(None),
        Head::Value(length, prefix) if (1..=MAX as u64).contains(&length) => (length as usize, prefix),
        _ => return Err(BAD),
    };
    let Some(rest) = bytes.get(prefix..prefix + length) else { return Ok(None) };
    let (kind, mut rest) = rest.split_first().ok_or(BAD)?;
    let mut number = || varint::take(&mut rest).ok_or(BAD);
    let control = match kind {
        0 => Control::Ping { number: number()? },
        1 => Control::Pong { number: number()? },
        2 => Control::Credit {
            port: u32::try_from(number()?).map_err(|_| BAD)?,
            messages: number()?,
            bytes: number()?,
        },
        3 => Control::Window { messages: number()?, bytes: number()? },
        4 => Control::Signal(std::mem::take(&mut rest)),
        _ => return Err(BAD),
    };
    if !rest.is_empty() {
        return Err(BAD);
    }
    Ok(Some((control, prefix + length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_control_frame_comes_back(a in any::<u64>(), port in any::<u32>(), b in any::<u64>(), s in proptest::collection::vec(any::<u8>(), 0..99)) {
            for control in [
                Control::Ping { number: a }, Control::Pong { number: b },
                Control::Credit { port, messages: a, bytes: b },
                Control::Window { messages: b, bytes: a }, Control::Signal(&s),
            ] {
                let mut out = BytesMut::new();
                put(&mut out, control);
                for cut in 0..out.len() {
                    prop_assert!(peek(&out[..cut]).unwrap().is_none());
                }
                prop_assert_eq!(peek(&out).unwrap(), Some((control, out.len())));
            }
        }

        #[test]
        fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = peek(&bytes);
        }
    }
}
