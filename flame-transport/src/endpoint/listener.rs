//! The parent's side: invitations out, joined nodes in.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc, watch},
    task::AbortHandle,
    time::Instant,
};

use super::{
    Build, InvalidBuild, InvalidConfig, Invitation, Joined, LinkConfig, Refusal,
    message::code,
    reception::{self, Reception},
    socket,
};
use crate::{Authority, IdentityError, InvalidNodeName, NodeId, identity};

/// Where a parent is dialled: it makes invitations, and yields the nodes that joined with them.
///
/// Each listener has an [`Authority`] of its own, so several can live in one process and take none of each other's
/// nodes. Handshakes run at the same time and in bounded number on the listener's runtime, whether or not somebody waits
/// in [`accept`](Listener::accept). Whoever fails to join is traced and counted, and leaves nothing else behind.
///
/// Dropping the listener ends the handshakes that are under way. Nodes that have joined are not touched.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flame_transport::{Build, LinkConfig, Listener, NodeId, join};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let build = Build { version: "0.1.0".into(), id: "a build id".into(), types: [0; 32] };
/// let config = LinkConfig::default();
/// let runtime = tokio::runtime::Handle::current();
/// let parent = NodeId::new("parent")?;
/// let listener = Listener::bind("127.0.0.1:0".parse()?, parent, build.clone(), config.clone(), &runtime)?;
///
/// // In an app, the invitation travels to another process.
/// let invitation = listener.invite("thumbs-1", Duration::from_secs(60))?;
/// let (at_runner, at_parent) = tokio::try_join!(
///     async { join(&invitation, &build, &config).await.map_err(Box::<dyn std::error::Error>::from) },
///     async { listener.accept().await.map_err(Into::into) },
/// )?;
/// assert_eq!(at_parent.peer(), at_runner.local());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    reception: Arc<Reception>,
    authority: Authority,
    address: SocketAddr,
    endpoint: quinn::Endpoint,
    joined: Mutex<mpsc::Receiver<Joined>>,
    closed: watch::Sender<bool>,
    runtime: Handle,
    task: AbortHandle,
}

impl Listener {
    /// Listens on the UDP `address` as `node`, on `runtime`. May be called from any thread. Port 0 takes a free port.
    ///
    /// On a loopback address packets are as large as they can be; on any other, also on an unspecified one (`0.0.0.0`),
    /// they are fit for a network.
    ///
    /// # Errors
    ///
    /// The configuration or the build is out of bounds, the machine gives no randomness, or the system does not give the
    /// address.
    ///
    /// # Panics
    ///
    /// If `runtime` was built without I/O or without time.
    pub fn bind(
        address: SocketAddr,
        node: NodeId,
        build: Build,
        config: LinkConfig,
        runtime: &Handle,
    ) -> Result<Self, BindError> {
        config.validate()?;
        build.validate()?;
        let authority = Authority::new()?;
        let tls = identity::listener(&authority.issue_parent(&node)?)?;

        let _context = runtime.enter();
        let quic = reception::server_config(tls, &config, address.ip().is_loopback());
        let failed = |cause| BindError::Socket { address, cause };
        let endpoint =
            socket::endpoint(address, Some(quic), &config, address.ip().is_loopback()).map_err(failed)?;
        let address = endpoint.local_addr().map_err(failed)?;

        let reception = Arc::new(Reception::new(node, build, config));
        let (queue, joined) = mpsc::channel(reception::QUEUE);
        let task =
            runtime.spawn(reception::receive(endpoint.clone(), Arc::clone(&reception), queue)).abort_handle();
        Ok(Self {
            reception,
            authority,
            address,
            endpoint,
            joined: Mutex::new(joined),
            closed: watch::Sender::new(false),
            runtime: runtime.clone(),
            task,
        })
    }

