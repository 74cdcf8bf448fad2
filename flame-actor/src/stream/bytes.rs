//! A stream of bytes.

use std::{
    fmt, io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::{
    error::StreamError,
    feed::{self, Feed},
    kind::Raw,
    slot::{Fate, Slot},
};

/// Bytes that flow to wherever they are read: the content of a file, what a program prints, anything that is read.
///
/// It is a serde value: an argument or result of a task, a field of an actor or of a message. It can be sent before anything
/// of it has been read, or after its beginning has been. Read it as [`AsyncRead`], or as a [`Stream`] of [`Bytes`]; on the node
/// where it was made, or on any other one.
///
/// # Flow
///
/// Nothing flows before it is read, and then no more than about 1.3 MB ahead of the reader
/// ([`LinkConfig::with_stream_window`](crate::LinkConfig::with_stream_window)). 256 streams can flow over a link in each direction at a time; more wait for
/// their turn. The source is polled on the runtime on which the stream was made, and should not block.
///
/// # The end
///
/// The reader has all bytes, or an error that says why not: [`StreamError`], as [`AsyncRead`] within an [`io::Error`]. Dropping
/// the stream drops its source, wherever that is: what a generator does ends there.
///
/// # One reader
///
/// The stream belongs to whoever reads it first. If it was sent to two nodes, one of them hears [`StreamError::Taken`].
///
/// # Examples
///
/// ```
/// use flame_actor::{ByteStream, Pool, backend::LocalBackend, task};
/// use tokio::io::AsyncReadExt;
///
/// /// Makes capitals of a text, while it is being read.
/// #[task]
/// async fn shout(text: ByteStream) -> ByteStream {
///     use futures_util::{StreamExt, TryStreamExt};
///     ByteStream::from_stream(text.map_ok(|bytes| bytes.to_ascii_uppercase().into()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::NamedTempFile::new()?;
/// # std::fs::write(file.path(), "hello")?;
/// # let path = file.path();
/// let pool = Pool::builder("texts").backend(LocalBackend::new()).start()?;
/// let mut loud = pool.call(shout::task(flame_actor::file(path).await?)).await?;
/// let mut text = String::new();
/// loud.read_to_string(&mut text).await?;
/// assert_eq!(text, "HELLO");
/// # Ok(())
/// # }
/// ```
pub struct ByteStream {
    slot: Arc<Slot<Bytes>>,
}

/// How much of a reader is read at a time.
const CHUNK: usize = 128 * 1024;

impl ByteStream {
    /// The bytes of a reader, which is read as the stream is.
    #[must_use]
    pub fn new(reader: impl AsyncRead + Send + 'static) -> Self {
        let chunks =
            stream::try_unfold((Box::pin(reader), BytesMut::new()), |(mut reader, mut buffer)| async {
                buffer.reserve(CHUNK);
                let read = reader.read_buf(&mut buffer).await?;
                Ok::<_, io::Error>((read > 0).then(|| (buffer.split().freeze(), (reader, buffer))))
            });
        Self::from_stream(chunks)
    }

    /// The bytes of a stream of chunks, however they are cut. An error ends it, and its words travel.
    #[must_use]
    pub fn from_stream<E: fmt::Display + 'static>(
        chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        let source = chunks.map(|chunk| chunk.map_err(StreamError::of_source));
        Self { slot: Slot::new(Box::pin(source), Fate::default()) }
    }

    /// A stream and the one who feeds it: 8 chunks wait for the reader at the most. (For one that is fed through
    /// [`AsyncWrite`](tokio::io::AsyncWrite), give one end of a [`tokio::io::duplex`] to [`ByteStream::new`].)
    ///
    /// # Examples
    ///
    /// ```
    /// # use flame_actor::ByteStream;
    /// # use tokio::io::AsyncReadExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (feed, mut stream) = ByteStream::channel();
    /// tokio::spawn(async move {
    ///     for n in 0..100u8 {
    ///         feed.send(vec![n; 1000].into()).await?;
    ///     }
    ///     feed.finish();
    ///     Ok::<_, flame_actor::StreamClosed>(())
    /// });
    /// let mut bytes = Vec::new();
    /// stream.read_to_end(&mut bytes).await?;
    /// assert_eq!(bytes.len(), 100_000);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channel() -> (Feed<Bytes>, Self) {
        let (feed, source, fate) = feed::channel();
        (feed, Self { slot: Slot::new(source, fate) })
    }
}

/// The content of a file as a stream. It is read as the stream is, on the node that opened it.
///
/// # Errors
///
/// The file cannot be opened, or is a folder. That it cannot be read later ends the stream with [`StreamError::Failed`].
///
/// # Examples
///
/// ```
/// # use flame_actor::{ByteStream, Pool, backend::LocalBackend, task};
/// # use tokio::io::AsyncReadExt;
/// # #[task]
/// # async fn measure(mut file: ByteStream) -> u64 {
/// #     tokio::io::copy(&mut file, &mut tokio::io::sink()).await.unwrap_or(0)
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = tempfile::NamedTempFile::new()?;
/// # std::fs::write(file.path(), "hello")?;
/// # let path = file.path();
/// # let pool = Pool::builder("files").backend(LocalBackend::new()).start()?;
/// let length = pool.call(measure::task(flame_actor::file(path).await?)).await?;
/// assert_eq!(length, 5);
/// # Ok(())
/// # }
/// ```
pub async fn file(path: impl AsRef<Path>) -> io::Result<ByteStream> {
    let mut file = tokio::fs::File::open(path).await?;
    if file.metadata().await?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.set_max_buf_size(CHUNK);
    Ok(ByteStream::new(file))
}

impl Stream for ByteStream {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.slot.poll(cx)
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buf.remaining() > 0 {
            let Some(chunk) = ready!(self.slot.poll(cx)) else { break };
            let mut chunk = chunk?;
            let some = chunk.len().min(buf.remaining());
            buf.put_slice(chunk.get(..some).unwrap_or_default());
            chunk.advance(some);
            if !chunk.is_empty() {
                self.slot.put_back(chunk);
            }
            // A chunk without bytes would pass for the end.
            if some > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Serialize for ByteStream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize::<Raw, S>(&self.slot, serializer)
    }
}

impl<'de> Deserialize<'de> for ByteStream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { slot: super::deserialize::<Raw, D>(deserializer)? })
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").finish_non_exhaustive()
    }
}
