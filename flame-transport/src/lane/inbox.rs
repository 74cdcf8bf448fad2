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
    /// No more will come.
    ended: bool,
}

impl InboxQueue {
    /// Adds whole frames; true if there were none before.
    pub(crate) fn copy(&mut self, frames: &[u8]) -> bool {
        let first = self.is_empty();
        self.tail.extend_from_slice(frames);
        first
    }

    /// Adds whole frames without a copy; true if there were none before.
    pub(crate) fn keep(&mut self, frames: Bytes) -> bool {
        let first = self.is_empty();
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(frames);
        first
    }

    /// The frames that came first.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.segments.pop_front().or_else(|| (!self.tail.is_empty()).then(|| self.tail.split().freeze()))
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
}