    /// The address that the listener has, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Expects a new node called `name` to join once within `valid_for` (at most 30 days).
    ///
    /// The invitation has the listener's address; where that is unspecified (`0.0.0.0`), the loopback address. Put in
    /// others for runners on other machines.
    ///
    /// # Errors
    ///
    /// The name or the time is out of bounds, or the listener is closed.
    pub fn invite(&self, name: &str, valid_for: Duration) -> Result<Invitation, InviteError> {
        if self.reception.is_closing() {
            return Err(InviteError::Closed);
        }
        let (parent, node) = (self.reception.node().clone(), NodeId::new(name)?);
        let credentials = self.authority.issue(&parent, &node, valid_for)?;
        let fingerprint = identity::fingerprint(credentials.certificate_der());
        self.reception.registry().invite(node.clone(), fingerprint, self.now(), valid_for);
        Ok(Invitation { addresses: vec![self.reachable_address()], parent, node, credentials, valid_for })
    }

    /// Gives `node` up: if it comes now, it is refused with [`Refusal::Revoked`], and if it has joined but was not yet
    /// accepted, it is cut off.
    ///
    /// A node that [`accept`](Listener::accept) has yielded stays linked. A node that was never invited is refused
    /// anyway.
    pub fn revoke(&self, node: &NodeId) {
        self.reception.registry().revoke(node);
    }

    /// Why `node` was refused when it last came, if it was invited, came with its own certificate, and was refused.
    ///
    /// This tells whoever waits for a runner what to report instead of "it did not come". It is kept until the
    /// invitation's certificate has expired.
    #[must_use]
    pub fn refusal(&self, node: &NodeId) -> Option<Refusal> {
        self.reception.registry().refusal(node)
    }

    /// The next node that has joined.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Closed`] once the listener is closed; nodes that joined but were not accepted are cut off when it
    /// is dropped.
    /// [`AcceptError::Network`] if the socket failed or the runtime ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no node is lost. Several callers are served one after the other.
    pub async fn accept(&self) -> Result<Joined, AcceptError> {
        let mut closed = self.closed.subscribe();
        let next = async {
            let mut queue = self.joined.lock().await;
            loop {
                let joined = queue.recv().await.ok_or(AcceptError::Network)?;
                if !self.reception.registry().is_revoked(&joined.peer) {
                    return Ok(joined);
                }
                joined.connection.close(code::REVOKED.into(), b"given up");
            }
        };
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(AcceptError::Closed),
            joined = next => joined,
        }
    }

    /// Lets nobody join any more. Nodes that come are told so, as long as the listener is not dropped; nodes that were
    /// accepted stay linked.
    pub fn close(&self) {
        self.reception.close();
        self.closed.send_replace(true);
    }

    /// What the listener has seen so far.
    #[must_use]
    pub fn stats(&self) -> ListenerStats {
        let counts = &self.reception.counts;
        ListenerStats {
            invited: self.reception.registry().invited(self.now()),
            connections: self.endpoint.open_connections(),
            handshakes: counts.handshakes.load(Relaxed),
            joined: counts.joined.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            turned_away: counts.turned_away.load(Relaxed),
        }
    }

    /// The authority, for tests of what is refused.
    #[doc(hidden)]
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The runtime's time, which tests can pause.
    fn now(&self) -> Instant {
        let _context = self.runtime.enter();
        Instant::now()
    }

    fn reachable_address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a [`Listener`] has seen since it was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Invitations that can still be used.
    pub invited: usize,
    /// Connections that are open or still closing, those of joined nodes included.
    pub connections: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// Nodes that joined.
    pub joined: u64,
    /// Nodes that were refused with a [`Refusal`].
    pub refused: u64,
    /// Connections that came to nothing: no certificate or a wrong one, no hello or a malformed one, too slow.
    pub failed: u64,
    /// Connections that were not let in because too many handshakes were under way.
    pub turned_away: u64,
}

/// Why [`Listener::bind`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A value of the configuration is out of its bounds.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The build cannot be told to peers.
    #[error(transparent)]
    Build(#[from] InvalidBuild),
    /// The parent's own identity could not be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system did not give the address: it is in use, not one of this machine, or not allowed.
    #[error("cannot listen on {address} (UDP): {cause}")]
    Socket {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
}

/// Why [`Listener::invite`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] InvalidNodeName),
    /// The node's identity could not be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The listener was closed.
    #[error("the listener is closed; nobody can be invited any more")]
    Closed,
}

/// Why [`Listener::accept`] failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The listener was closed.
    #[error("the listener is closed")]
    Closed,
    /// The listener's socket failed, or its runtime ended.
    #[error("the listener's socket failed or its runtime ended")]
    Network,
}
