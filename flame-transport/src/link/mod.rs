//! The link: the one authenticated connection between two nodes, with its lanes on top.
//!
//! Two streams carry all messages: *control* (pings, credit, signals; small, urgent, never behind a message) and *data*
//! (all lanes). The reader never stops reading: what may arrive is bounded by credit, so a slow actor holds back its
//! own senders and nobody else. *Bulk* streams come and go beside them, one for each flow of bytes.
//!
//! | module | what it holds |
//! |---|---|
//! | `drive` | the tasks that move bytes, and the end of a link |
//! | `lease` | pings, and the time that each side grants the other |
//! | `outgoing` | [`Lane`]: sending to a port of the peer |
//! | `incoming` | [`Inbox`]: taking what the peer sent to a port |
//! | `answers` | answering what was asked |
//! | `bulk` | streams of bytes, apart from the lanes |

mod answers;
mod bulk;
mod drive;
mod incoming;
mod lease;
mod outgoing;
mod shared;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use answers::{Answers, Owed};
pub use bulk::{BulkClosed, BulkError, BulkReceiver, BulkSender, ExpectedBulk};
pub use incoming::{Inbox, Message, Question};
pub use outgoing::{Answer, AskError, Interrupt, Lane, LaneWatch, SendError};

use crate::{Joined, NodeId, lane::Window};
use shared::Shared;

/// The number of the port that both sides of a link have from the start.
pub const MAIN_PORT: u32 = 0;

/// What the layer above hears of a link.
///
/// Where nothing else is said it is called on the network thread, which must not be held up: implementations queue and
/// return.
pub trait Service: Send + Sync + 'static {
    /// The peer sent a notice with [`Link::signal`].
    fn signal(&self, body: &[u8]);

    /// A message came to a port whose owner takes no more. Asks among them have been answered.
    fn dead_letter(&self, port: u32, body: Bytes);

    /// An answer came that nobody waits for any more.
    fn unclaimed(&self, body: Bytes);

    /// A message of this node to a port of the peer waited for credit and will never be sent: its port or the link has
    /// ended, or its asker has gone. Of an ask its asker hears too; of a tell (`is_tell`) nobody else does. Also called
    /// on the thread of an asker that goes.
    fn unsent(&self, port: u32, body: Bytes, is_tell: bool);

    /// A tell on a [returning](Link::returning_lane) lane had no effect and has come back. Those of a lane come in order, as do the asks
    /// among them.
    fn returned(&self, port: u32, body: Bytes) {
        self.unsent(port, body, true);
    }

    /// A [returning](Link::returning_lane) lane has ended, and nothing comes back any more.
    fn settled(&self, port: u32) {
        let _ = port;
    }

    /// The link was lost with so many tells to a port under way, at the most, of which nobody will know whether they were handled.
    fn unaccounted(&self, port: u32, messages: u64, reason: &LinkLost) {
        let _ = (port, messages, reason);
    }

    /// The link is lost, and nobody has heard of it yet: neither who waits for an answer nor who waits for a message.
    fn losing(&self) {}

    /// The link is lost. Called once, after everything else.
    fn lost(&self, reason: &LinkLost);
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LinkLost {
    /// The peer closed it and said why.
    #[error("closed by the peer: {reason}")]
    ClosedByPeer {
        /// The peer's words.
        reason: String,
    },
    /// This node closed it.
    #[error("closed: {reason}")]
    Closed {
        /// What was given to [`Link::close`] or [`Link::abort`].
        reason: String,
    },
    /// Nothing was heard of the peer for the idle timeout of the link.
    #[error("nothing heard of the peer for too long")]
    TimedOut,
    /// No ping was answered within the lease: the peer may by now have replaced this node, whose work must stop.
    #[error("the lease ran out: no ping was answered in time")]
    LeaseExpired,
    /// The peer sent what no correct node sends.
    #[error("the peer broke the protocol: {detail}")]
    Protocol {
        /// What it was.
        detail: String,
    },
    /// The connection broke.
    #[error("the connection broke: {detail}")]
    Broken {
        /// The transport's words.
        detail: String,
    },
}

/// A link to another node. Clones share it; it lives until it is closed or lost, not until its clones are dropped.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

