//! What a listener does with those who come.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use quinn::{
    Connection, Endpoint, Incoming, RecvStream, SendStream, ServerConfig, crypto::rustls::QuicServerConfig,
};
use rustls::pki_types::CertificateDer;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Build, Joined, LinkConfig, Refusal, Side,
    message::{self, Answer, DATA_PREAMBLE, Hello, MessageError, code},
    registry::Registry,
    socket,
};
use crate::{
    NodeId,
    identity::{Fingerprint, RunnerName, fingerprint},
};

/// How many joined nodes wait to be accepted; those beyond wait in their handshakes.
pub(super) const QUEUE: usize = 64;

/// How QUIC treats those who come.
pub(super) fn server_config(tls: QuicServerConfig, config: &LinkConfig, loopback: bool) -> ServerConfig {
    let mut quic = ServerConfig::with_crypto(Arc::new(tls));
    quic.transport_config(socket::transport(config, loopback));
    // First packets are taken up at once, so few need to be kept for later.
    quic.max_incoming(MAX_HANDSHAKES);
    quic.incoming_buffer_size(64 << 10);
    quic.incoming_buffer_size_total(1 << 20);
    quic
}

/// What the handshakes of one listener share.
#[derive(Debug)]
pub(super) struct Reception {
    node: NodeId,
    build: Build,
    config: LinkConfig,
    registry: Mutex<Registry>,
    closing: AtomicBool,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handshakes: AtomicUsize,
    pub(super) joined: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) turned_away: AtomicU64,
}

impl Reception {
    pub(super) fn new(node: NodeId, build: Build, config: LinkConfig) -> Self {
        Self {
            node,
            build,
            config,
            registry: Mutex::default(),
            closing: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic cannot leave an entry half changed, so the poison says nothing.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }
}

/// Receives those who come until the socket fails. Dropping it ends the handshakes under way.
pub(super) async fn receive(endpoint: Endpoint, reception: Arc<Reception>, queue: mpsc::Sender<Joined>) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { return };
                if let Some(incoming) = let_in(incoming, &reception, handshakes.len()) {
                    handshakes.spawn(handshake(incoming, Arc::clone(&reception), queue.clone()));
                }
            }
            Some(ended) = handshakes.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a handshake ended abnormally");
                }
            }
        }
        reception.counts.handshakes.store(handshakes.len(), Relaxed);
    }
}

/// Under load, those who come must first show that their address is their own; under more load, they must come again.
fn let_in(incoming: Incoming, reception: &Reception, handshakes: usize) -> Option<Incoming> {
    if handshakes >= MAX_HANDSHAKES {
        reception.counts.turned_away.fetch_add(1, Relaxed);
        incoming.refuse();
        return None;
    }
    if handshakes >= RETRY_ABOVE && !incoming.remote_address_validated() {
        // One whose address is not validated can always be asked to retry.
        let _ = incoming.retry();
        return None;
    }
    Some(incoming)
}

/// One handshake, from the first packet to the queue.
async fn handshake(incoming: Incoming, reception: Arc<Reception>, queue: mpsc::Sender<Joined>) {
    let from = incoming.remote_address();
    let deadline = Instant::now() + reception.config.handshake_timeout();
    let connection = match timeout_at(deadline, async { incoming.await }).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return reception.failed(from, &error),
        Err(_) => return reception.failed(from, &"the TLS handshake took too long"),
    };
    match timeout_at(deadline, reception.welcome(&connection, &queue)).await {
        Ok(Ok(())) => {}
        Ok(Err(Failure::Refused { reason, peer, mut control })) => {
            reception.refused(from, &reason, peer.as_ref());
            // The listener is not kept busy for long by one who does not take its answer.
            let _ = timeout(LINGER, tell(&connection, &mut control, reason)).await;
            connection.close(code::REFUSED.into(), b"refused");
        }
        Ok(Err(Failure::Busy)) => {
            reception.counts.turned_away.fetch_add(1, Relaxed);
            connection.close(code::BUSY.into(), b"busy");
        }
        Ok(Err(Failure::Broken(error))) => {
            reception.failed(from, &error);
            connection.close(code::MALFORMED.into(), b"malformed handshake");
        }
        Err(_) => {
            reception.failed(from, &"the hello took too long");
            connection.close(code::TOO_SLOW.into(), b"handshake timed out");
        }
    }
}

/// Sends the reason and waits until the dialer hangs up, which it does when it has read it.
async fn tell(connection: &Connection, control: &mut SendStream, reason: Refusal) {
    if message::write(control, &Answer::Refused { reason }).await.is_ok() && control.finish().is_ok() {
        connection.closed().await;
    }
}

/// Why a connection did not join.
enum Failure {
    /// It is told why.
    Refused {
        reason: Refusal,
        /// Who it is, if its certificate says.
        peer: Option<Peer>,
        control: SendStream,
    },
    /// Nobody accepts.
    Busy,
    Broken(MessageError),
}

