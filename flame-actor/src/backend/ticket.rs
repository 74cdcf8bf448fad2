//! The ticket: what a runner needs to join its parent, and how it crosses a pipe.

use std::{fmt, io, io::Read, path::PathBuf, time::Duration};

use bytes::BytesMut;
use flame_transport::{Invitation, LinkConfig, codec};
use serde::{Deserialize, Serialize};

/// All that a runner needs to join its parent, once: where it listens, how both prove who they are, and for which pool.
///
/// Holds the runner's private key. `Debug` shows none of it; [`Ticket::encode`] does, so mind where its bytes go.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ticket {
    /// The invitation to join.
    pub invitation: Invitation,
    /// The pool that the runner is for.
    pub pool: String,
    /// How the link to the parent behaves.
    pub link: LinkConfig,
    /// After how long the runner takes no more work, finishes what it has and ends. `None`, the default, for never.
    pub life: Option<Duration>,
}

impl Ticket {
    /// The most bytes that an encoded ticket may have: 1 MiB.
    pub const MAX_LEN: usize = 1 << 20;

    /// A ticket for a runner of `pool`.
    #[must_use]
    pub fn new(invitation: Invitation, pool: impl Into<String>, link: LinkConfig) -> Self {
        Self { invitation, pool: pool.into(), link, life: None }
    }

    /// The ticket as bytes, for [`Ticket::decode`] in the same build of the app. Secret.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unencodable`] beyond [`Ticket::MAX_LEN`].
    pub fn encode(&self) -> Result<Vec<u8>, TicketError> {
        let mut bytes = BytesMut::new();
        match codec::encode(self, &mut bytes, Self::MAX_LEN) {
            Ok(()) => Ok(bytes.into()),
            Err(error) => Err(TicketError::Unencodable(error.to_string())),
        }
    }

    /// The ticket that [`Ticket::encode`] made these bytes of.
    ///
    /// # Errors
    ///
    /// [`TicketError::Malformed`] if it did not, [`TicketError::TooLong`] beyond [`Ticket::MAX_LEN`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TicketError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(TicketError::TooLong { len: bytes.len() });
        }
        codec::decode(bytes).map_err(|e| TicketError::Malformed(e.to_string()))
    }

    /// The bytes to write to a runner's standard input: [`Ticket::encode`] behind a mark and a length. Secret.
    ///
    /// # Errors
    ///
    /// As [`Ticket::encode`].
    pub fn to_stdin(&self) -> Result<Vec<u8>, TicketError> {
        let ticket = self.encode()?;
        let len = u32::try_from(ticket.len()).map_err(|_| TicketError::TooLong { len: ticket.len() })?;
        Ok([MARK.as_slice(), &len.to_le_bytes(), &ticket].concat())
    }

    /// Reads what [`Ticket::to_stdin`] made, and not a byte more. Blocks until it is there.
    pub(crate) fn read(from: &mut impl Read) -> Result<Self, TicketError> {
        let mut mark = [0; MARK.len()];
        from.read_exact(&mut mark)?;
        if mark != MARK {
            return Err(TicketError::NoTicket);
        }
        let mut len = [0; 4];
        from.read_exact(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > Self::MAX_LEN {
            return Err(TicketError::TooLong { len });
        }
        let mut ticket = vec![0; len];
        from.read_exact(&mut ticket)?;
        Self::decode(&ticket)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Why a ticket could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The ticket is longer than a ticket or the way to the runner can be.
    #[error("a ticket of {len} bytes is too long")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The ticket cannot be written: it would be too long.
    #[error("the ticket cannot be encoded: {0}")]
    Unencodable(String),
    /// The bytes are no ticket of this build.
    #[error("not a ticket of this build of the app: {0}")]
    Malformed(String),
    /// Standard input begins with something that no parent writes.
    #[error("standard input holds no ticket")]
    NoTicket,
    /// The file that was to hold the ticket did not come: the parent has given this boot up, or ended.
    #[error("no ticket at {} within {waited:?}: {source}", path.display())]
    NoFile {
        /// Where it was looked for.
        path: PathBuf,
        /// For how long.
        waited: Duration,
        /// What the system said at last.
        source: io::Error,
    },
    /// The pipe failed or ended midway.
    #[error("the pipe that carries the ticket failed")]
    Pipe(#[from] io::Error),
}

/// Begins what a parent writes to a runner's standard input, so that nothing else is taken for a ticket.
const MARK: [u8; 8] = *b"FLAMEtk1";

#[cfg(test)]
mod tests {
    use flame_transport::{Authority, NodeId};

    use super::*;

    fn ticket() -> Ticket {
        let (parent, node) = (NodeId::new("parent").unwrap(), NodeId::new("thumbs-1").unwrap());
        let valid_for = Duration::from_secs(60);
        let credentials = Authority::new().unwrap().issue(&parent, &node, valid_for).unwrap();
        let invitation = Invitation { addresses: Vec::new(), parent, node, credentials, valid_for };
        Ticket::new(invitation, "thumbs", LinkConfig::default())
    }

    #[test]
    fn a_ticket_comes_out_of_the_pipe_as_it_went_in_and_nothing_behind_it_is_touched() {
        let ticket = ticket();
        let mut pipe = ticket.to_stdin().unwrap();
        pipe.extend_from_slice(b"rest");
        let mut pipe = pipe.as_slice();
        assert_eq!(Ticket::read(&mut pipe).unwrap().encode().unwrap(), ticket.encode().unwrap());
        assert_eq!(pipe, b"rest");
    }

    #[test]
    fn debug_shows_no_secret() {
        let ticket = ticket();
        let key = format!("{:?}", ticket.invitation.credentials.key_der());
        let shown = format!("{ticket:?}");
        assert!(shown.contains("thumbs") && !shown.contains(key.trim_matches(['[', ']'])), "{shown}");
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_anything_is_allocated() {
        let mut bytes = MARK.to_vec();
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        let error = Ticket::read(&mut bytes.as_slice()).unwrap_err();
        assert!(matches!(error, TicketError::TooLong { len: 0xffff_ffff }), "{error:?}");
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let whole = ticket().to_stdin().unwrap();
        assert!(matches!(Ticket::read(&mut &b"hello, world"[..]), Err(TicketError::NoTicket)));
        for cut in 0..whole.len() {
            assert!(matches!(Ticket::read(&mut &whole[..cut]), Err(TicketError::Pipe(_))), "cut at {cut}");
        }
        assert!(matches!(Ticket::decode(b"\xc1"), Err(TicketError::Malformed(_))));
        let long = Ticket { pool: "x".repeat(Ticket::MAX_LEN), ..ticket() };
        assert!(matches!(long.encode(), Err(TicketError::Unencodable(_))));
    }
}
