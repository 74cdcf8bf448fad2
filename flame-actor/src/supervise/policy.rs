//! When a child is started again, and what becomes of its messages until then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::remote::DownReason;

/// Whether a child that ends is started again: OTP's three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Never. The default, which costs nothing.
    #[default]
    Temporary,
    /// If it ended badly: it panicked, its runner was lost, or it could not be started again. One that stops by itself
    /// has done its work.
    Transient,
    /// However it ended, unless its owner or its lifetime ended it.
    Permanent,
}

/// What becomes of messages to a child that is being started again.
///
/// A message that reaches an incarnation which has just ended comes back, and belongs to these: it waits in front of what was sent
/// later. Only what the incarnation may have handled is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Between {
    /// They wait for the new incarnation, up to this many of them and 1 MiB; beyond that they are refused with
    /// [`SendError::Full`](crate::SendError::Full).
    Queue(usize),
    /// They are refused at once with [`SendError::Restarting`](crate::SendError::Restarting).
    Refuse,
}

impl Default for Between {
    /// 1024 messages wait.
    fn default() -> Self {
        Self::Queue(Policy::FIRST_QUEUE)
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) restart: Restart,
    /// So many restarts within this time, and no more.
    pub(crate) intensity: (u32, Duration),
    pub(crate) between: Between,
}

impl Policy {
    /// The most messages that wait for a child's first start.
    pub(crate) const FIRST_QUEUE: usize = 1024;
    /// The most bytes that wait, the last message not counted.
    pub(crate) const QUEUE_BYTES: usize = 1024 * 1024;

    const FIRST_DELAY: Duration = Duration::from_millis(100);
    const LONGEST_DELAY: Duration = Duration::from_secs(5);

    /// Whether the child may be started again at all.
    pub(crate) fn is_supervision(&self) -> bool {
        self.restart != Restart::Temporary
    }

    /// Whether what ended so is started again, if that was not what it was to do.
    pub(super) fn wants_back(&self, reason: &DownReason) -> bool {
        match self.restart {
            Restart::Temporary => false,
            Restart::Transient => *reason != DownReason::Stopped,
            Restart::Permanent => true,
        }
    }

    /// Whether what ended so was to end.
    pub(super) fn is_for_good(reason: &DownReason) -> bool {
        matches!(reason, DownReason::Shutdown { .. } | DownReason::Deadline { .. })
    }

    /// How long a restart waits that comes after `earlier` others in a row: not at all, then 100 ms, doubled up to 5 s.
    pub(super) fn delay(earlier: usize) -> Duration {
        let Some(doublings) = earlier.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(u32::try_from(doublings).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
        Self::FIRST_DELAY.saturating_mul(factor).min(Self::LONGEST_DELAY)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: Restart::default(),
            intensity: (3, Duration::from_secs(5)),
            between: Between::default(),
        }
    }
}