/// Who a certificate says that its holder is.
#[derive(Clone)]
struct Peer {
    name: RunnerName,
    fingerprint: Fingerprint,
}

impl Reception {
    /// From the end of the TLS handshake to the welcome.
    async fn welcome(&self, connection: &Connection, queue: &mpsc::Sender<Joined>) -> Result<(), Failure> {
        let (control, data, hello) = listen(connection).await.map_err(Failure::Broken)?;
        let (mut answers, hellos) = control;
        let peer = identify(connection);
        let refuse = |reason, control| Failure::Refused { reason, peer: peer.clone(), control };

        if let Err(reason) = self.judge(&hello, peer.as_ref()) {
            return Err(refuse(reason, answers));
        }
        // A place in the queue first: once admitted, nothing may stand between a node and its acceptance.
        let place = queue.reserve().await.map_err(|_| Failure::Busy)?;
        if let Err(reason) = self.admit(peer.as_ref()) {
            return Err(refuse(reason, answers));
        }
        let welcome = Answer::Welcome { node: self.node.clone() };
        message::write(&mut answers, &welcome).await.map_err(Failure::Broken)?;
        self.counts.joined.fetch_add(1, Relaxed);
        tracing::debug!(node = ?hello.node, from = %connection.remote_address(), "joined");
        place.send(Joined {
            connection: connection.clone(),
            endpoint: None,
            control: (answers, hellos),
            data,
            peer: hello.node,
            local: self.node.clone(),
            side: Side::Parent,
            config: self.config.clone(),
        });
        Ok(())
    }

    /// Whether the peer may join, with nothing changed yet.
    fn judge(&self, hello: &Hello, peer: Option<&Peer>) -> Result<(), Refusal> {
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let peer = peer.ok_or(Refusal::Unknown)?;
        if hello.parent != self.node {
            return Err(Refusal::WrongParent { expected: hello.parent.clone(), actual: self.node.clone() });
        }
        // The authority signs for this parent only; a certificate that says otherwise was not made by it.
        if peer.name.parent != self.node.incarnation() {
            return Err(Refusal::Unknown);
        }
        if hello.node != peer.name.node {
            let (certificate, claimed) = (peer.name.node.clone(), hello.node.clone());
            return Err(Refusal::WrongNode { certificate, claimed });
        }
        self.registry().check(&peer.name.node, &peer.fingerprint, Instant::now())?;
        if hello.build != self.build {
            let (parent, runner) = (Box::new(self.build.clone()), Box::new(hello.build.clone()));
            return Err(Refusal::Build { parent, runner });
        }
        Ok(())
    }

    /// Uses the peer's invitation up. What was judged before may have changed while the peer waited.
    fn admit(&self, peer: Option<&Peer>) -> Result<(), Refusal> {
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let Peer { name, fingerprint } = peer.ok_or(Refusal::Unknown)?;
        self.registry().admit(&name.node, fingerprint, Instant::now())
    }

    fn refused(&self, from: SocketAddr, reason: &Refusal, peer: Option<&Peer>) {
        self.counts.refused.fetch_add(1, Relaxed);
        let node = peer.map(|peer| &peer.name.node);
        tracing::warn!(%from, ?node, %reason, "refused a node that wanted to join");
        if let Some(Peer { name, fingerprint }) = peer {
            self.registry().note(&name.node, fingerprint, reason);
        }
    }

    /// Anybody on the network can cause these, so they are told quietly.
    fn failed(&self, from: SocketAddr, error: &dyn fmt::Display) {
        self.counts.failed.fetch_add(1, Relaxed);
        tracing::debug!(%from, %error, "a connection did not join");
    }
}

type Stream = (SendStream, RecvStream);

/// The dialer's streams and its hello.
async fn listen(connection: &Connection) -> Result<(Stream, Stream, Hello), MessageError> {
    let mut control = connection.accept_bi().await?;
    let hello: Hello = message::read(&mut control.1).await?;
    hello.build.validate().map_err(MessageError::Build)?;
    let mut data = connection.accept_bi().await?;
    let mut preamble = [0];
    data.1.read_exact(&mut preamble).await?;
    if preamble != [DATA_PREAMBLE] {
        let [byte] = preamble;
        return Err(MessageError::Preamble(byte));
    }
    // Pings must not wait behind data.
    let _ = control.0.set_priority(message::CONTROL_PRIORITY);
    Ok((control, data, hello))
}

fn identify(connection: &Connection) -> Option<Peer> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let leaf = chain.first()?;
    Some(Peer { name: RunnerName::of_certificate(leaf)?, fingerprint: fingerprint(leaf) })
}

/// How many handshakes run at a time.
const MAX_HANDSHAKES: usize = 128;
/// From how many handshakes on an address must be proved, so that forged ones cost nothing.
const RETRY_ABOVE: usize = 32;
/// How long one who is refused may take to read why.
const LINGER: Duration = Duration::from_secs(2);
