//! Two nodes with a link between them, and bulk streams over it.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use flame_transport::{
    Build, BulkError, BulkReceiver, BulkSender, Inbox, Joined, Link, LinkConfig, LinkLost, Listener, NodeId,
    Service, join,
};
use tokio::runtime::Handle;

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// Hears nothing.
struct Deaf;

impl Service for Deaf {
    fn signal(&self, _: &[u8]) {}
    fn dead_letter(&self, _: u32, _: Bytes) {}
    fn unclaimed(&self, _: Bytes) {}
    fn unsent(&self, _: u32, _: Bytes, _: bool) {}

    fn lost(&self, _: &LinkLost) {}
}

/// A parent and a runner that have joined, before their links start.
pub(crate) async fn joined(config: LinkConfig) -> (Joined, Joined, Listener) {
    let build = Build { version: "1".into(), id: "test".into(), types: [7; 32] };
    let parent = NodeId::new("parent").unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let listener =
        Listener::bind(address, parent, build.clone(), config.clone(), &Handle::current()).unwrap();
    let invitation = listener.invite("runner-1", Duration::from_secs(20)).unwrap();
    let (runner, parent) =
        soon(async { tokio::join!(join(&invitation, &build, &config), listener.accept()) }).await;
    (parent.unwrap(), runner.unwrap(), listener)
}

pub(crate) fn link(joined: Joined) -> (Link, Inbox) {
    Link::start(joined, Arc::new(Deaf), &Handle::current())
}

/// Two nodes with a link: the one that produces, and the one that reads.
pub(crate) struct Pair {
    pub(crate) producer: Link,
    pub(crate) reader: Link,
    pub(crate) inbox: Inbox,
    _listener: Listener,
}

pub(crate) async fn pair() -> Pair {
    let (parent, runner, listener) = joined(LinkConfig::default()).await;
    let (producer, _inbox) = link(parent);
    let (reader, inbox) = link(runner);
    Pair { producer, reader, inbox, _listener: listener }
}

impl Pair {
    /// A stream from the one to the other, with one frame, so that it has arrived.
    pub(crate) async fn stream(&self) -> (BulkSender, BulkReceiver) {
        let expected = self.reader.expect_bulk();
        let mut sender = soon(self.producer.open_bulk(expected.number())).await.unwrap();
        sender.put(Bytes::from_static(b"first"));
        soon(sender.flush()).await.unwrap();
        let mut receiver = soon(expected.arrived()).await.unwrap();
        assert_eq!(soon(receiver.next()).await.unwrap().unwrap().bytes, "first");
        (sender, receiver)
    }
}

/// All the bytes that come, and how it ended.
pub(crate) async fn drain(receiver: &mut BulkReceiver) -> (Vec<u8>, Result<(), BulkError>) {
    let mut all = Vec::new();
    soon(async {
        loop {
            match receiver.next().await {
                Ok(Some(part)) => all.extend_from_slice(&part.bytes),
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            }
        }
    })
    .await
}