impl Link {
    /// Sets up the link of two nodes that have joined, and the inbox of its [`MAIN_PORT`].
    ///
    /// Its tasks run on `runtime`, which should be one thread that runs nothing else.
    pub fn start(
        joined: Joined,
        service: Arc<dyn Service>,
        runtime: &tokio::runtime::Handle,
    ) -> (Self, Inbox) {
        let shared = Arc::new(Shared::new(&joined, service));
        let link = Self { shared };
        let inbox = link.open_port();
        // The peer may address the main port without ever having been given it.
        let _ = link.export(inbox.port());
        runtime.spawn(drive::run(Arc::clone(&link.shared), joined));
        (link, inbox)
    }

    /// This node.
    #[must_use]
    pub fn local(&self) -> &NodeId {
        &self.shared.local
    }

    /// The node at the other end.
    #[must_use]
    pub fn peer(&self) -> &NodeId {
        &self.shared.peer
    }

    /// The longest message that may be sent, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.shared.limits.max_message
    }

    /// A lane to a port of the peer: to [`MAIN_PORT`], or to one that the peer has named in a message. Each time that
    /// it was named is one reference, taken over by one lane.
    #[must_use]
    pub fn lane(&self, port: u32) -> Lane {
        Lane::open(Arc::clone(&self.shared), port)
    }

    /// As [`Link::lane`], to a port whose owner [sends back](Inbox::close_and_return) what it does not take before it closes: what comes
    /// back, and what had not left by then, is given to [`Service::returned`] and to the callbacks of
    /// [`Lane::ask_returning`], in order, and then [`Service::settled`] is called. `None` if the link is lost.
    #[must_use]
    pub fn returning_lane(&self, port: u32) -> Option<Lane> {
        Lane::open_returning(Arc::clone(&self.shared), port)
    }

    /// A new port of this node, which the peer can address once it was [exported](Link::export).
    #[must_use]
    pub fn open_port(&self) -> Inbox {
        Inbox::open(Arc::clone(&self.shared))
    }

    /// Counts a reference to one of this node's ports, to be sent to the peer; false if the port is gone.
    #[must_use]
    pub fn export(&self, port: u32) -> bool {
        self.shared.receiver().export(port)
    }

    /// Takes back a reference that was counted and not sent.
    pub fn unexport(&self, port: u32) {
        self.shared.unexport(port);
    }

    /// How many ports of this node the peer may address, the main port among them.
    #[must_use]
    pub fn exported(&self) -> usize {
        self.shared.receiver().exported()
    }

    /// A writer of answers to what the peer asked.
    #[must_use]
    pub fn answers(&self) -> Answers {
        Answers::new(Arc::clone(&self.shared))
    }

    /// Whether the asker of a question that was not answered yet has gone.
    #[must_use]
    pub fn is_cancelled(&self, question: Question) -> bool {
        self.shared.is_cancelled(question.0)
    }

    /// Draws the number of a bulk stream that this node is going to read: tell it to the producer, who opens it.
    ///
    /// The peer can have 256 streams open at a time; the producer of another one waits for one of them to end.
    pub fn expect_bulk(&self) -> ExpectedBulk {
        ExpectedBulk::new(Arc::clone(&self.shared))
    }

    /// Opens the bulk stream that the peer expects under a number.
    ///
    /// # Errors
    ///
    /// The link is lost.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a stream that was opened meanwhile is given up.
    pub async fn open_bulk(&self, number: u64) -> Result<BulkSender, LinkLost> {
        BulkSender::open(Arc::clone(&self.shared), number).await
    }

    /// Sends a notice that overtakes all messages. At most 16,000 bytes; a longer one, or one on a lost link, is not
    /// sent, and the answer is false.
    pub fn signal(&self, body: &[u8]) -> bool {
        self.shared.signal(body)
    }

    /// Ends the link once all that was sent has been delivered, at most two seconds later. The peer hears `reason`.
    pub fn close(&self, reason: &str) {
        self.shared.close(reason, true);
    }

    /// Ends the link at once.
    pub fn abort(&self, reason: &str) {
        self.shared.close(reason, false);
    }

    /// Why the link ended, if it has.
    #[must_use]
    pub fn lost(&self) -> Option<LinkLost> {
        self.shared.lost.borrow().clone()
    }

    /// Waits for the end of the link.
    ///
    /// Cancel safe.
    pub async fn ended(&self) -> LinkLost {
        self.shared.ended().await
    }

    /// When the peer was last heard of by the link's own ping.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.shared.pulse.last_heard()
    }

    /// The windows of a lane and of the link.
    #[must_use]
    pub fn windows(&self) -> (Window, Window) {
        (self.shared.limits.lane, self.shared.limits.link)
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Link {}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("local", &self.shared.local).field("peer", &self.shared.peer).finish()
    }
}
