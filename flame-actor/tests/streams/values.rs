//! Where streams can stand: arguments, results, fields of actors and messages; here and on other nodes.

use actix::prelude::*;
use bytes::Bytes;
use flame_actor::{ByteStream, RemoteAddr, StreamError, remote, task};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::support::{Count, drain, endless, nothing_left, pattern, pool, soon, until};

#[task]
async fn length(mut stream: ByteStream) -> Result<usize, String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    Ok(bytes.len())
}

/// Every byte one higher, as it comes.
#[task]
async fn raise(stream: ByteStream) -> ByteStream {
    ByteStream::from_stream(
        stream.map_ok(|bytes| bytes.iter().map(|byte| byte.wrapping_add(1)).collect::<Bytes>()),
    )
}

/// What it got, without looking at it.
#[task]
async fn pass(stream: ByteStream) -> ByteStream {
    stream
}

fn of(bytes: &[u8]) -> ByteStream {
    ByteStream::new(std::io::Cursor::new(bytes.to_vec()))
}

#[actix::test]
async fn a_file_goes_into_a_task_and_comes_back_byte_for_byte() {
    let pool = pool("files");
    let content = pattern(3_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    let open = || async { flame_actor::file(file.path()).await.unwrap() };
    assert_eq!(soon(pool.call(length::task(open().await))).await.unwrap(), Ok(content.len()));
    let raised = soon(pool.call(raise::task(open().await))).await.unwrap();
    let (bytes, error) = drain(raised).await;
    assert_eq!(error, None);
    assert!(bytes == content.iter().map(|byte| byte.wrapping_add(1)).collect::<Vec<_>>());
    let passed = soon(pool.call(pass::task(open().await))).await.unwrap();
    assert!(drain(passed).await == (content, None));
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_file_that_is_none_is_an_error_at_once() {
    assert!(flame_actor::file("/there/is/no/such/file").await.is_err());
    let error = flame_actor::file("/").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
}

#[actix::test]
async fn an_empty_stream_has_an_end() {
    let pool = pool("empty");
    assert_eq!(soon(pool.call(length::task(of(b"")))).await.unwrap(), Ok(0));
    assert_eq!(drain(soon(pool.call(raise::task(of(b"")))).await.unwrap()).await, (Vec::new(), None));
}

#[actix::test]
async fn a_stream_works_on_its_own_node_without_any_link() {
    let mut stream = of(b"hello");
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!((&two, drain(stream).await), (b"he", (b"llo".to_vec(), None)));
    let (feed, stream) = ByteStream::channel();
    let feeding = actix::spawn(async move {
        feed.send(Bytes::from_static(b"by hand")).await.unwrap();
        feed.finish();
    });
    assert_eq!(drain(stream).await, (b"by hand".to_vec(), None));
    feeding.await.unwrap();
}

#[actix::test]
async fn what_is_left_of_a_stream_can_be_sent_on() {
    let pool = pool("rest");
    let content = pattern(400_000);
    let mut stream = of(&content);
    let mut head = [0; 1000];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head, content[..1000]);
    let (rest, error) = drain(soon(pool.call(pass::task(stream))).await.unwrap()).await;
    assert_eq!(error, None);
    assert!(rest == content[1000..]);
}

/// Has a stream from its birth, takes others, and gives them away.
#[derive(Serialize, Deserialize)]
struct Holder {
    first: Option<ByteStream>,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "ByteStream")]
struct Swap(ByteStream);

impl Actor for Holder {
    type Context = Context<Self>;
}

#[remote]
impl Handler<Swap> for Holder {
    type Result = MessageResult<Swap>;
    fn handle(&mut self, Swap(stream): Swap, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.first.replace(stream).unwrap())
    }
}

