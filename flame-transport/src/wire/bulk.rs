//! The frames of a bulk stream.
//!
//! ```text
//! stream := number:u64 frame* end      the number is the one that the reader asked with, little-endian
//! frame  := length:varint bytes        length > 0
//! end    := 0 outcome:u8 words         outcome 0: all is there, 1: the producer failed, and its words, 2: it gave up
//! ```
//!
//! A stream that stops without an end was cut off by its producer, which resets it with its number as the code.

use bytes::{Buf, Bytes};

use super::{
    Malformed,
    varint::{self, Head},
};

/// The most words that a producer's failure may have, in bytes.
pub(crate) const MAX_WORDS: usize = 8 * 1024;

pub(crate) const FINISHED: u8 = 0;
pub(crate) const FAILED: u8 = 1;
pub(crate) const GIVEN_UP: u8 = 2;

/// A part of a frame, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Some of the frame's bytes; never none.
    pub bytes: Bytes,
    /// Whether they are its last.
    pub ends: bool,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Failed(String),
    /// By its producer's will, or without an end.
    GivenUp,
}

/// Takes frames from the bytes of a stream, of which it holds a few at the most.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Within a length.
    Length(Vec<u8>),
    /// Within a frame of which so many bytes are to come.
    Frame(u64),
    Outcome,
    Words(u8, Vec<u8>),
}

impl Default for State {
    fn default() -> Self {
        Self::Length(Vec::new())
    }
}

impl Parser {
    /// The next part of a frame in `input`; `None` when all of it is taken.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Part>, Malformed> {
        loop {
            let Some(&first) = input.first() else { return Ok(None) };
            match &mut self.state {
                State::Length(head) => {
                    input.advance(1);
                    head.push(first);
                    match varint::peek(head) {
                        Head::Partial => {}
                        Head::Value(0, _) => self.state = State::Outcome,
                        Head::Value(length, _) => self.state = State::Frame(length),
                        Head::Malformed => return Err(Malformed("bulk frame length")),
                    }
                }
                State::Frame(left) => {
                    let some = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= some as u64;
                    let ends = *left == 0;
                    if ends {
                        self.state = State::default();
                    }
                    return Ok(Some(Part { bytes: input.split_to(some), ends }));
                }
                State::Outcome => {
                    input.advance(1);
                    if first > GIVEN_UP {
                        return Err(Malformed("bulk outcome"));
                    }
                    self.state = State::Words(first, Vec::new());
                }
                State::Words(_, words) => {
                    if words.len() + input.len() > MAX_WORDS {
                        return Err(Malformed("bulk failure: too many words"));
                    }
                    words.extend_from_slice(input);
                    input.clear();
                }
            }
        }
    }

    /// What the stream's end means.
    pub(crate) fn end(&self) -> End {
        match &self.state {
            State::Words(FINISHED, _) => End::Finished,
            State::Words(FAILED, words) => End::Failed(String::from_utf8_lossy(words).into_owned()),
            _ => End::GivenUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    /// The frames in some bytes that come in pieces of at most `piece`.
    fn parse(bytes: &[u8], piece: usize) -> Result<(Vec<Vec<u8>>, End), Malformed> {
        let (mut parser, mut frames, mut frame) = (Parser::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(part) = parser.next(&mut input)? {
                frame.extend_from_slice(&part.bytes);
                if part.ends {
                    frames.push(std::mem::take(&mut frame));
                }
            }
        }
        Ok((frames, parser.end()))
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..9),
            gives_up in any::<bool>(), words in proptest::option::of("[a-z ]{0,40}"), piece in 1..400usize,
        ) {
            let mut out = BytesMut::new();
            for frame in &frames {
                varint::put(&mut out, frame.len() as u64);
                out.extend_from_slice(frame);
            }
            prop_assert_eq!(parse(&out, piece).unwrap(), (frames.clone(), End::GivenUp));
            let (outcome, end) = match &words {
                _ if gives_up => (GIVEN_UP, End::GivenUp),
                None => (FINISHED, End::Finished),
                Some(words) => (FAILED, End::Failed(words.clone())),
            };
            out.extend_from_slice(&[0, outcome]);
            out.extend_from_slice(words.unwrap_or_default().as_bytes());
            prop_assert_eq!(parse(&out, piece).unwrap(), (frames, end));
        }

        #[test]
        fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..99), piece in 1..99usize) {
            let _ = parse(&bytes, piece);
        }
    }

    #[test]
    fn endless_words_are_refused() {
        let bytes = [&[0, FAILED][..], &vec![b'x'; MAX_WORDS + 1]].concat();
        assert!(parse(&bytes, 100).is_err());
    }
}
