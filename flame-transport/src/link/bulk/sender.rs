//! Filling a bulk stream.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    link::{LinkLost, shared::Shared},
    wire::{
        bulk::{FAILED, FINISHED, GIVEN_UP, MAX_WORDS},
        varint,
    },
};

/// Below those of the lanes, which are 0, and of the control stream.
const PRIORITY: i32 = -1;

/// A frame up to this long is copied beside its neighbours; a longer one is handed over.
const COPY: usize = 4 * 1024;

/// The producing end of a bulk stream. Dropped without [`finish`](Self::finish), [`fail`](Self::fail) or [`give_up`](Self::give_up), it is
/// cut off, and the reader hears that it was given up.
#[derive(Debug)]
pub struct BulkSender {
    shared: Arc<Shared>,
    stream: quinn::SendStream,
    number: u64,
    queue: Vec<Bytes>,
    tail: BytesMut,
    queued: usize,
    ended: bool,
}

/// Nobody reads a bulk stream any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkClosed {
    /// Its reader has dropped it.
    #[error("the reader is gone")]
    Dropped,
    /// The link is lost.
    #[error("the link was lost: {0}")]
    Lost(LinkLost),
}

impl BulkSender {
    pub(in crate::link) async fn open(shared: Arc<Shared>, number: u64) -> Result<Self, LinkLost> {
        let Ok(stream) = shared.connection.open_uni().await else { return Err(shared.ended().await) };
        // Refused only by a stream that has ended.
        let _ = stream.set_priority(PRIORITY);
        let tail = BytesMut::from(&number.to_le_bytes()[..]);
        let queued = tail.len();
        Ok(Self { shared, stream, number, queue: Vec::new(), tail, queued, ended: false })
    }

    /// Queues a frame, to be written by [`flush`](Self::flush). One without bytes is left out.
    pub fn put(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        varint::put(&mut self.tail, frame.len() as u64);
        self.queued += frame.len();
        if frame.len() <= COPY {
            self.tail.put_slice(&frame);
        } else {
            self.queue.push(self.tail.split().freeze());
            self.queue.push(frame);
        }
    }

    /// How many bytes are queued.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Writes what is queued: returns when QUIC has taken all of it, which it does as the reader reads.
    ///
    /// # Errors
    ///
    /// See [`BulkClosed`].
    ///
    /// # Cancel safety
    ///
    /// What was written is not known when it is dropped midway: drop the sender too.
    pub async fn flush(&mut self) -> Result<(), BulkClosed> {
        if !self.tail.is_empty() {
            self.queue.push(self.tail.split().freeze());
        }
        let written = self.stream.write_all_chunks(&mut self.queue).await;
        self.queue.clear();
        self.queued = 0;
        match written {
            Ok(()) => Ok(()),
            Err(quinn::WriteError::ConnectionLost(_)) => Err(BulkClosed::Lost(self.shared.ended().await)),
            Err(_) => Err(BulkClosed::Dropped),
        }
    }

    /// Writes what is queued, and that it is all.
    ///
    /// # Errors
    ///
    /// See [`BulkClosed`].
    pub async fn finish(self) -> Result<(), BulkClosed> {
        self.end(FINISHED, "").await
    }

    /// Writes what is queued, and that the producer has failed. Of its `words` the first 8 KiB are sent.
    ///
    /// # Errors
    ///
    /// See [`BulkClosed`].
    pub async fn fail(self, words: &str) -> Result<(), BulkClosed> {
        let fits = (0..=MAX_WORDS.min(words.len())).rev().find_map(|end| words.get(..end));
        self.end(FAILED, fits.unwrap_or_default()).await
    }

    /// Writes what is queued, and that more is not to come although there should be more. (Dropped, the sender says the same at
    /// once, and what the reader has not read yet is lost.)
    ///
    /// # Errors
    ///
    /// See [`BulkClosed`].
    pub async fn give_up(self) -> Result<(), BulkClosed> {
        self.end(GIVEN_UP, "").await
    }

    /// Waits until nobody reads any more; also resolves once all was read.
    pub fn closed(&self) -> impl Future<Output = BulkClosed> + Send + use<> {
        let (stopped, shared) = (self.stream.stopped(), Arc::clone(&self.shared));
        async move {
            match stopped.await {
                Err(quinn::StoppedError::ConnectionLost(_)) => BulkClosed::Lost(shared.ended().await),
                _ => BulkClosed::Dropped,
            }
        }
    }

    async fn end(mut self, outcome: u8, words: &str) -> Result<(), BulkClosed> {
        self.tail.put_slice(&[0, outcome]);
        self.tail.put_slice(words.as_bytes());
        self.flush().await?;
        self.ended = self.stream.finish().is_ok();
        Ok(())
    }
}

impl Drop for BulkSender {
    fn drop(&mut self) {
        if !self.ended {
            // Else QUIC would take the drop for the end. The number is told again, as it may not have left yet.
            let _ = self.stream.reset(quinn::VarInt::from_u64(self.number).unwrap_or_default());
        }
    }
}
