//! What has arrived for one port and is not taken yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A run of frames at least this long is kept as it came; a shorter one is copied, so that a few bytes that wait never
/// hold on to a whole read buffer.
pub(crate) const KEEP: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct InboxQueue {
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    /// How much was in the tail when it was last taken: as much room as the next one starts with.
    usual: usize,
    /// No more will come.
    ended: bool,
}

impl InboxQueue {
    /// Adds whole frames; true if there were none before.
    pub(crate) fn copy(&mut self, frames: &[u8]) -> bool {
        let first = self.is_empty();
        if self.tail.is_empty() && self.tail.capacity() < frames.len() {
            self.tail.reserve(self.usual.max(frames.len()));
        }
        self.tail.extend_from_slice(frames);
        first
    }

    /// Adds whole frames without a copy; true if there were none before.
    pub(crate) fn keep(&mut self, frames: Bytes) -> bool {
        let first = self.is_empty();
        let before = self.take_tail();
        self.segments.extend(before);
        self.segments.push_back(frames);
        first
    }

    /// The frames that came first.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.segments.pop_front().or_else(|| self.take_tail())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.tail.is_empty()
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    fn take_tail(&mut self) -> Option<Bytes> {
        /// The most room that a tail starts with.
        const LARGE: usize = 256 * 1024;
        if self.tail.is_empty() {
            return None;
        }
        self.usual = self.tail.len().min(LARGE);
        Some(self.tail.split().freeze())
    }
}
