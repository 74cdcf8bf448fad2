//! The frames of the data stream.
//!
//! ```text
//! frame   := length:varint kind:u8 head body          length counts all that follows it
//! Tell    := port body                                 a message
//! Ask     := port question body                        a message that is answered once
//! Reply   := question body                             the answer
//! Fail    := question failure:u8 body                  there is none, and why
//! Cut     := slot last:u8 bytes                        a piece of a frame that is too long to stand whole
//! Release := port count                                the peer's references to a port are gone
//! Closed  := port body                                 a port takes no more messages, and why
//! Cancel  := question                                  nobody waits for this answer any more
//! Return  := port [question] body                      a message that came to a closed port, as if it was never sent
//! ```
//!
//! A tell costs 4 bytes beyond its body while port and length are small, an ask 5.

use bytes::{Bytes, BytesMut};

use super::{
    Malformed,
    varint::{self, Head},
};

/// A frame up to this long, prefix included, stands whole; a longer one is cut and interleaved with others.
pub(crate) const WHOLE: usize = 66 * 1024;

/// The most payload that one piece of a cut frame carries.
pub(crate) const PIECE: usize = 32 * 1024;

/// Ports and questions are numbered densely from zero; a number beyond this is no honest peer's.
const MAX_NUMBER: u64 = u32::MAX as u64;

/// What a frame is about, without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tell { port: u32 },
    Ask { port: u32, question: u32 },
    Reply { question: u32 },
    Fail { question: u32, failure: Failure },
    Cut { slot: u32, last: bool },
    Release { port: u32, count: u32 },
    Closed { port: u32 },
    Cancel { question: u32 },
    Return { port: u32, question: Option<u32> },
}

/// Why an ask has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Failure {
    /// The answering side says why in the body.
    Refused = 0,
    /// The port is closed, or never was.
    Closed = 1,
    /// The message was taken and its answer given up.
    Dropped = 2,
}

const TELL: u8 = 0;
const ASK: u8 = 1;
const REPLY: u8 = 2;
const FAIL: u8 = 3;
const CUT: u8 = 4;
const RELEASE: u8 = 5;
const CLOSED: u8 = 6;
const CANCEL: u8 = 7;
const RETURN_TELL: u8 = 8;
const RETURN_ASK: u8 = 9;

/// The most bytes of a frame beyond its body.
pub(crate) const MAX_HEAD: usize = varint::MAX_LEN + 1 + 5 + 5;

/// Appends a whole frame.
#[inline]
pub(crate) fn put(out: &mut BytesMut, kind: Kind, body: &[u8]) {
    out.reserve(MAX_HEAD + body.len());
    put_head(out, kind, body.len());
    out.extend_from_slice(body);
}

/// Appends all of a frame but its body, which has `body` bytes and must follow.
#[inline]
pub(crate) fn put_head(out: &mut BytesMut, kind: Kind, body: usize) {
    let (tag, first, second) = parts(kind);
    let len = 1 + varint::len(u64::from(first)) + second.map_or(0, Second::len);
    // Made apart and appended once: the buffer looks for room at each append.
    let mut head = HeadBytes { bytes: [0; MAX_HEAD], len: 0 };
    head.number((len + body) as u64);
    head.byte(tag);
    head.number(u64::from(first));
    match second {
        None => {}
        Some(Second::Number(number)) => head.number(u64::from(number)),
        Some(Second::Byte(byte)) => head.byte(byte),
    }
    out.extend_from_slice(head.bytes.get(..head.len).unwrap_or_default());
}

/// What stands before a body, while it is written.
struct HeadBytes {
    bytes: [u8; MAX_HEAD],
    len: usize,
}

impl HeadBytes {
    #[inline]
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    #[inline]
    fn number(&mut self, value: u64) {
        varint::write(value, |byte| self.byte(byte));
    }
}

/// A frame at the head of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
    /// The bytes of the whole frame, its length prefix included.
    pub(crate) len: usize,
}

/// Reads the frame at the head of `bytes`; `None` while it is incomplete. `limit` bounds a whole frame.
#[inline]
pub(crate) fn peek(bytes: &[u8], limit: usize) -> Result<Option<Frame<'_>>, Malformed> {
    let (length, prefix) = match varint::peek(bytes) {
        Head::Value(length, prefix) => (length, prefix),
        Head::Partial => return Ok(None),
        Head::Malformed => return Err(Malformed("frame length")),
    };
    if length < 1 || length > (limit - prefix) as u64 {
        return Err(Malformed("frame: its length is beyond the limit"));
    }
    let len = prefix + length as usize;
    let Some(rest) = bytes.get(prefix..len) else { return Ok(None) };
    let (kind, body) = parse(rest)?;
    Ok(Some(Frame { kind, body, len }))
}

/// The frames that stand whole in a segment, one after the other.
///
/// The segment comes from this node's own reader, which has parsed every frame once.
#[derive(Debug)]
pub(crate) struct Frames {
    segment: Bytes,
    at: usize,
}

impl Frames {
    pub(crate) fn new(segment: Bytes) -> Self {
        Self { segment, at: 0 }
    }

