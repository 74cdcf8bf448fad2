//! What waits to be written to the data stream: small frames side by side in one buffer, larger ones as they are, long
//! ones cut into pieces that take turns.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};

use super::MAX_CUTS;
use crate::wire::frame::{self, Kind, PIECE, WHOLE};

/// The content of a message. Up to 8 KiB it is copied into the link's buffer either way; beyond that
/// [`Body::Own`] spares the copy.
#[derive(Debug)]
pub enum Body<'a> {
    /// Bytes that the caller keeps.
    Copy(&'a [u8]),
    /// Bytes that are handed over.
    Own(Bytes),
}

impl Body<'_> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copy(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The bytes, copied if they are not owned.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Copy(bytes) => Bytes::copy_from_slice(bytes),
            Self::Own(bytes) => bytes,
        }
    }
}

/// The most room that a tail starts with.
const LARGE: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ready: Vec<Bytes>,
    tail: BytesMut,
    /// How much was in the tail when it was last taken: as much room as the next one starts with.
    usual: usize,
    cuts: VecDeque<Long>,
    /// Ports with a long message under way; what follows on their lanes waits here for its end.
    held: HashMap<u32, VecDeque<(Kind, Bytes)>>,
    next_slot: u32,
    /// The bytes of all bodies that were pushed and not taken.
    bytes: usize,
}

/// A long frame that is being sent in pieces.
#[derive(Debug)]
struct Long {
    slot: u32,
    /// The lane whose order the frame keeps.
    port: Option<u32>,
    head: Bytes,
    body: Bytes,
}

impl Outbox {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.tail.is_empty() && self.cuts.is_empty()
    }

    /// Queues a frame. Frames of one port leave in the order in which they came, whatever their length.
    #[inline]
    pub(super) fn push(&mut self, kind: Kind, body: Body<'_>) {
        self.bytes += body.len();
        if self.held.is_empty() {
            self.put(kind, body);
        } else {
            self.put_in_order(kind, body);
        }
    }

    /// As [`Outbox::put`], behind a long message of the same lane.
    fn put_in_order(&mut self, kind: Kind, body: Body<'_>) {
        match ordered_by(kind).and_then(|port| self.held.get_mut(&port)) {
            Some(behind) => behind.push_back((kind, body.into_bytes())),
            None => self.put(kind, body),
        }
    }

    /// Queues frames that stand whole in `frames`, which have no lane's order to keep.
    pub(super) fn append(&mut self, frames: &BytesMut) {
        self.bytes += frames.len();
        self.make_room(frames.len());
        self.tail.extend_from_slice(frames);
    }

    /// Moves what is to be written next into `chunks`: all that is ready and a piece of each long frame.
    pub(super) fn take(&mut self, chunks: &mut Vec<Bytes>) -> bool {
        let before = chunks.len();
        chunks.append(&mut self.ready);
        if !self.tail.is_empty() {
            self.usual = self.tail.len().min(LARGE);
            chunks.push(self.tail.split().freeze());
        }
        for _ in 0..self.cuts.len().min(MAX_CUTS) {
            let Some(mut long) = self.cuts.pop_front() else { break };
            let last = long.piece(chunks);
            if last {
                if let Some(port) = long.port {
                    self.follow(port);
                }
            } else {
                // Among the first `MAX_CUTS` the order is of no matter; those that have begun must stay among them.
                let at = self.cuts.len().min(MAX_CUTS - 1);
                self.cuts.insert(at, long);
            }
        }
        let taken: usize = chunks.iter().skip(before).map(Bytes::len).sum();
        // The heads are taken too and were not counted, so this errs by a few bytes a frame until all is taken.
        self.bytes = if self.is_empty() { 0 } else { self.bytes.saturating_sub(taken) };
        !chunks.is_empty()
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    fn put(&mut self, kind: Kind, body: Body<'_>) {
        const COPY: usize = 8 * 1024;
        if body.len() <= COPY {
            self.make_room(body.len());
            frame::put(&mut self.tail, kind, body.as_slice());
        } else {
            self.put_uncopied(kind, body.into_bytes());
        }
    }

    fn put_uncopied(&mut self, kind: Kind, body: Bytes) {
        if body.len() + frame::MAX_HEAD > WHOLE {
            return self.cut(kind, body);
        }
        frame::put_head(&mut self.tail, kind, body.len());
        self.ready.push(self.tail.split().freeze());
        self.ready.push(body);
    }

    /// Starts a tail with as much room as the last one needed, so that under load it need not grow step by step.
    #[inline]
    fn make_room(&mut self, len: usize) {
        if self.tail.is_empty() && self.tail.capacity() < len + frame::MAX_HEAD {
            self.tail.reserve(self.usual.max(len + frame::MAX_HEAD));
        }
    }

    fn cut(&mut self, kind: Kind, body: Bytes) {
        let mut head = BytesMut::with_capacity(32);
        frame::put_head(&mut head, kind, body.len());
        let port = ordered_by(kind);
        if let Some(port) = port {
            self.held.insert(port, VecDeque::new());
        }
        let slot = self.next_slot;
        self.next_slot = self.next_slot.wrapping_add(1);
        self.cuts.push_back(Long { slot, port, head: head.freeze(), body });
    }

    /// The long message of a lane has left: what came behind it may go, up to the next long one.
    fn follow(&mut self, port: u32) {
        let Some(mut behind) = self.held.remove(&port) else { return };
        while let Some((kind, body)) = behind.pop_front() {
            self.put(kind, Body::Own(body));
            if let Some(held) = self.held.get_mut(&port) {
                *held = behind;
                return;
            }
        }
    }
}

impl Long {
    /// Adds the next piece to `chunks`; true if it was the last.
    fn piece(&mut self, chunks: &mut Vec<Bytes>) -> bool {
        let body = self.body.split_to(self.body.len().min(PIECE));
        let last = !self.body.has_remaining();
        let head = std::mem::take(&mut self.head);
        let mut start = BytesMut::with_capacity(48);
        frame::put_head(&mut start, Kind::Cut { slot: self.slot, last }, head.len() + body.len());
        start.extend_from_slice(&head);
        chunks.push(start.freeze());
        chunks.push(body);
        last
    }
}

/// The lane in whose order a frame must leave. Answers have no order among themselves.
#[inline]
fn ordered_by(kind: Kind) -> Option<u32> {
    match kind {
        // What returns has a port of this node's: one of the same number only waits behind it.
        Kind::Tell { port }
        | Kind::Ask { port, .. }
        | Kind::Release { port, .. }
        | Kind::Return { port, .. } => Some(port),
        _ => None,
    }
}
