//! The parent's certificate authority.

use std::{error::Error, fmt, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use time::OffsetDateTime;

use super::{
    Credentials,
    name::{RunnerName, parent_dns_name},
};
use crate::NodeId;

/// The longest time for which a runner's certificate can be asked: 30 days. A boot takes seconds or minutes.
pub(crate) const MAX_VALID_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How far a certificate reaches back, for clocks that are set back while a runner boots.
const BEFORE: Duration = Duration::from_secs(5 * 60);

/// How far a certificate outlives the time that was asked for, so that a runner that comes late is told that its
/// invitation has expired, and is not just cut off by TLS.
pub(crate) const AFTER: Duration = Duration::from_secs(2 * 60);

/// A parent's certificate authority (P-256), made at random and kept in memory only.
///
/// It lives as long as the parent process. Its key is never written, sent or shown; when the parent is gone,
/// nothing that it signed is worth anything.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flame_transport::{Authority, NodeId};
///
/// let authority = Authority::new()?;
/// let (parent, runner) = (NodeId::new("parent")?, NodeId::new("thumbs-1")?);
/// let secret = authority.issue(&parent, &runner, Duration::from_secs(60))?;
/// assert!(!format!("{secret:?}").contains("PRIVATE"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Issue`] if the machine gives no randomness.
    pub fn new() -> Result<Self, IdentityError> {
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("flame authority");
        // No certificate between the authority and a leaf: a leaf can never sign another.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(IdentityError::issue)?.der().to_vec();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Credentials with which `runner` can dial `parent`, and do nothing else.
    ///
    /// The certificate is good from 5 minutes ago until 2 minutes after `valid_for`, by the parent's clock. A link that
    /// is up outlives its certificates.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Validity`] if `valid_for` is longer than 30 days.
    pub fn issue(
        &self,
        parent: &NodeId,
        runner: &NodeId,
        valid_for: Duration,
    ) -> Result<Credentials, IdentityError> {
        if valid_for > MAX_VALID_FOR {
            return Err(IdentityError::Validity(valid_for));
        }
        let now = OffsetDateTime::now_utc();
        let uri = RunnerName { parent: parent.incarnation(), node: runner.clone() }.to_uri();
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(runner.name());
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(IdentityError::issue)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = now - BEFORE;
        params.not_after = now + valid_for + AFTER;
        self.sign(params)
    }

    /// The credentials of the parent itself, good only for being dialled.
    ///
    /// They do not expire: the authority does not outlive the process, and a runner with a wrong clock must still
    /// be able to check them.
    pub(crate) fn issue_parent(&self, parent: &NodeId) -> Result<Credentials, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(parent.name());
        let dns_name = parent_dns_name(parent.incarnation());
        params.subject_alt_names = vec![SanType::DnsName(dns_name.try_into().map_err(IdentityError::issue)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Signs any leaf, also one that nobody should accept. For tests of what is refused.
    #[doc(hidden)]
    pub fn sign(&self, mut params: CertificateParams) -> Result<Credentials, IdentityError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = new_key()?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(IdentityError::issue)?;
        Ok(Credentials::from_der(self.certificate.clone(), leaf.der().to_vec(), key.serialize_der()))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// Why an identity could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A key or a certificate could not be made: this machine gives no randomness.
    #[error("cannot make a certificate: {0}")]
    Issue(Box<dyn Error + Send + Sync>),
    /// A certificate was asked for longer than 30 days: ask for about as long as a runner may take to boot.
    #[error("a runner's certificate cannot be valid for {0:?}: at most 30 days")]
    Validity(Duration),
    /// The credentials are no certificate and key that fit together: they were damaged on their way here.
    #[error("the credentials cannot be used: {0}")]
    Credentials(Box<dyn Error + Send + Sync>),
}

impl IdentityError {
    fn issue(cause: rcgen::Error) -> Self {
        Self::Issue(cause.into())
    }

    pub(super) fn credentials(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Credentials(cause.into())
    }
}

fn new_key() -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IdentityError::issue)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