    /// The next frame's kind and body.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Kind, &[u8])> {
        let rest = self.segment.get(self.at..)?;
        let Ok(Some(frame)) = peek(rest, usize::MAX) else { return None };
        self.at += frame.len;
        Some((frame.kind, frame.body))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.segment.len()
    }
}

#[derive(Clone, Copy)]
enum Second {
    Number(u32),
    Byte(u8),
}

impl Second {
    fn len(self) -> usize {
        match self {
            Self::Number(number) => varint::len(u64::from(number)),
            Self::Byte(_) => 1,
        }
    }
}

#[inline]
fn parts(kind: Kind) -> (u8, u32, Option<Second>) {
    match kind {
        Kind::Tell { port } => (TELL, port, None),
        Kind::Ask { port, question } => (ASK, port, Some(Second::Number(question))),
        Kind::Reply { question } => (REPLY, question, None),
        Kind::Fail { question, failure } => (FAIL, question, Some(Second::Byte(failure as u8))),
        Kind::Cut { slot, last } => (CUT, slot, Some(Second::Byte(u8::from(last)))),
        Kind::Release { port, count } => (RELEASE, port, Some(Second::Number(count))),
        Kind::Closed { port } => (CLOSED, port, None),
        Kind::Cancel { question } => (CANCEL, question, None),
        Kind::Return { port, question: None } => (RETURN_TELL, port, None),
        Kind::Return { port, question: Some(question) } => (RETURN_ASK, port, Some(Second::Number(question))),
    }
}

#[inline]
fn parse(mut rest: &[u8]) -> Result<(Kind, &[u8]), Malformed> {
    const HEAD: Malformed = Malformed("frame head");
    let (&tag, after) = rest.split_first().ok_or(HEAD)?;
    rest = after;
    let first = number(&mut rest).ok_or(HEAD)?;
    let kind = match tag {
        TELL => Kind::Tell { port: first },
        ASK => Kind::Ask { port: first, question: number(&mut rest).ok_or(HEAD)? },
        REPLY => Kind::Reply { question: first },
        FAIL => {
            let failure = match byte(&mut rest).ok_or(HEAD)? {
                0 => Failure::Refused,
                1 => Failure::Closed,
                2 => Failure::Dropped,
                _ => return Err(Malformed("failure")),
            };
            Kind::Fail { question: first, failure }
        }
        CUT => match byte(&mut rest).ok_or(HEAD)? {
            last @ (0 | 1) => Kind::Cut { slot: first, last: last == 1 },
            _ => return Err(Malformed("cut frame")),
        },
        RELEASE => Kind::Release { port: first, count: number(&mut rest).ok_or(HEAD)? },
        CLOSED => Kind::Closed { port: first },
        CANCEL => Kind::Cancel { question: first },
        RETURN_TELL => Kind::Return { port: first, question: None },
        RETURN_ASK => Kind::Return { port: first, question: Some(number(&mut rest).ok_or(HEAD)?) },
        _ => return Err(Malformed("frame kind")),
    };
    Ok((kind, rest))
}

#[inline]
fn number(rest: &mut &[u8]) -> Option<u32> {
    varint::take(rest).filter(|&n| n <= MAX_NUMBER).map(|n| n as u32)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        let n = || prop_oneof![0..200u32, any::<u32>()];
        prop_oneof![
            n().prop_map(|port| Kind::Tell { port }),
            (n(), n()).prop_map(|(port, question)| Kind::Ask { port, question }),
            n().prop_map(|question| Kind::Reply { question }),
            n().prop_map(|question| Kind::Fail { question, failure: Failure::Dropped }),
            (n(), any::<bool>()).prop_map(|(slot, last)| Kind::Cut { slot, last }),
            (n(), n()).prop_map(|(port, count)| Kind::Release { port, count }),
            n().prop_map(|port| Kind::Closed { port }),
            n().prop_map(|question| Kind::Cancel { question }),
            (n(), proptest::option::of(n())).prop_map(|(port, question)| Kind::Return { port, question }),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_comes_back_and_no_part_of_it_is_taken_for_a_frame(
            kind in kinds(), body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut out = BytesMut::new();
            put(&mut out, kind, &body);
            for cut in 0..out.len() {
                prop_assert!(peek(&out[..cut], WHOLE).unwrap().is_none());
            }
            out.extend_from_slice(b"next");
            let frame = peek(&out, WHOLE).unwrap().unwrap();
            prop_assert_eq!(frame.kind, kind);
            prop_assert_eq!(frame.body, &body[..]);
            prop_assert_eq!(frame.len, out.len() - 4);
        }

        #[test]
        fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = peek(&bytes, WHOLE);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_malformed_before_its_bytes_arrive() {
        let mut out = BytesMut::new();
        varint::put(&mut out, (WHOLE + 1) as u64);
        assert!(peek(&out, WHOLE).is_err());
    }

    #[test]
    fn a_small_tell_costs_four_bytes_and_an_ask_five() {
        let (mut tell, mut ask) = (BytesMut::new(), BytesMut::new());
        put(&mut tell, Kind::Tell { port: 3 }, &[0; 64]);
        put(&mut ask, Kind::Ask { port: 3, question: 9 }, &[0; 64]);
        assert_eq!((tell.len() - 64, ask.len() - 64), (3, 4));
    }
}
