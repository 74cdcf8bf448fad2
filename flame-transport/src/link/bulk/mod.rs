//! Bulk: a QUIC stream for each flow of bytes, apart from the two that carry everything else.
//!
//! The reader draws a number ([`Link::expect_bulk`](super::Link::expect_bulk)) and tells it to the producer in a message;
//! the producer opens a stream under that number ([`Link::open_bulk`](super::Link::open_bulk)). So nothing flows that
//! nobody asked for, and a stream under a number that was never drawn is a breach of the protocol.
//!
//! Back-pressure is QUIC's own: a stream that is not read takes one stream window of memory, and its producer waits.
//! The window of the connection grows with the number of streams that are read at a time, so that streams that stand
//! still never take what the lanes need.

mod receiver;
mod sender;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, task::JoinSet};

pub use receiver::{BulkError, BulkReceiver};
pub use sender::{BulkClosed, BulkSender};

use super::{LinkLost, drive::lost_by, shared::Shared};
use crate::{endpoint::MAX_BULK, wire::Malformed};

/// The streams of a link that this node reads, or is about to.
#[derive(Debug, Default)]
pub(super) struct Bulks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number that is drawn next; none above it is known to the peer.
    next: u64,
    expected: HashMap<u64, oneshot::Sender<quinn::RecvStream>>,
    /// How many are expected or read now, and were at the most.
    open: u32,
    most: u32,
}

/// A bulk stream that this node has a number for. Dropped, the stream is refused when it comes.
#[derive(Debug)]
#[must_use = "dropping it refuses the stream"]
pub struct ExpectedBulk {
    seat: Seat,
    arrival: oneshot::Receiver<quinn::RecvStream>,
}

/// The right to read one stream.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    number: u64,
}

impl ExpectedBulk {
    pub(in crate::link) fn new(shared: Arc<Shared>) -> Self {
        let (sender, arrival) = oneshot::channel();
        let mut state = shared.bulks.lock();
        let number = state.next;
        state.next += 1;
        state.open += 1;
        if shared.lost.borrow().is_none() {
            state.expected.insert(number, sender);
        }
        // Never less than before: a smaller one would hold back what the peer was granted already.
        let grow = state.open > state.most && state.open <= MAX_BULK;
        if grow {
            state.most = state.open;
            shared.widen(state.most);
        }
        drop(state);
        Self { seat: Seat { shared, number }, arrival }
    }

    /// The number under which the producer has to open it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.seat.number
    }

    /// Waits for the producer to open it.
    ///
    /// # Errors
    ///
    /// The link is lost.
    pub async fn arrived(self) -> Result<BulkReceiver, LinkLost> {
        let Self { seat, arrival } = self;
        match arrival.await {
            Ok(stream) => Ok(BulkReceiver::new(stream, seat)),
            Err(_) => Err(seat.shared.ended().await),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.bulks.lock();
        state.open -= 1;
        let unclaimed = state.expected.remove(&self.number);
        drop(state);
        drop(unclaimed);
    }
}

impl Bulks {
    /// Nothing will come any more.
    pub(super) fn abandon(&self) {
        let expected = std::mem::take(&mut self.lock().expected);
        drop(expected);
    }

    /// A stream has come. One that nobody expects any more is refused.
    fn deliver(&self, number: u64, stream: quinn::RecvStream) -> Result<(), Malformed> {
        let mut state = self.lock();
        if number >= state.next {
            return Err(Malformed("bulk stream: nobody has asked for it"));
        }
        let reader = state.expected.remove(&number);
        drop(state);
        // Dropped without a reader, which tells the producer.
        if let Some(reader) = reader {
            let _ = reader.send(stream);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the streams that the peer opens, of which QUIC lets it have a bounded number, to their readers.
pub(super) async fn accept(shared: Arc<Shared>, connection: quinn::Connection) -> LinkLost {
    let mut arriving = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => drop(arriving.spawn(with_number(stream))),
                Err(error) => return lost_by(error),
            },
            Some(arrived) = arriving.join_next() => {
                // One that ends before its number was given up by its producer.
                let Ok(Some((number, stream))) = arrived else { continue };
                if let Err(malformed) = shared.bulks.deliver(number, stream) {
                    return LinkLost::Protocol { detail: malformed.to_string() };
                }
            }
        }
    }
}

async fn with_number(mut stream: quinn::RecvStream) -> Option<(u64, quinn::RecvStream)> {
    let mut number = [0; 8];
    stream.read_exact(&mut number).await.ok()?;
    Some((u64::from_le_bytes(number), stream))
}
