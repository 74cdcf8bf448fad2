//! How far a boot came that came to nothing.

use std::{fmt, time::Duration};

use flame_transport::{InviteError, Refusal};

use super::machine::BootFailure;
use crate::backend::{BootError, ExitReason};

/// A runner's boot came to nothing: how far it got, why, and what its log says.
///
/// Found in what a waiter is told of ([`CallError::boot_report`](crate::CallError::boot_report)) and in
/// [`PoolEvent::BootFailed`](super::machine::PoolEvent::BootFailed), through [`BootReport::of`].
#[derive(Debug)]
#[non_exhaustive]
pub struct BootReport {
    /// How far it got.
    pub phase: BootPhase,
    /// Why it got no further.
    pub cause: BootCause,
    /// The last lines that the runner printed, oldest first, where its backend sees them.
    pub log: Vec<String>,
}

/// How far a boot got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BootPhase {
    /// Its ticket was being made.
    Inviting,
    /// The backend was making the instance.
    Creating,
    /// The instance was there and had not joined.
    Joining,
}

/// Why a boot got no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootCause {
    /// No ticket could be made.
    #[error("it could not be invited: {0}")]
    Invite(#[source] InviteError),
    /// The backend's own word.
    #[error("{}", words_of(.0))]
    Backend(#[source] BootError),
    /// The instance ended.
    #[error("it {exit}{}", .refusal.as_ref().map(|refusal| format!("; its join was refused: {refusal}")).unwrap_or_default())]
    Ended {
        /// How.
        exit: ExitReason,
        /// Why its join was refused, if it was.
        refusal: Option<Refusal>,
    },
    /// It did not join in time; its instance was terminated.
    #[error("it did not join within {0:?}")]
    TimedOut(Duration),
}

impl BootReport {
    /// The report in a boot failure, where the pool made one.
    #[must_use]
    pub fn of(failure: &BootFailure) -> Option<&Self> {
        failure.0.downcast_ref()
    }

    /// Whether the runner was killed because memory ran out, where its backend can tell.
    #[must_use]
    pub fn out_of_memory(&self) -> bool {
        matches!(self.cause, BootCause::Ended { exit: ExitReason::OutOfMemory, .. })
    }
}

impl fmt::Display for BootReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the boot failed {}: {}", self.phase, self.cause)?;
        if !self.log.is_empty() {
            write!(f, "; its log ends with:")?;
        }
        self.log.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for BootReport {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // `Display` has told it; what lies below it may be looked for by type.
        self.cause.source()
    }
}

impl fmt::Display for BootPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inviting => "before it was created",
            Self::Creating => "while it was created",
            Self::Joining => "before it had joined",
        })
    }
}

fn words_of(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words
}
