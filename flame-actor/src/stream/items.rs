//! A stream of items.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    error::StreamError,
    feed::{self, Feed},
    kind::Items,
    slot::{Fate, Slot},
};

/// Items that flow to wherever they are read, as they are made: [`ByteStream`](super::ByteStream) for any serde type.
///
/// What is said there of flow, end and reader holds here too. An item may be as large as a message, and hold addresses and
/// streams itself. What it holds that nobody comes to read is given back.
///
/// # Examples
///
/// ```
/// use flame_actor::{ItemStream, Pool, backend::LocalBackend, task};
/// use futures_util::{StreamExt, stream};
///
/// /// Counts for ever; it ends when nobody listens any more.
/// #[task]
/// async fn count(from: u64) -> ItemStream<u64> {
///     ItemStream::new(stream::iter(from..))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder("numbers").backend(LocalBackend::new()).start()?;
/// let numbers = pool.call(count::task(40)).await?;
/// let numbers: Vec<_> = numbers.take(3).collect().await;
/// assert_eq!(numbers, [Ok(40), Ok(41), Ok(42)]);
/// # Ok(())
/// # }
/// ```
pub struct ItemStream<T> {
    slot: Arc<Slot<T>>,
}

impl<T: Send + 'static> ItemStream<T> {
    /// The items of a stream, which is polled as this one is read.
    #[must_use]
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { slot: Slot::new(Box::pin(items.map(Ok)), Fate::default()) }
    }

    /// The items of a stream that can fail. An error ends it, and its words travel.
    #[must_use]
    pub fn try_new<E: fmt::Display + 'static>(
        items: impl Stream<Item = Result<T, E>> + Send + 'static,
    ) -> Self {
        let source = items.map(|item| item.map_err(StreamError::of_source));
        Self { slot: Slot::new(Box::pin(source), Fate::default()) }
    }

    /// A stream and the one who feeds it: 8 items wait for the reader at the most.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flame_actor::{ItemStream, StreamError};
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (feed, mut stream) = ItemStream::channel();
    /// feed.send("one".to_owned()).await?;
    /// feed.fail("there is no second one");
    /// assert_eq!(stream.next().await, Some(Ok("one".to_owned())));
    /// let Some(Err(StreamError::Failed { message })) = stream.next().await else { panic!() };
    /// assert_eq!(message, "there is no second one");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channel() -> (Feed<T>, Self) {
        let (feed, source, fate) = feed::channel();
        (feed, Self { slot: Slot::new(source, fate) })
    }
}

impl<T> Stream for ItemStream<T> {
    type Item = Result<T, StreamError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.slot.poll(cx)
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Serialize for ItemStream<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize::<Items<T>, S>(&self.slot, serializer)
    }
}

impl<'de, T: Serialize + DeserializeOwned + Send + 'static> Deserialize<'de> for ItemStream<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { slot: super::deserialize::<Items<T>, D>(deserializer)? })
    }
}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream").finish_non_exhaustive()
    }
}
