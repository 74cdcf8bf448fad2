//! Death watch: one [`Down`] for each who watches an actor or a node.
//!
//! A watch that is placed holds no reference, but where that is what it is placed for: it keeps no actor alive. Its word travels as
//! a notice of the link's control stream, so that no message, however long or however many, holds it up.
//!
//! | module | what it holds |
//! |---|---|
//! | `vigil` | those who wait for one end |
//! | `local` | the end of an actor of which only an address is known |

pub(crate) mod local;
pub(crate) mod vigil;

use std::{
    fmt,
    pin::Pin,
    sync::{
        Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use actix::{Message, Recipient};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::remote::{DownReason, Keeper, Peer};

/// What is watched is gone: told once to each who watches it, as the output of a [`Watch`] or as a message.
#[derive(Message, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Down {
    /// Which watch it is: what [`RemoteAddr::watch_with`](crate::RemoteAddr::watch_with) returned, or [`Watch::id`].
    pub watch: WatchId,
    /// Why it is gone.
    pub reason: DownReason,
}

/// The number of a watch in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WatchId(u64);

impl WatchId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A watch under way: resolves once, when what it watches is gone, and at once if it was already.
///
/// # Cancel safety
///
/// Dropping it ends the watch. To watch across the turns of a `select!`, keep it and poll `&mut watch`.
#[must_use = "a watch that is dropped watches nothing"]
pub struct Watch {
    id: WatchId,
    word: Word,
    end: Option<EndWatch>,
}

enum Word {
    Told(oneshot::Receiver<DownReason>),
    /// Nobody tells: it is looked.
    Looking(Pin<Box<dyn Future<Output = DownReason> + Send>>),
}

/// Ends a watch that is not wanted any more.
pub(crate) type EndWatch = Box<dyn FnOnce() + Send>;

impl Watch {
    /// A watch whose notify is given to `place`.
    pub(crate) fn told(place: impl FnOnce(Notify) -> EndWatch) -> Self {
        let (sender, word) = oneshot::channel();
        let end = place(Notify::Future(sender));
        Self { id: WatchId::next(), word: Word::Told(word), end: Some(end) }
    }

    pub(crate) fn looking(end: impl Future<Output = DownReason> + Send + 'static) -> Self {
        Self { id: WatchId::next(), word: Word::Looking(Box::pin(end)), end: None }
    }

    /// Its number, which stands in its [`Down`].
    #[must_use]
    pub fn id(&self) -> WatchId {
        self.id
    }
}

impl Future for Watch {
    type Output = Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Down> {
        let reason = match &mut self.word {
            // Dropped without a word only with what held it, and so with the actor.
            Word::Told(word) => ready!(Pin::new(word).poll(cx)).unwrap_or(DownReason::Stopped),
            Word::Looking(end) => ready!(end.as_mut().poll(cx)),
        };
        self.end = None;
        Poll::Ready(Down { watch: self.id, reason })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Who is told of an end.
pub(crate) enum Notify {
    /// A [`Watch`].
    Future(oneshot::Sender<DownReason>),
    /// An actor.
    Recipient(WatchId, Recipient<Down>),
    /// Someone on another node, under its number for the watch.
    Node(Weak<Peer>, u64),
    /// Nobody: something is held until then.
    Hold(Keeper),
}

impl Notify {
    pub(crate) fn tell(self, reason: DownReason) {
        match self {
            Self::Future(watch) => drop(watch.send(reason)),
            Self::Recipient(watch, recipient) => recipient.do_send(Down { watch, reason }),
            Self::Node(peer, number) => {
                if let Some(peer) = peer.upgrade() {
                    peer.tell_down(number, &reason);
                }
            }
            Self::Hold(held) => drop(held),
        }
    }

    /// Whether someone still listens.
    pub(crate) fn is_wanted(&self) -> bool {
        match self {
            Self::Future(watch) => !watch.is_closed(),
            Self::Recipient(_, recipient) => recipient.connected(),
            Self::Node(peer, _) => peer.strong_count() > 0,
            Self::Hold(_) => true,
        }
    }
}
