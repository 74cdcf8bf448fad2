//! Links that have nothing to do, between this process and one other.

use std::{
    io::{self, BufRead, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flame_transport::{Build, Inbox, Invitation, Joined, Link, LinkLost, Listener, NodeId, Service, join};
use tokio::runtime::Handle;

use super::{Sides, used};
use crate::net;

/// The argument that makes this executable the other process.
pub(crate) const LINKS: &str = "links";

/// How many links; the first of them warm up and do not count.
const FIRST: usize = 16;
const COUNTED: usize = 128;
/// Until what a link needed to come about has gone, and it has been idle for some pings.
const IDLE: Duration = Duration::from_secs(3);

pub(super) async fn run() -> Sides {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let node = NodeId::new("parent").expect("a name");
    let listener = Listener::bind(address, node, build(), net::link(), &Handle::current());
    let listener = listener.expect("a listener");
    let mut runner = Command::new(std::env::current_exe().expect("this executable"))
        .arg(LINKS)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a copy of this executable");
    let mut orders = runner.stdin.take().expect("piped");
    let mut links = Vec::new();
    let mut grow = async |count: usize| {
        for n in 0..count {
            let name = format!("runner-{}-{n}", links.len());
            let invitation = listener.invite(&name, Duration::from_secs(60)).expect("an invitation");
            writeln!(orders, "{}", serde_json::to_string(&invitation).expect("JSON"))
                .expect("the other process");
            links.push(start(listener.accept().await.expect("a node that joins")));
        }
        tokio::time::sleep(IDLE).await;
        (used(std::process::id()), used(runner.id()))
    };
    let before = grow(FIRST).await;
    let after = grow(COUNTED).await;
    let share = |before: u64, after: u64| (after as f64 - before as f64) / COUNTED as f64;
    listener.close();
    drop(orders);
    let _ = runner.wait();
    Sides { parent: share(before.0, after.0), runner: share(before.1, after.1) }
}

/// The other process: joins with each invitation that comes, until there are no more.
pub(crate) fn serve() {
    actix::System::new().block_on(async {
        let mut links = Vec::new();
        let (sender, mut invitations) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let line = line.expect("standard input");
                sender.blocking_send(line).expect("a reader");
            }
        });
        while let Some(line) = invitations.recv().await {
            let invitation: Invitation = serde_json::from_str(&line).expect("an invitation");
            let joined = join(&invitation, &build(), &net::link()).await;
            links.push(start(joined.expect("a parent that takes it")));
        }
    });
}

fn start(joined: Joined) -> (Link, Inbox) {
    Link::start(joined, Arc::new(Nobody), &Handle::current())
}

fn build() -> Build {
    Build { version: "1".to_owned(), id: "bench".to_owned(), types: [0; 32] }
}

/// Has no use for what comes.
struct Nobody;

impl Service for Nobody {
    fn signal(&self, _: &[u8]) {}
    fn dead_letter(&self, _: u32, _: Bytes) {}
    fn unclaimed(&self, _: Bytes) {}
    fn unsent(&self, _: u32, _: Bytes, _: bool) {}
    fn lost(&self, _: &LinkLost) {}
}
