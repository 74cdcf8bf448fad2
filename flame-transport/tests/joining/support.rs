//! A parent, and clients and servers that do what no node of ours would.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use flame_transport::{
    Authority, Build, Credentials, Invitation, JoinError, Joined, LinkConfig, Listener, NodeId, join,
};
use quinn::{Connection, ConnectionError, Endpoint, TransportErrorCode};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde::Serialize;
use tokio::runtime::Handle;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Far more than anything here takes; only a failing test waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const ALPN: &[u8] = b"flame/1";

pub(crate) fn build() -> Build {
    Build { version: "1.2.3".into(), id: "cafe".into(), types: [7; 32] }
}

pub(crate) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) fn listen() -> Listener {
    listen_with(LinkConfig::default())
}

pub(crate) fn listen_with(config: LinkConfig) -> Listener {
    let parent = NodeId::new("parent").unwrap();
    Listener::bind(anywhere(), parent, build(), config, &Handle::current()).unwrap()
}

pub(crate) async fn join_with(invitation: &Invitation) -> Result<Joined, JoinError> {
    tokio::time::timeout(LONG, join(invitation, &build(), &LinkConfig::default())).await.expect("join hangs")
}

/// Both ends of a runner that is invited and joins.
pub(crate) async fn link(listener: &Listener, name: &str) -> (Joined, Joined) {
    let invitation = listener.invite(name, MINUTE).unwrap();
    let (runner, parent) = tokio::join!(join_with(&invitation), accept(listener));
    let (runner, parent) = (runner.unwrap(), parent);
    assert_eq!(parent.peer(), &invitation.node);
    (parent, runner)
}

pub(crate) async fn accept(listener: &Listener) -> Joined {
    tokio::time::timeout(LONG, listener.accept()).await.expect("accept hangs").unwrap()
}

/// Nobody has joined, nothing is left of those who tried, and the next invited runner does join.
pub(crate) async fn assert_nobody_got_in(listener: &Listener) {
    assert_eq!(listener.stats().joined, 0);
    eventually(|| listener.stats().handshakes == 0 && listener.stats().connections == 0).await;
    link(listener, "honest").await;
    assert_eq!(listener.stats().joined, 1);
}

/// Waits for something that has no event to wait for.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let all = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.expect("it never came true");
}

/// What `authority` would issue, but with another usage and other times: (from, until) now, in seconds.
pub(crate) fn odd_leaf(
    authority: &Authority,
    invitation: &Invitation,
    usage: ExtendedKeyUsagePurpose,
    (from, until): (i64, i64),
) -> Credentials {
    let (parent, node) = (&invitation.parent, &invitation.node);
    let (name, parent, node) = (node.name(), parent.incarnation(), node.incarnation());
    let uri = format!("spiffe://flame/parent/{parent:016x}/runner/{name}/{node:016x}");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.extended_key_usages = vec![usage];
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::seconds(from);
    params.not_after = now + time::Duration::seconds(until);
    authority.sign(params).unwrap()
}

/// The leaf of one and the trust of another.
pub(crate) fn leaf_trusting(leaf: &Credentials, trusted: &Credentials) -> Credentials {
    Credentials::from_der(
        trusted.authority_der().to_vec(),
        leaf.certificate_der().to_vec(),
        leaf.key_der().to_vec(),
    )
}

/// A client by hand: dials the parent of `invitation` with its certificate, or without.
pub(crate) async fn dial(
    invitation: &Invitation,
    with_certificate: bool,
    alpn: &[u8],
) -> (Endpoint, Result<Connection, ConnectionError>) {
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(&invitation.credentials));
    let mut tls = if with_certificate {
        let (chain, key) = leaf(&invitation.credentials);
        tls.with_client_auth_cert(chain, key).unwrap()
    } else {
        tls.with_no_client_auth()
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = Endpoint::client(anywhere()).unwrap();
    let name = format!("{:016x}.parent.flame.internal", invitation.parent.incarnation());
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let connecting = endpoint.connect_with(config, invitation.addresses[0], &name).unwrap();
    let connection = tokio::time::timeout(LONG, connecting).await.expect("dialling hangs");
    (endpoint, connection)
}

/// A client by hand with a certificate that the parent takes, before its hello.
pub(crate) async fn dial_in(invitation: &Invitation) -> (Endpoint, Connection) {
    let (endpoint, connection) = dial(invitation, true, ALPN).await;
    (endpoint, connection.unwrap())
}

/// A server by hand that shows `credentials` and takes anybody. It answers every hello with `answer`.
pub(crate) fn impostor(credentials: &Credentials, alpn: &[u8], answer: &'static [u8]) -> SocketAddr {
    let (chain, key) = leaf(credentials);
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let endpoint = Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(tls)), anywhere()).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            let Ok((mut send, _receive)) = connection.accept_bi().await else { continue };
            let _ = send.write_all(answer).await;
            connection.closed().await;
        }
    });
    address
}

/// A hello as it goes over the wire.
#[derive(Serialize)]
pub(crate) struct Hello {
    pub(crate) build: Build,
    pub(crate) node: NodeId,
    pub(crate) parent: NodeId,
}

impl Hello {
    pub(crate) fn of(invitation: &Invitation) -> Self {
        Self { build: build(), node: invitation.node.clone(), parent: invitation.parent.clone() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let body = rmp_serde::to_vec_named(self).unwrap();
        [&u32::try_from(body.len()).unwrap().to_le_bytes(), body.as_slice()].concat()
    }
}

/// How the parent ended a connection.
pub(crate) async fn end_of(connection: &Connection) -> ConnectionError {
    tokio::time::timeout(LONG, connection.closed()).await.expect("the parent keeps the connection")
}

/// The application's code in a close, or `None` for any other end.
pub(crate) fn close_code(end: &ConnectionError) -> Option<u64> {
    match end {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        _ => None,
    }
}

/// Whether the other side's TLS ended the connection with `alert`.
pub(crate) fn is_alert(end: &ConnectionError, alert: u8) -> bool {
    matches!(end, ConnectionError::ConnectionClosed(close)
        if close.error_code == TransportErrorCode::crypto(alert))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(credentials: &Credentials) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(credentials.authority_der().to_vec().into()).unwrap();
    roots
}

fn leaf(credentials: &Credentials) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivatePkcs8KeyDer::from(credentials.key_der().to_vec());
    (vec![credentials.certificate_der().to_vec().into()], key.into())
}
