//! The frames of the data stream.
//!
//! ```text
//! frame   := length:varint head body          length counts all that follows it
//! head    := Tell | Ask | Reply | Other
//! Tell    := port × 4                          a message
//! Ask     := port × 4 + 1, question            a message that is answered once
//! Reply   := question × 4 + 2                  the answer
//! Other   := kind × 4 + 3, one of:
//! Fail    := question failure                  there is no answer, and why
//! Cut     := slot last                         a piece of a frame that is too long to stand whole
//! Release := port count                        the peer's references to a port are gone
//! Closed  := port                              a port takes no more messages, and why
//! Cancel  := question                          nobody waits for this answer any more
//! Return  := port [question]                   a message that came to a closed port, as if it was never sent
//! ```
//!
//! All numbers are varints. The kinds that come with each message share a byte with a small number: beyond its body a tell
//! costs 2 bytes, an ask 3.

use bytes::{Bytes, BytesMut};

use super::{
    Malformed,
    varint::{self, Head},
};

/// A frame up to this long, prefix included, stands whole; a longer one is cut and interleaved with others.
pub(crate) const WHOLE: usize = 66 * 1024;

/// The most payload that one piece of a cut frame carries.
pub(crate) const PIECE: usize = 32 * 1024;

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

// What the first number of a head is, in its two lowest bits.
const TELL: u64 = 0;
const ASK: u64 = 1;
const REPLY: u64 = 2;
const OTHER: u64 = 3;

// The other kinds.
const FAIL: u32 = 0;
const CUT: u32 = 1;
const RELEASE: u32 = 2;
const CLOSED: u32 = 3;
const CANCEL: u32 = 4;
const RETURN_TELL: u32 = 5;
const RETURN_ASK: u32 = 6;

/// The most bytes of a frame beyond its body.
pub(crate) const MAX_HEAD: usize = varint::MAX_LEN + 5 + 5 + 5;

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
    let parts = parts(kind);
    match (parts.first, parts.second, parts.third) {
        // Most heads are of small numbers only: each of them is its own varint.
        (first @ ..ONE_BYTE, None, None) if body < SHORT => {
            out.extend_from_slice(&[body as u8 + 1, first as u8]);
        }
        (first @ ..ONE_BYTE, Some(second), None) if u64::from(second) < ONE_BYTE && body < SHORT => {
            out.extend_from_slice(&[body as u8 + 2, first as u8, second as u8]);
        }
        _ => put_long_head(out, &parts, body),
    }
}

/// From here on a number takes more bytes than one.
const ONE_BYTE: u64 = 0x80;
/// The length of a frame with a shorter body takes one byte, if no number of its head takes more.
const SHORT: usize = 0x80 - 2;

