//! Two nodes with a link between them.

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flame_transport::{
    Build, Inbox, Joined, Link, LinkConfig, LinkLost, Listener, NodeId, Question, Service, join,
};
use tokio::{runtime::Handle, sync::watch};

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// Remembers what a link tells.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) signals: Mutex<Vec<Vec<u8>>>,
    pub(crate) dead: Mutex<Vec<Vec<u8>>>,
    pub(crate) unclaimed: Mutex<Vec<Vec<u8>>>,
    /// Tells that were not sent.
    pub(crate) unsent: Mutex<Vec<Vec<u8>>>,
    pub(crate) losing: AtomicBool,
    pub(crate) lost: Mutex<Vec<LinkLost>>,
    pub(crate) count: watch::Sender<u64>,
}

impl Heard {
    fn note<T>(&self, list: &Mutex<Vec<T>>, item: T) {
        list.lock().unwrap().push(item);
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits until what was heard satisfies `is_so`.
    pub(crate) async fn until(&self, mut is_so: impl FnMut(&Self) -> bool) {
        let mut count = self.count.subscribe();
        soon(async {
            while !is_so(self) {
                count.changed().await.unwrap();
            }
        })
        .await;
    }
}

impl Service for Heard {
    fn signal(&self, body: &[u8]) {
        self.note(&self.signals, body.to_vec());
    }

    fn dead_letter(&self, _: u32, body: Bytes) {
        self.note(&self.dead, body.to_vec());
    }

    fn unclaimed(&self, body: Bytes) {
        self.note(&self.unclaimed, body.to_vec());
    }

    fn unsent(&self, _: u32, body: Bytes, is_tell: bool) {
        if is_tell {
            self.note(&self.unsent, body.to_vec());
        }
    }

    fn losing(&self) {
        assert!(self.lost.lock().unwrap().is_empty());
        self.losing.store(true, Ordering::SeqCst);
    }

    fn lost(&self, reason: &LinkLost) {
        self.note(&self.lost, reason.clone());
    }
}

pub(crate) struct Node {
    pub(crate) link: Link,
    pub(crate) inbox: Inbox,
    pub(crate) heard: Arc<Heard>,
}

pub(crate) fn node(joined: Joined) -> Node {
    let heard = Arc::new(Heard::default());
    let (link, inbox) = Link::start(joined, heard.clone(), &Handle::current());
    Node { link, inbox, heard }
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

pub(crate) async fn linked_with(config: LinkConfig) -> (Node, Node, Listener) {
    let (parent, runner, listener) = joined(config).await;
    (node(parent), node(runner), listener)
}

pub(crate) async fn linked() -> (Node, Node, Listener) {
    linked_with(LinkConfig::default()).await
}

/// The next message of an inbox; `None` when there will be no more.
pub(crate) async fn next(inbox: &mut Inbox) -> Option<(Bytes, Option<Question>)> {
    let poll = poll_fn(|cx| {
        inbox.poll_next(cx).map(|message| message.map(|m| (Bytes::copy_from_slice(m.body), m.question)))
    });
    soon(poll).await
}

/// Answers every ask of an inbox with its own content, until it ends.
pub(crate) async fn echo(link: Link, mut inbox: Inbox) {
    let mut answers = link.answers();
    loop {
        let poll = poll_fn(|cx| {
            inbox.poll_next(cx).map(|message| message.map(|m| (Bytes::copy_from_slice(m.body), m.question)))
        });
        let Some((body, question)) = poll.await else { return };
        if let Some(question) = question {
            answers.reply(question, flame_transport::Body::Own(body));
            answers.flush();
        }
    }
}
