//! What a node shows of itself, and what it trusts.

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// A node's certificate, its private key, and the one authority that it trusts.
///
/// This is a secret: who holds it can join in the runner's place. It is `Serialize` so that it can travel to the runner
/// in its ticket; `Debug` shows sizes only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    #[serde(with = "serde_bytes")]
    authority: Vec<u8>,
    #[serde(with = "serde_bytes")]
    certificate: Vec<u8>,
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
}

impl Credentials {
    /// From the authority's certificate and the node's certificate, both DER, and the node's PKCS#8 key. They are
    /// checked when they are used.
    #[must_use]
    pub fn from_der(authority: Vec<u8>, certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self { authority, certificate, key }
    }

    /// The authority's certificate, in DER.
    #[must_use]
    pub fn authority_der(&self) -> &[u8] {
        &self.authority
    }

    /// The node's own certificate, in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The node's private key, in PKCS#8 DER.
    #[must_use]
    pub fn key_der(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn authority(&self) -> CertificateDer<'static> {
        self.authority.clone().into()
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone().into()]
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authority", &format_args!("{} bytes", self.authority.len()))
            .field("certificate", &format_args!("{} bytes", self.certificate.len()))
            .field("key", &format_args!("secret"))
            .finish()
    }
}
