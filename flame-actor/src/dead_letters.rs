//! What was sent without waiting for an answer, and did not arrive.

use std::{error::Error, fmt, sync::Arc};

use flame_transport::NodeId;

use crate::outlet::{Outlet, Subscription};

/// A message or cast that nobody waited for and that failed.
///
/// # Examples
///
/// The reason is the error that somebody who had waited would have got:
///
/// ```
/// use flame_actor::{CallError, DeadLetter, SendError};
///
/// fn is_lost_work(letter: &DeadLetter) -> bool {
///     match letter.reason.downcast_ref::<CallError>() {
///         Some(error) => !error.may_have_run(),
///         None => letter.reason.is::<SendError>(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The type of the message, or the path of the task; `None` where it is not known any more: the message came from another
    /// node, for an actor that has gone.
    pub subject: Option<&'static str>,
    /// How many messages: 1, but for those that were under way to a node when it was lost. Of these the link knows only how many it had
    /// no receipt for, and receipts are given for many at a time: so many at the most were not handled, and perhaps all were.
    pub messages: u64,
    /// The other node, where it is known.
    pub node: Option<NodeId>,
    /// Why: a [`SendError`](crate::SendError) of a message, a [`CallError`](crate::CallError) of a cast.
    pub reason: Arc<dyn Error + Send + Sync>,
}

/// A stream of dead letters, bounded, with a count of what was missed.
pub type DeadLetters = Subscription<DeadLetter>;

/// Subscribes to the dead letters of this process: messages of `do_send` and through recipients that were not delivered, casts
/// and detached calls that failed. On a runner these are the runner's own.
///
/// They are events of the log target `flame::dead_letter` as well.
///
/// # Examples
///
/// ```
/// use flame_actor::{Pool, backend::LocalBackend, dead_letters, task};
///
/// #[task]
/// async fn fail() {
///     panic!("out of paper");
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut letters = dead_letters();
/// let pool = Pool::builder("printers").backend(LocalBackend::new()).start()?;
/// pool.cast(fail::task());
/// let letter = letters.next().await.ok_or("a process has dead letters as long as it lives")?;
/// assert!(letter.to_string().contains("out of paper"), "{letter}");
/// # Ok(())
/// # }
/// ```
pub fn dead_letters() -> DeadLetters {
    OF_PROCESS.subscribe()
}

// As there is one log of a process.
static OF_PROCESS: Outlet<DeadLetter> = Outlet::new();

/// Tells the subscribers of a dead letter, if there are any.
pub(crate) fn publish<E: Error + Send + Sync + Clone + 'static>(
    subject: Option<&'static str>,
    node: Option<&NodeId>,
    reason: &E,
) {
    let letter =
        || DeadLetter { subject, messages: 1, node: node.cloned(), reason: Arc::new(reason.clone()) };
    OF_PROCESS.publish(letter);
}

/// The same of several messages, of which nothing else is known.
pub(crate) fn publish_some<E: Error + Send + Sync + Clone + 'static>(
    messages: u64,
    node: Option<&NodeId>,
    reason: &E,
) {
    OF_PROCESS.publish(|| DeadLetter {
        subject: None,
        messages,
        node: node.cloned(),
        reason: Arc::new(reason.clone()),
    });
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.subject, self.messages) {
            (Some(subject), _) => f.write_str(subject)?,
            (None, 1) => f.write_str("a message")?,
            (None, messages) => write!(f, "up to {messages} messages")?,
        }
        if let Some(node) = &self.node {
            write!(f, " ({node})")?;
        }
        write!(f, ": {}", self.reason)
    }
}
