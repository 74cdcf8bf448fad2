//! A stream that is fed by hand.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::stream;
use tokio::sync::mpsc;

use super::{
    error::{StreamClosed, StreamError},
    slot::{Fate, Source},
};

/// The producing end of a stream that is fed by hand: see [`ByteStream::channel`](super::ByteStream::channel) and
/// [`ItemStream::channel`](super::ItemStream::channel).
///
/// Up to 8 items, or chunks of bytes, wait for the reader; then [`send`](Feed::send) waits. The reader reaches the end only
/// through [`finish`](Feed::finish): a feed that is dropped without it, as by a panic, ends the stream, behind what was sent, with
/// [`StreamError::GivenUp`].
pub struct Feed<I> {
    sender: mpsc::Sender<I>,
    last: Arc<Mutex<Last>>,
    fate: Fate,
}

/// What comes behind the last item.
#[derive(Debug, Clone, Default)]
enum Last {
    #[default]
    GivenUp,
    Finished,
    Failed(String),
}

/// How many items wait for the reader.
const CAPACITY: usize = 8;

pub(super) fn channel<I: Send + 'static>() -> (Feed<I>, Source<I>, Fate) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let (last, fate) = (Arc::new(Mutex::new(Last::default())), Fate::default());
    let feed = Feed { sender, last: Arc::clone(&last), fate: fate.clone() };
    let source = stream::unfold(Some((receiver, last)), |open| async {
        let (mut receiver, last) = open?;
        if let Some(item) = receiver.recv().await {
            return Some((Ok(item), Some((receiver, last))));
        }
        let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Last::Finished => None,
            Last::Failed(message) => Some((Err(StreamError::Failed { message }), None)),
            Last::GivenUp => Some((Err(StreamError::GivenUp), None)),
        }
    });
    (feed, Box::pin(source), fate)
}

impl<I> Feed<I> {
    /// Sends an item when there is room for it.
    ///
    /// # Errors
    ///
    /// [`StreamClosed`]: nobody will read it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it has sent nothing, and the item is lost.
    pub async fn send(&self, item: I) -> Result<(), StreamClosed> {
        self.sender.send(item).await.map_err(|_| self.fate.get())
    }

    /// Sends an item from a thread that may block, such as that of a plain `fn` task.
    ///
    /// # Errors
    ///
    /// [`StreamClosed`]: nobody will read it.
    ///
    /// # Panics
    ///
    /// On a thread that runs async code.
    pub fn blocking_send(&self, item: I) -> Result<(), StreamClosed> {
        self.sender.blocking_send(item).map_err(|_| self.fate.get())
    }

    /// Waits until nobody reads the stream any more, and says why.
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> StreamClosed {
        self.sender.closed().await;
        self.fate.get()
    }

    /// That was all.
    pub fn finish(self) {
        self.end(Last::Finished);
    }

    /// There should be more, but it cannot be had: once the reader has what was sent before, it hears
    /// [`StreamError::Failed`] with these words, of which 8 KiB travel.
    pub fn fail(self, error: impl fmt::Display) {
        self.end(Last::Failed(error.to_string()));
    }

    fn end(&self, last: Last) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

impl<I> fmt::Debug for Feed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("is_closed", &self.sender.is_closed()).finish_non_exhaustive()
    }
}
