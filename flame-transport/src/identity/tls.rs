//! The two TLS configurations: the parent's, which is dialled, and the runner's, which dials.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use super::{Credentials, IdentityError, name::parent_dns_name};
use crate::NodeId;

/// The protocol that both sides must speak. It changes with the crate's major version only, so that everything finer is
/// compared after the handshake, where a refusal can name both sides.
const ALPN: &[u8] = b"flame/1";

/// What a parent answers with. It takes only certificates of its own authority that are good for dialling.
pub(crate) fn listener(parent: &Credentials) -> Result<QuicServerConfig, IdentityError> {
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(parent)?, provider.clone())
        .build()
        .map_err(IdentityError::credentials)?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::credentials)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(parent.chain(), parent.key())
        .map_err(IdentityError::credentials)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // No early data and no resumption: every join shows its certificate, and a join can never be replayed.
    tls.max_early_data_size = 0;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    QuicServerConfig::try_from(tls).map_err(IdentityError::credentials)
}

/// What a runner dials `parent` with, and the name that the parent's certificate must bear.
pub(crate) fn dialer(
    runner: &Credentials,
    parent: &NodeId,
) -> Result<(QuicClientConfig, String), IdentityError> {
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(IdentityError::credentials)?
        .with_root_certificates(roots(runner)?)
        .with_client_auth_cert(runner.chain(), runner.key())
        .map_err(IdentityError::credentials)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = false;
    tls.resumption = Resumption::disabled();
    let tls = QuicClientConfig::try_from(tls).map_err(IdentityError::credentials)?;
    Ok((tls, parent_dns_name(parent.incarnation())))
}

fn roots(credentials: &Credentials) -> Result<Arc<RootCertStore>, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add(credentials.authority()).map_err(IdentityError::credentials)?;
    Ok(Arc::new(roots))
}

/// Ring, told explicitly: a process-wide default may be another provider, or two that cannot decide.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    // The cheapest that is strong enough goes first; QUIC's first packets need it in any case.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}
