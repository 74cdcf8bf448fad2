//! One runner's life: join, host, and the ways it ends.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use flame_transport::{JoinError, LinkLost, join};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};

use super::logs;
use crate::{
    backend::Ticket,
    delivery::panics,
    host::{
        Host, Notice, enter, enter_process,
        protocol::{FINISHED, ToParent, UNENDED},
    },
    node::{Threads, this_build},
    registry::RegistryError,
    remote::Peer,
};

/// Where a runner lives.
#[derive(Debug)]
pub(crate) enum Place {
    /// In a process of its own, which gets signals.
    Process,
    /// In its parent's process; it ends when the other end of this is dropped.
    Thread(oneshot::Receiver<()>),
}

/// How a runner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// It was told to, from within the process.
    pub(crate) terminated: bool,
    /// So many children and tasks never came to an await; their threads go on.
    pub(crate) left_behind: usize,
}

/// Why a runner never served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Its threads could not be started.
    #[error("the threads of the runner could not be started: {0}")]
    Threads(#[source] io::Error),
    /// This executable's registrations are at odds.
    #[error(transparent)]
    Registry(#[from] &'static RegistryError),
    /// It could not join its parent.
    #[error("the runner could not join its parent: {0}")]
    Join(#[from] JoinError),
}

/// How long a join may go on when the runner is told to go meanwhile.
const LAST_JOIN: Duration = Duration::from_secs(2);

/// How long children and tasks have to end when the link is gone.
const LINK_LOST: Duration = Duration::from_secs(2);

/// Runs a runner to its end, on the network thread.
pub(crate) async fn run(threads: Arc<Threads>, ticket: Ticket, place: Place) -> Result<Ended, ServeError> {
    let is_process = matches!(place, Place::Process);
    // Before anything else: from here on the signal does not end the process.
    let mut told_to_go = pin!(told_to_go(is_process.then(|| signal(SignalKind::terminate())), ticket.life));
    let build = this_build()?;
    panics::remember();
    let node = ticket.invitation.node.clone();
    let mut told = pin!(async move {
        match place {
            // An error tells that the other end was dropped.
            Place::Thread(end) => drop(end.await),
            Place::Process => std::future::pending().await,
        }
    });
    let mut joining = pin!(join(&ticket.invitation, &build, &ticket.link));
    let mut goes = false;
    let joined = tokio::select! {
        joined = &mut joining => joined,
        () = &mut told => return Ok(Ended { terminated: true, left_behind: 0 }),
        // To the parent it may have joined already, and have work: then it has to tell that it goes.
        () = &mut told_to_go => {
            goes = true;
            match tokio::time::timeout(LAST_JOIN, joining).await {
                Ok(joined) => joined,
                Err(_) => return Ok(Ended { terminated: false, left_behind: 0 }),
            }
        }
    };
    let joined = match joined {
        // The parent had it told to go, and wants it no more.
        Err(_) if goes => return Ok(Ended { terminated: false, left_behind: 0 }),
        joined => joined?,
    };
    let told_to_go = pin!(async {
        if !goes {
            told_to_go.await;
        }
    });
    let (host, notices) =
        Host::new(node.clone(), threads.arbiters().to_vec(), threads.link_arbiter().clone());
    if is_process {
        enter_process(Arc::clone(&host));
    }
    for arbiter in threads.arbiters().iter().chain([threads.control(), threads.link_arbiter()]) {
        let host = Arc::clone(&host);
        arbiter.spawn_fn(move || enter(host));
    }
    let (peer, inbox) =
        Peer::start(joined, threads.control().clone(), threads.network(), Arc::clone(&host) as _);
    host.connect(&peer);
    peer.spawn(Arc::clone(&host).serve(Arc::clone(&peer), inbox));
    let forwarding = if is_process { logs::forward(&peer, threads.network()) } else { None };
    let closed = |reason: &str| LinkLost::Closed { reason: reason.to_owned() };
    let (lost, terminated) = tokio::select! {
        lost = until_over(&host, &peer, notices, told_to_go) => (lost, false),
        never = host.look_after() => match never {},
        () = told => (closed("the runner was terminated"), true),
    };
    if let Some(forwarding) = forwarding {
        forwarding.abort();
    }
    tracing::debug!(runner = %node, reason = %lost, "the runner ends");
    if let Some(link) = peer.link() {
        link.abort(&lost.to_string());
    }
    // What is still here has nobody left to work for.
    host.stop_all();
    let _ = tokio::time::timeout(LINK_LOST, host.idle()).await;
    Ok(Ended { terminated, left_behind: host.busy() })
}

/// Waits for the end of the link, and brings it about when the runner was told to go.
async fn until_over(
    host: &Arc<Host>,
    peer: &Arc<Peer>,
    mut notices: watch::Receiver<Option<Notice>>,
    mut told_to_go: Pin<&mut impl Future<Output = ()>>,
) -> LinkLost {
    let closed = |reason: &str| LinkLost::Closed { reason: reason.to_owned() };
    let Some(link) = peer.link() else { return closed("the link never started") };
    let (mut told, mut draining) = (false, false);
    loop {
        tokio::select! {
            changed = notices.changed() => match notices.borrow_and_update().clone() {
                Some(Notice::Lost(reason)) => return reason,
                Some(Notice::Retire) => draining = true,
                Some(Notice::Overdue) => {
                    host.tell_parent(&ToParent::Overdue);
                    draining = true;
                }
                None if changed.is_err() => return closed("the host is gone"),
                None => {}
            },
            // The parent says `Retire` when nothing is on its way here any more.
            () = &mut told_to_go, if !told => {
                host.tell_parent(&ToParent::Draining);
                told = true;
            }
            () = host.idle(), if draining => {
                // An order may have come in this moment.
                if !host.close() {
                    continue;
                }
                link.close(if host.busy() == 0 { FINISHED } else { UNENDED });
                return link.ended().await;
            }
        }
    }
}

/// Waits for SIGTERM, or for the end of the runner's longest life.
async fn told_to_go(terminate: Option<io::Result<Signal>>, life: Option<Duration>) {
    let signalled = async {
        match terminate {
            Some(Ok(mut signal)) => drop(signal.recv().await),
            _ => std::future::pending().await,
        }
    };
    let old = async {
        match life {
            Some(life) => tokio::time::sleep(life).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signalled => {}
        () = old => {}
    }
}
