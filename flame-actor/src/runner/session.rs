//! One runner's life: join, host, and the ways it ends.

use std::{io, sync::Arc, time::Duration};

use flame_transport::{JoinError, LinkLost, join};
use tokio::sync::watch;

use super::{enter, logs};
use crate::{
    backend::Ticket,
    delivery::panics,
    host::{Host, Notice, protocol::ToParent},
    node::{Threads, this_build},
    registry::RegistryError,
    remote::Peer,
};

/// Where a runner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a process of its own, which gets signals.
    Process,
    /// In its parent's process.
    Thread,
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

/// How long children and tasks have to end when the parent is lost.
const PARENT_LOST: Duration = Duration::from_secs(2);

/// Runs a runner to its end.
pub(crate) async fn run(threads: Arc<Threads>, ticket: Ticket, place: Place) -> Result<(), ServeError> {
    let build = this_build()?;
    panics::remember();
    let (node, life) = (ticket.invitation.node.clone(), ticket.life);
    for arbiter in threads.arbiters().iter().chain([threads.control()]) {
        let node = node.clone();
        arbiter.spawn_fn(move || enter(node));
    }
    let joining =
        threads.network().spawn(async move { join(&ticket.invitation, &build, &ticket.link).await });
    let joined = match joining.await {
        Ok(joined) => joined?,
        Err(error) => return Err(ServeError::Threads(io::Error::other(error))),
    };
    let (host, notices) = Host::new(threads.arbiters().to_vec());
    let (peer, inbox) =
        Peer::start(joined, threads.control().clone(), threads.network(), Arc::clone(&host) as _);
    peer.spawn(Arc::clone(&host).serve(Arc::clone(&peer), inbox));
    let forwarding = match place {
        Place::Process => logs::forward(&peer, threads.network()),
        Place::Thread => None,
    };
    let lost = until_over(&host, &peer, notices, told_to_go(place, life)).await;
    if let Some(forwarding) = forwarding {
        forwarding.abort();
    }
    tracing::debug!(runner = %node, reason = %lost, "the runner ends");
    // What is still here has nobody left to work for.
    host.stop_all();
    let _ = tokio::time::timeout(PARENT_LOST, host.idle()).await;
    Ok(())
}

/// Waits for the end of the link, and brings it about when the runner was told to go.
async fn until_over(
    host: &Arc<Host>,
    peer: &Arc<Peer>,
    mut notices: watch::Receiver<Option<Notice>>,
    told_to_go: impl Future<Output = ()>,
) -> LinkLost {
    let closed = |reason: &str| LinkLost::Closed { reason: reason.to_owned() };
    let Some(link) = peer.link() else { return closed("the link never started") };
    let mut told_to_go = std::pin::pin!(told_to_go);
    let mut draining = false;
    loop {
        tokio::select! {
            changed = notices.changed() => match notices.borrow_and_update().clone() {
                Some(Notice::Lost(reason)) => return reason,
                Some(Notice::Retire) => draining = true,
                None if changed.is_err() => return closed("the host is gone"),
                None => {}
            },
            () = &mut told_to_go, if !draining => {
                host.tell_parent(&ToParent::Draining);
                draining = true;
            }
            () = host.idle(), if draining => {
                link.close("the runner has finished");
                return link.ended().await;
            }
        }
    }
}

/// Waits for SIGTERM, or for the end of the runner's longest life.
async fn told_to_go(place: Place, life: Option<Duration>) {
    let old = async {
        match life {
            Some(life) => tokio::time::sleep(life).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated(place) => {}
        () = old => {}
    }
}

/// Waits for SIGTERM.
async fn terminated(place: Place) {
    use tokio::signal::unix::{SignalKind, signal};
    if place == Place::Process
        && let Ok(mut signal) = signal(SignalKind::terminate())
    {
        signal.recv().await;
        return;
    }
    std::future::pending().await
}
