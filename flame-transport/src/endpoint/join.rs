//! The runner's side: dial until the parent answers.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use quinn::{
    ClientConfig, Connection, ConnectionError, ReadError, ReadExactError, TransportErrorCode, WriteError,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Build, InvalidBuild, InvalidConfig, Invitation, Joined, LinkConfig, Refusal, Side,
    message::{self, Answer, DATA_PREAMBLE, Hello, MessageError, code},
    mtu, socket,
};
use crate::{
    IdentityError,
    identity::{self, MAX_VALID_FOR},
};

/// Joins the parent that made `invitation`.
///
/// Dials each of its addresses in turn, again and again with growing pauses (50 ms to 1 s), until the parent welcomes
/// or refuses this node, or the invitation's time is over: a parent that does not listen yet is waited for.
///
/// Must run on the tokio runtime that is to drive the link, with I/O and time.
///
/// # Errors
///
/// See [`JoinError`]. An error is returned at once where trying again cannot help.
///
/// # Panics
///
/// Outside a tokio runtime, or on one without I/O or time.
///
/// # Cancel safety
///
/// Dropping the future gives up. The parent may have admitted this node all the same; it sees the connection close, and
/// the invitation is used up.
pub async fn join(invitation: &Invitation, build: &Build, config: &LinkConfig) -> Result<Joined, JoinError> {
    config.validate()?;
    build.validate()?;
    let dialer = Dialer::new(invitation, build, config)?;
    let began = Instant::now();
    let deadline = began + invitation.valid_for.min(MAX_VALID_FOR);
    let (mut patience, mut pause) = (FIRST_PATIENCE, FIRST_PAUSE);
    loop {
        let mut last = None;
        let mut hopeless = None;
        let mut hope = false;
        for &address in &invitation.addresses {
            let connected_by = deadline.min(Instant::now() + patience);
            match dialer.attempt(address, connected_by).await {
                Ok(joined) => return Ok(joined),
                Err(Miss::Final(error)) => return Err(error),
                Err(Miss::Hopeless(error)) => hopeless = Some(error),
                Err(Miss::Again(why)) => {
                    hope = true;
                    last = Some(why);
                }
            }
        }
        if let (Some(error), false) = (hopeless, hope) {
            return Err(error);
        }
        let Some(why) = last else { return Err(JoinError::NoAddress) };
        let next = Instant::now() + pause;
        if next >= deadline {
            let addresses = invitation.addresses.clone();
            let why = match mtu::too_narrow(Path::new(mtu::INTERFACES)) {
                Some(narrow) => format!("{why}; {narrow}"),
                None => why,
            };
            return Err(JoinError::Unreachable { addresses, tried_for: began.elapsed(), why });
        }
        tracing::debug!(parent = ?invitation.parent, why, "cannot reach the parent; trying again");
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        patience = (patience * 2).min(config.handshake_timeout());
    }
}

/// Why [`join`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A value of the configuration is out of its bounds.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The build cannot be told to the parent.
    #[error(transparent)]
    Build(#[from] InvalidBuild),
    /// The invitation's credentials cannot be used: it was damaged on its way here.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The invitation has no address.
    #[error("the invitation has no address of the parent")]
    NoAddress,
    /// This machine cannot dial the address.
    #[error("cannot dial {address} from this machine: {cause}")]
    Socket {
        /// The address that was dialled.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The parent did not answer in the invitation's time: it is gone, its address is wrong, or UDP does not get through.
    #[error("no parent answered at {addresses:?} (UDP) within {tried_for:?}; the last attempt: {why}")]
    Unreachable {
        /// Where it was looked for.
        addresses: Vec<SocketAddr>,
        /// For how long.
        tried_for: Duration,
        /// How the last attempt failed.
        why: String,
    },
    /// Somebody else answers at the parent's address: it cannot prove to be the parent.
    #[error("what answers at {address} is not the parent: {why}")]
    NotTheParent {
        /// The address that was dialled.
        address: SocketAddr,
        /// What was wrong with its certificate.
        why: String,
    },
    /// The parent does not accept this node's certificate: it is no longer valid, or another parent's.
    #[error("the parent at {address} refused this node's certificate: {why}")]
    CertificateRefused {
        /// The address that was dialled.
        address: SocketAddr,
        /// What the parent said.
        why: String,
    },
    /// What answers speaks another protocol, or another major version of this one, or broke the protocol.
    #[error("what answers at {address} does not speak this protocol: {why}")]
    Protocol {
        /// The address that was dialled.
        address: SocketAddr,
        /// What was heard.
        why: String,
    },
    /// The parent refused this node, and said why.
    #[error("the parent refused this node: {0}")]
    Refused(Refusal),
}

/// How an attempt missed.
enum Miss {
    /// The parent has spoken: no other address and no other time will do.
    Final(JoinError),
    /// This address will not do, another may.
    Hopeless(JoinError),
    /// Not now.
    Again(String),
}

struct Dialer<'a> {
    invitation: &'a Invitation,
    build: &'a Build,
    config: &'a LinkConfig,
    tls: Arc<quinn::crypto::rustls::QuicClientConfig>,
    parent_name: String,
}

impl<'a> Dialer<'a> {
    fn new(
        invitation: &'a Invitation,
        build: &'a Build,
        config: &'a LinkConfig,
    ) -> Result<Self, IdentityError> {
        let (tls, parent_name) = identity::dialer(&invitation.credentials, &invitation.parent)?;
        Ok(Self { invitation, build, config, tls: Arc::new(tls), parent_name })
    }

