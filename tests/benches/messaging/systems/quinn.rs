//! One QUIC stream with mutual TLS, tuned as this project's links are.

use std::{net::SocketAddr, sync::Arc};

use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde::{Deserialize, Serialize};

use super::{Callee, System, mux, obey, say};
use crate::net;

/// What the loopback interface carries.
const LOOPBACK: u16 = 65_000;

/// How the caller gets to the callee: one certificate serves both.
#[derive(Serialize, Deserialize)]
struct Ticket {
    address: SocketAddr,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

pub(super) async fn call() {
    let (_callee, mux) = connect(Callee::spawn(System::Quinn)).await;
    obey(mux).await;
}

/// Connects to a callee once that listens.
pub(super) async fn connect(mut callee: Callee) -> (Callee, mux::Mux) {
    let ticket: Ticket = serde_json::from_str(&callee.line()).expect("a ticket");
    let mut endpoint = endpoint(None);
    endpoint.set_default_client_config(client(&ticket));
    let connection =
        endpoint.connect(ticket.address, "bench").expect("an address").await.expect("the callee");
    let (write, read) = connection.open_bi().await.expect("a stream");
    (callee, mux::Mux::start(read, write))
}

pub(super) async fn serve() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["bench".to_owned()]).expect("a key");
    let mut ticket = Ticket {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        certificate: cert.der().to_vec(),
        key: signing_key.serialize_der(),
    };
    let endpoint = endpoint(Some(server(&ticket)));
    ticket.address = endpoint.local_addr().expect("an address");
    say(&serde_json::to_string(&ticket).expect("JSON"));
    let connection: Connection = endpoint.accept().await.expect("the caller").await.expect("the caller");
    let (write, read) = connection.accept_bi().await.expect("a stream");
    mux::serve(read, write).await;
}

fn endpoint(server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(LOOPBACK).expect("a size");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    for set in [socket2::Socket::set_recv_buffer_size, socket2::Socket::set_send_buffer_size] {
        let _ = set(&socket, 4 << 20);
    }
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    Endpoint::new(config, server, socket.into(), Arc::new(TokioRuntime)).expect("an endpoint")
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(net::mtu().unwrap_or(LOOPBACK));
    // Ten packets at once must fit into what the kernel takes.
    transport.mtu_discovery_config(Some(discovery)).enable_segmentation_offload(net::mtu().is_some());
    transport.stream_receive_window(VarInt::from_u32(1_250_000)).receive_window(VarInt::from_u32(4 << 20));
    transport.send_window(2 << 20);
    // It waits while others have their turn, however long that takes.
    transport.max_idle_timeout(None);
    Arc::new(transport)
}

fn server(ticket: &Ticket) -> ServerConfig {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ticket)), provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![certificate(ticket)], key(ticket))
        .expect("a certificate");
    tls.alpn_protocols = vec![b"bench".to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("a cipher")));
    config.transport_config(transport());
    config
}

fn client(ticket: &Ticket) -> ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots(ticket))
        .with_client_auth_cert(vec![certificate(ticket)], key(ticket))
        .expect("a certificate");
    tls.alpn_protocols = vec![b"bench".to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a cipher")));
    config.transport_config(transport());
    config
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ticket: &Ticket) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ticket)).expect("a certificate");
    roots
}

fn certificate(ticket: &Ticket) -> CertificateDer<'static> {
    ticket.certificate.clone().into()
}

fn key(ticket: &Ticket) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(ticket.key.clone()).into()
}
