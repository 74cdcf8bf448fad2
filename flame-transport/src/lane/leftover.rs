//! Messages that had no effect: what was never sent, what came back, and what a lost link leaves behind.

use bytes::Bytes;

/// What was not sent and never will be.
#[derive(Debug)]
pub(crate) struct Unsent<W> {
    /// Who waits for the answers of the asks among it.
    pub(crate) waiters: Vec<W>,
    /// The messages.
    pub(crate) bodies: Vec<UnsentBody>,
}

/// A message that never will be sent.
#[derive(Debug)]
pub(crate) struct UnsentBody {
    pub(crate) port: u32,
    pub(crate) body: Bytes,
    /// Nobody else hears of it.
    pub(crate) is_tell: bool,
}

/// A message that had no effect and is its sender's again.
#[derive(Debug)]
pub(crate) struct Homecoming<W> {
    pub(crate) port: u32,
    pub(crate) body: Bytes,
    /// Who waits for its answer, if it is an ask and somebody does.
    pub(crate) waiter: Option<W>,
    pub(crate) is_tell: bool,
}

/// A lane whose messages come back has ended, and nothing more will come back.
#[derive(Debug)]
pub(crate) struct Settled<W> {
    pub(crate) port: u32,
    /// What never left, in order; it comes behind all that came back before.
    pub(crate) unsent: Vec<Homecoming<W>>,
}

/// What a lost link leaves behind.
#[derive(Debug)]
pub(crate) struct Abandoned<W> {
    pub(crate) unsent: Unsent<W>,
    pub(crate) settled: Vec<Settled<W>>,
    /// Ports, and how many tells have left for them that may not have been handled, at the most.
    pub(crate) unaccounted: Vec<(u32, u64)>,
}

impl<W> Default for Unsent<W> {
    fn default() -> Self {
        Self { waiters: Vec::new(), bodies: Vec::new() }
    }
}