#[actix::test]
async fn streams_are_fields_of_actors_and_messages_and_results_of_handlers() {
    let pool = pool("fields");
    let holder = pool.place_child(Holder { first: Some(of(b"from its birth")) }).await.unwrap();
    let first = soon(holder.send(Swap(of(b"by message")))).await.unwrap();
    assert_eq!(drain(first).await, (b"from its birth".to_vec(), None));
    let second = soon(holder.send(Swap(of(b"never read")))).await.unwrap();
    assert_eq!(drain(second).await, (b"by message".to_vec(), None));
    drop(holder);
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_stream_is_piped_through_to_a_third_node_and_so_are_its_end_and_its_failure() {
    let (one, two) = (pool("one"), pool("two"));
    let content = pattern(2_000_000);
    let raised = soon(one.call(raise::task(of(&content)))).await.unwrap();
    let twice = soon(two.call(raise::task(raised))).await.unwrap();
    let (bytes, error) = drain(twice).await;
    assert_eq!(error, None);
    assert!(bytes == content.iter().map(|byte| byte.wrapping_add(2)).collect::<Vec<_>>());

    let (feed, stream) = ByteStream::channel();
    let raised = soon(one.call(raise::task(stream))).await.unwrap();
    let twice = soon(two.call(raise::task(raised))).await.unwrap();
    feed.send(Bytes::from_static(&[1])).await.unwrap();
    feed.fail("no more ink");
    let failed = StreamError::Failed { message: "no more ink".into() };
    assert_eq!(drain(twice).await, (vec![3], Some(failed)));

    let count = Count::default();
    let raised = soon(one.call(raise::task(endless(&count)))).await.unwrap();
    let mut twice = soon(two.call(raise::task(raised))).await.unwrap();
    soon(twice.next()).await.unwrap().unwrap();
    drop(twice);
    until("the source is gone", || count.now() == 0).await;
    nothing_left(&one).await;
    nothing_left(&two).await;
}

/// Gives the holder a stream, and reads the one that it had.
#[task]
async fn exchange(holder: RemoteAddr<Holder>, text: String) -> Result<String, String> {
    let given = ByteStream::new(std::io::Cursor::new(text.into_bytes()));
    let mut had = holder.send(Swap(given)).await.map_err(|error| error.to_string())?;
    let mut text = String::new();
    had.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    Ok(text)
}

#[actix::test]
async fn runners_send_streams_to_each_others_actors_through_the_parent() {
    let (one, two) = (pool("here"), pool("there"));
    let first = "from the parent ".repeat(100_000);
    let holder = one.place_child(Holder { first: Some(of(first.as_bytes())) }).await.unwrap();
    let call = |text: &str| two.call(exchange::task(holder.addr(), text.to_owned()));
    assert!(soon(call("from a runner")).await.unwrap() == Ok(first));
    assert_eq!(soon(call("never read")).await.unwrap(), Ok("from a runner".to_owned()));
    drop(holder);
    nothing_left(&one).await;
    nothing_left(&two).await;
}

/// The same stream twice in one message, as no other value could be.
#[derive(Message, Deserialize)]
#[rtype(result = "()")]
struct Twice(ByteStream, ByteStream);

impl Serialize for Twice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0, &self.0).serialize(serializer)
    }
}

#[task]
async fn read_twice(streams: Twice) -> (Result<usize, String>, Result<usize, String>) {
    let Twice(one, two) = streams;
    (length(one).await, length(two).await)
}

#[actix::test]
async fn a_stream_that_is_sent_twice_is_read_once() {
    let pool = pool("twice");
    let (one, two) = soon(pool.call(read_twice::task(Twice(of(b"mine"), of(b""))))).await.unwrap();
    assert_eq!((one, two), (Ok(4), Err(StreamError::Taken.to_string())));
    nothing_left(&pool).await;
}

#[actix::test]
async fn a_stream_is_serialised_only_into_a_message() {
    let error = serde_json::to_string(&of(b"")).unwrap_err();
    assert!(error.to_string().contains("only while it is sent to another node"), "{error}");
}

#[actix::test]
async fn a_stream_that_was_not_sent_can_still_be_read() {
    let pool = pool("unsent");
    pool.stop().await;
    let error = pool.place_child(Holder { first: Some(of(b"still here")) }).await.unwrap_err();
    let stream = error.actor.unwrap().first.unwrap();
    assert_eq!(drain(stream).await, (b"still here".to_vec(), None));
    assert_eq!(pool.exports(), 0);
}