fn put_long_head(out: &mut BytesMut, parts: &Parts, body: usize) {
    // Made apart and appended once: the buffer looks for room at each append.
    let mut head = HeadBytes { bytes: [0; MAX_HEAD], len: 0 };
    head.number((parts.len() + body) as u64);
    head.number(parts.first);
    for number in [parts.second, parts.third].into_iter().flatten() {
        head.number(u64::from(number));
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

/// The numbers of a head.
struct Parts {
    first: u64,
    second: Option<u32>,
    third: Option<u32>,
}

impl Parts {
    #[inline]
    fn usual(tag: u64, number: u32, second: Option<u32>) -> Self {
        Self { first: u64::from(number) * 4 + tag, second, third: None }
    }

    #[inline]
    fn other(kind: u32, second: u32, third: Option<u32>) -> Self {
        Self { first: u64::from(kind) * 4 + OTHER, second: Some(second), third }
    }

    #[inline]
    fn len(&self) -> usize {
        let len = |number: Option<u32>| number.map_or(0, |number| varint::len(u64::from(number)));
        varint::len(self.first) + len(self.second) + len(self.third)
    }
}

#[inline]
fn parts(kind: Kind) -> Parts {
    match kind {
        Kind::Tell { port } => Parts::usual(TELL, port, None),
        Kind::Ask { port, question } => Parts::usual(ASK, port, Some(question)),
        Kind::Reply { question } => Parts::usual(REPLY, question, None),
        Kind::Fail { question, failure } => Parts::other(FAIL, question, Some(failure as u32)),
        Kind::Cut { slot, last } => Parts::other(CUT, slot, Some(u32::from(last))),
        Kind::Release { port, count } => Parts::other(RELEASE, port, Some(count)),
        Kind::Closed { port } => Parts::other(CLOSED, port, None),
        Kind::Cancel { question } => Parts::other(CANCEL, question, None),
        Kind::Return { port, question: None } => Parts::other(RETURN_TELL, port, None),
        Kind::Return { port, question: Some(question) } => Parts::other(RETURN_ASK, port, Some(question)),
    }
}

#[inline]
fn parse(mut rest: &[u8]) -> Result<(Kind, &[u8]), Malformed> {
    let first = varint::take(&mut rest).ok_or(HEAD)?;
    let number = u32::try_from(first / 4).map_err(|_| HEAD)?;
    let kind = match first % 4 {
        TELL => Kind::Tell { port: number },
        ASK => Kind::Ask { port: number, question: take(&mut rest)? },
        REPLY => Kind::Reply { question: number },
        _ => parse_other(number, &mut rest)?,
    };
    Ok((kind, rest))
}

fn parse_other(kind: u32, rest: &mut &[u8]) -> Result<Kind, Malformed> {
    let number = take(rest)?;
    Ok(match kind {
        FAIL => {
            let failure = match take(rest)? {
                0 => Failure::Refused,
                1 => Failure::Closed,
                2 => Failure::Dropped,
                _ => return Err(Malformed("failure")),
            };
            Kind::Fail { question: number, failure }
        }
        CUT => match take(rest)? {
            last @ (0 | 1) => Kind::Cut { slot: number, last: last == 1 },
            _ => return Err(Malformed("cut frame")),
        },
        RELEASE => Kind::Release { port: number, count: take(rest)? },
        CLOSED => Kind::Closed { port: number },
        CANCEL => Kind::Cancel { question: number },
        RETURN_TELL => Kind::Return { port: number, question: None },
        RETURN_ASK => Kind::Return { port: number, question: Some(take(rest)?) },
        _ => return Err(Malformed("frame kind")),
    })
}

const HEAD: Malformed = Malformed("frame head");

/// Ports and questions are numbered densely from zero; a number of more than 32 bits is no honest peer's.
#[inline]
fn take(rest: &mut &[u8]) -> Result<u32, Malformed> {
    varint::take(rest).and_then(|number| u32::try_from(number).ok()).ok_or(HEAD)
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
    fn heads_whose_numbers_just_fit_a_byte_or_do_not_come_back() {
        let edges = |number: u32| number - 3..number + 3;
        for (len, port, question) in edges(128).flat_map(|len| {
            edges(32).flat_map(move |port| edges(128).map(move |question| (len as usize, port, question)))
        }) {
            for kind in [Kind::Tell { port }, Kind::Ask { port, question }, Kind::Reply { question: port }] {
                let mut out = BytesMut::new();
                put(&mut out, kind, &vec![7; len]);
                let frame = peek(&out, WHOLE).unwrap().unwrap();
                assert_eq!((frame.kind, frame.body.len(), frame.len), (kind, len, out.len()));
            }
        }
    }

    #[test]
    fn a_small_tell_costs_two_bytes_and_an_ask_three() {
        let (mut tell, mut ask) = (BytesMut::new(), BytesMut::new());
        put(&mut tell, Kind::Tell { port: 3 }, &[0; 64]);
        put(&mut ask, Kind::Ask { port: 3, question: 9 }, &[0; 64]);
        assert_eq!((tell.len() - 64, ask.len() - 64), (2, 3));
    }
}
