//! The names that stand in certificates, and how a peer's certificate is told from all others.

use ring::digest::{SHA256, digest};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::NodeId;

/// The SHA-256 of a certificate's DER.
pub(crate) type Fingerprint = [u8; 32];

/// See [`Fingerprint`].
pub(crate) fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let mut out = Fingerprint::default();
    for (to, from) in out.iter_mut().zip(digest(&SHA256, certificate).as_ref()) {
        *to = *from;
    }
    out
}

/// The DNS name of a parent. It stands for one life of the parent and not for an address, which can change.
pub(crate) fn parent_dns_name(incarnation: u64) -> String {
    format!("{incarnation:016x}.parent.flame.internal")
}

/// What a runner's certificate says: which runner it is, and of which life of which parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunnerName {
    /// The parent's incarnation.
    pub(crate) parent: u64,
    pub(crate) node: NodeId,
}

impl RunnerName {
    pub(super) fn to_uri(&self) -> String {
        let Self { parent, node } = self;
        format!("{PREFIX}{parent:016x}/runner/{}/{:016x}", node.name(), node.incarnation())
    }

    /// The name in a certificate. `None` unless it has exactly one URI, in the one form that we write.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let names = &certificate.subject_alternative_name().ok()??.value.general_names;
        match names.as_slice() {
            [GeneralName::URI(uri)] => Self::parse(uri),
            _ => None,
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix(PREFIX)?.split('/');
        let (parent, runner, name, incarnation) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if runner != "runner" || parts.next().is_some() {
            return None;
        }
        let node = NodeId::from_parts(name, parse_hex(incarnation)?).ok()?;
        Some(Self { parent: parse_hex(parent)?, node })
    }
}

const PREFIX: &str = "spiffe://flame/parent/";

/// Sixteen lower-case digits, so that a name has one spelling only (`from_str_radix` alone would take `+f`).
fn parse_hex(digits: &str) -> Option<u64> {
    let well_formed = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_uri() {
        let name = RunnerName { parent: 7, node: NodeId::new("thumbs-1").unwrap() };
        assert_eq!(RunnerName::parse(&name.to_uri()), Some(name));
    }

    #[test]
    fn a_name_has_one_spelling() {
        let good = "spiffe://flame/parent/00000000000000ab/runner/a/000000000000000f";
        assert!(RunnerName::parse(good).is_some());
        for bad in [
            "",
            "spiffe://flame/parent/",
            "spiffe://other/parent/00000000000000ab/runner/a/000000000000000f",
            "spiffe://flame/parent/00000000000000AB/runner/a/000000000000000f",
            "spiffe://flame/parent/+0000000000000ab/runner/a/000000000000000f",
            "spiffe://flame/parent/ab/runner/a/f",
            "spiffe://flame/parent/00000000000000ab/pool/a/000000000000000f",
            "spiffe://flame/parent/00000000000000ab/runner/A/000000000000000f",
            "spiffe://flame/parent/00000000000000ab/runner//000000000000000f",
            "spiffe://flame/parent/00000000000000ab/runner/a/000000000000000f/",
        ] {
            assert_eq!(RunnerName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_bytes_of_a_certificate_panic() {
        let authority = crate::Authority::new().unwrap();
        let (parent, node) = (NodeId::new("parent").unwrap(), NodeId::new("r").unwrap());
        let secret = authority.issue(&parent, &node, std::time::Duration::ZERO).unwrap();
        let der = secret.certificate_der();
        assert_eq!(RunnerName::of_certificate(der).unwrap().node, node);
        for cut in 0..der.len() {
            RunnerName::of_certificate(&der[..cut]);
            let mut bent = der.to_vec();
            bent[cut] ^= 0xff;
            RunnerName::of_certificate(&bent);
        }
    }
}