    /// One attempt at one address, which must be connected by then.
    async fn attempt(&self, address: SocketAddr, connected_by: Instant) -> Result<Joined, Miss> {
        let failed = |cause| Miss::Hopeless(JoinError::Socket { address, cause });
        let loopback = address.ip().is_loopback();
        let endpoint = socket::endpoint(any_port(address), None, self.config, loopback).map_err(failed)?;
        let mut quic = ClientConfig::new(self.tls.clone());
        quic.transport_config(socket::transport(self.config, loopback));
        let connecting = endpoint
            .connect_with(quic, address, &self.parent_name)
            .map_err(|cause| failed(io::Error::other(cause)))?;
        let connection = timeout_at(connected_by, connecting)
            .await
            .map_err(|_| Miss::Again("no answer".into()))?
            .map_err(|error| miss_of_connection(&error, address))?;

        // The parent may still refuse the certificate: on this side, TLS is done before it has looked at it.
        let answer_by = Instant::now() + self.config.handshake_timeout();
        let (control, data) = timeout_at(answer_by, self.introduce(&connection, address))
            .await
            .map_err(|_| Miss::Again("connected, but not welcomed in time".into()))??;
        Ok(Joined {
            connection,
            endpoint: Some(endpoint),
            control,
            data,
            peer: self.invitation.parent.clone(),
            local: self.invitation.node.clone(),
            side: Side::Runner,
            config: self.config.clone(),
        })
    }

    /// From the end of the TLS handshake to the welcome.
    async fn introduce(
        &self,
        connection: &Connection,
        address: SocketAddr,
    ) -> Result<(Stream, Stream), Miss> {
        let hello = Hello {
            build: self.build.clone(),
            node: self.invitation.node.clone(),
            parent: self.invitation.parent.clone(),
        };
        let exchange = async {
            let mut control = connection.open_bi().await?;
            // Pings must not wait behind data.
            let _ = control.0.set_priority(message::CONTROL_PRIORITY);
            message::write(&mut control.0, &hello).await?;
            let mut data = connection.open_bi().await?;
            data.0.write_all(&[DATA_PREAMBLE]).await?;
            let answer: Answer = message::read(&mut control.1).await?;
            Ok((control, data, answer))
        };
        let (control, data, answer) = exchange.await.map_err(|error| miss_of_message(&error, address))?;
        match answer {
            Answer::Welcome { node } if node == self.invitation.parent => Ok((control, data)),
            Answer::Welcome { node } => {
                let why = format!("it is {node:?} and not {:?}", self.invitation.parent);
                Err(Miss::Hopeless(JoinError::NotTheParent { address, why }))
            }
            Answer::Refused { reason } => {
                // The parent waits for this as the sign that its reason was read.
                connection.close(code::REFUSED.into(), b"refused");
                Err(Miss::Final(JoinError::Refused(reason)))
            }
        }
    }
}

type Stream = (quinn::SendStream, quinn::RecvStream);

fn miss_of_message(error: &MessageError, address: SocketAddr) -> Miss {
    match error {
        MessageError::Connection(lost)
        | MessageError::Read(ReadExactError::ReadError(ReadError::ConnectionLost(lost)))
        | MessageError::Write(WriteError::ConnectionLost(lost)) => miss_of_connection(lost, address),
        other => Miss::Final(JoinError::Protocol { address, why: other.to_string() }),
    }
}

/// What the end of a connection says about the chances of another.
fn miss_of_connection(error: &ConnectionError, address: SocketAddr) -> Miss {
    match error {
        // This side did not like what it was shown.
        ConnectionError::TransportError(error) if is_about_certificates(error.code) => {
            Miss::Hopeless(JoinError::NotTheParent { address, why: error.reason.clone() })
        }
        ConnectionError::TransportError(error) => protocol(address, error),
        // The other side did not.
        ConnectionError::ConnectionClosed(close) if is_about_certificates(close.error_code) => {
            let why = String::from_utf8_lossy(&close.reason).into_owned();
            Miss::Hopeless(JoinError::CertificateRefused { address, why })
        }
        ConnectionError::ConnectionClosed(close) if alert(close.error_code).is_some() => {
            protocol(address, close)
        }
        ConnectionError::ApplicationClosed(close) if close.error_code == code::MALFORMED.into() => {
            protocol(address, close)
        }
        ConnectionError::VersionMismatch => protocol(address, error),
        _ => Miss::Again(error.to_string()),
    }
}

fn protocol(address: SocketAddr, why: &dyn std::fmt::Display) -> Miss {
    Miss::Hopeless(JoinError::Protocol { address, why: why.to_string() })
}

/// TLS's alerts of bad, unsupported, revoked, expired, unknown or missing certificates, of unknown authorities, and of
/// signatures that do not fit.
fn is_about_certificates(code: TransportErrorCode) -> bool {
    matches!(alert(code), Some(42..=46 | 48 | 49 | 51 | 116))
}

/// The TLS alert in a QUIC error code.
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code).checked_sub(0x100)?;
    u8::try_from(code).ok()
}

/// Any port of the family that can reach `address`.
fn any_port(address: SocketAddr) -> SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// How long the first attempt at an address may take to connect; each further round gives twice the time. Short at first,
/// because a parent that begins to listen just after the first packet would otherwise be noticed only a second later.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
