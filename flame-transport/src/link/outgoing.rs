//! Sending to a port of the peer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    LinkLost, MAIN_PORT,
    shared::{Shared, Waiter},
};
use crate::lane::{Asked, Body, Refused, Room, Unsent};

/// The sending end of a lane: what is sent here arrives at one port of the peer, in this order.
///
/// Clones share one reference to the port, which goes back to the peer when the last is dropped.
#[derive(Clone)]
pub struct Lane {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    key: usize,
    port: u32,
}

/// A message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The lane has no credit: the receiving actor is behind.
    #[error("the receiver is behind: no credit is left")]
    Full,
    /// The lane has no credit, and as much as may wait for it does.
    #[error("the receiver is behind and the backlog is full")]
    Overflow,
    /// The message is longer than the link takes.
    #[error("a message of {len} bytes is beyond the limit of {max}")]
    TooLong {
        /// The message's length, in bytes.
        len: usize,
        /// The link's limit, in bytes.
        max: usize,
    },
    /// The port takes no more messages.
    #[error("the port is closed")]
    Closed {
        /// What its owner said on closing it.
        reason: Bytes,
    },
    /// The link is gone.
    #[error("the link is lost: {0}")]
    Lost(LinkLost),
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The answering side says why in `body`.
    #[error("refused")]
    Refused {
        /// Its words, for the layer above.
        body: Bytes,
    },
    /// The port was closed before it took the message, which had no effect.
    #[error("the port is closed")]
    Closed {
        /// What its owner said on closing it, where that is known.
        reason: Bytes,
    },
    /// The message had no effect and has come back: its lane is a [returning](super::Link::returning_lane) one.
    #[error("the message came back")]
    Returned {
        /// What was sent. What it counts on the link is counted still.
        body: Bytes,
    },
    /// The message was taken, and no answer made.
    #[error("the message was taken and its answer given up")]
    Dropped,
    /// The link was lost. Whether the message was handled is not known.
    #[error("the link was lost: {0}")]
    Lost(LinkLost),
}

impl Lane {
    pub(super) fn open(shared: Arc<Shared>, port: u32) -> Self {
        let key = shared.sender(|sender| sender.open(port));
        Self { handle: Arc::new(Handle { shared, key, port }) }
    }

    pub(super) fn open_returning(shared: Arc<Shared>, port: u32) -> Option<Self> {
        let key = shared.sender(|sender| sender.open_returning(port))?;
        Some(Self { handle: Arc::new(Handle { shared, key, port }) })
    }

    /// The port that the lane leads to.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.handle.port
    }

    /// Sends a message without an answer if there is credit for it now.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] without credit; else see [`SendError`].
    #[inline]
    pub fn try_tell(&self, body: Body<'_>) -> Result<(), SendError> {
        self.tell_with(body, Room::Now)
    }

    /// Sends a message without an answer; without credit it waits in the lane's backlog.
    ///
    /// # Errors
    ///
    /// [`SendError::Overflow`] when the backlog is full; else see [`SendError`].
    #[inline]
    pub fn tell(&self, body: Body<'_>) -> Result<(), SendError> {
        self.tell_with(body, Room::Backlog)
    }

    /// Sends a message without an answer; without credit it waits in the lane, whatever its backlog holds. For a caller
    /// who [waits for room](LaneWatch::poll_room) before the next, and so bounds what can wait.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    #[inline]
    pub fn tell_in_turn(&self, body: Body<'_>) -> Result<(), SendError> {
        self.tell_with(body, Room::Wait)
    }

    /// Whether the lane takes no more messages: the port is closed, or the link lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let Handle { shared, key, .. } = &*self.handle;
        shared.sender(|sender| sender.is_closed(*key))
    }

    /// Watches the lane for one task.
    #[must_use]
    pub fn watch(&self) -> LaneWatch {
        let number = self.handle.shared.sender(|sender| sender.watcher());
        LaneWatch { lane: self.clone(), number }
    }

    /// Sends a message that is answered. It is in the lane's order when this returns, and waits there for credit.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; [`SendError::Full`] only when 65,536 asks of the link wait for their answers.
    #[inline]
    pub fn ask(&self, body: Body<'_>) -> Result<Answer, SendError> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.ask_with(body, Waiter::Future(sender), Room::Wait)?;
        Ok(Answer { handle: Arc::clone(&self.handle), asked, receiver: Some(receiver) })
    }

    /// As [`Lane::ask`] if there is credit now.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] without credit; else see [`SendError`].
    #[inline]
    pub fn try_ask(&self, body: Body<'_>) -> Result<Answer, SendError> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.ask_with(body, Waiter::Future(sender), Room::Now)?;
        Ok(Answer { handle: Arc::clone(&self.handle), asked, receiver: Some(receiver) })
    }

    /// As [`Lane::ask`], the answer going to `callback`, which is called once, on the network thread.
    ///
    /// # Errors
    ///
    /// As [`Lane::ask`]; the callback is dropped then.
    pub fn ask_then(
        &self,
        body: Body<'_>,
        callback: impl FnOnce(Result<Bytes, AskError>) + Send + 'static,
    ) -> Result<Interrupt, SendError> {
        let asked = self.ask_with(body, Waiter::Callback(Box::new(callback)), Room::Wait)?;
        Ok(Interrupt { handle: Arc::clone(&self.handle), asked })
    }

    /// As [`Lane::ask_then`], for whoever sends on a [returning](super::Link::returning_lane) lane: a message that comes back
    /// does so as [`AskError::Returned`]. With `wait` false it is sent only if there is credit now.
    ///
    /// # Errors
    ///
    /// As [`Lane::ask`]; the callback is dropped then.
    pub fn ask_returning(
        &self,
        body: Body<'_>,
        wait: bool,
        callback: impl FnOnce(Result<Bytes, AskError>) + Send + 'static,
    ) -> Result<Interrupt, SendError> {
        let room = if wait { Room::Wait } else { Room::Now };
        let asked = self.ask_with(body, Waiter::Keeper(Box::new(callback)), room)?;
        Ok(Interrupt { handle: Arc::clone(&self.handle), asked })
    }

    #[inline]
    fn tell_with(&self, body: Body<'_>, room: Room) -> Result<(), SendError> {
        let Handle { shared, key, .. } = &*self.handle;
        check_length(shared, &body)?;
        let sent = shared.sender(|sender| sender.tell(*key, body, room));
        sent.map_err(|refused| self.explain(refused))
    }

    #[inline]
    fn ask_with(&self, body: Body<'_>, waiter: Waiter, room: Room) -> Result<Asked, SendError> {
        let Handle { shared, key, .. } = &*self.handle;
        check_length(shared, &body)?;
        // The waiter comes out of the lock before it is dropped: what it holds may use the link.
        let sent = shared.sender(|sender| sender.ask(*key, body, waiter, room));
        sent.map_err(|(refused, _waiter)| self.explain(refused))
    }

    #[cold]
    fn explain(&self, refused: Refused) -> SendError {
        if let Some(reason) = self.handle.shared.lost.borrow().clone() {
            return SendError::Lost(reason);
        }
        match refused {
            Refused::Full => SendError::Full,
            Refused::Overflow => SendError::Overflow,
            Refused::Closed(reason) => SendError::Closed { reason },
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({:?} port {})", self.handle.shared.peer, self.handle.port)
    }
}

/// Tells one task when a lane has room, and when it ends.
pub struct LaneWatch {
    lane: Lane,
    number: u64,
}

impl LaneWatch {
    /// Waits until a message would leave at once, which it does unless another sender comes first.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] or [`SendError::Lost`]: the lane takes no more messages.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Handle { shared, key, .. } = &*self.lane.handle;
        let room = shared.sender(|sender| sender.poll_room(*key, self.number, cx.waker()));
        room.map_err(|refused| self.lane.explain(refused))
    }

    /// Waits until the lane takes no more messages, and says why.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<SendError> {
        let Handle { shared, key, .. } = &*self.lane.handle;
        let closed = shared.sender(|sender| sender.poll_closed(*key, self.number, cx.waker()));
        closed.map(|refused| self.lane.explain(refused))
    }
}

impl Drop for LaneWatch {
    fn drop(&mut self) {
        let Handle { shared, key, .. } = &*self.lane.handle;
        shared.sender(|sender| sender.unwatch(*key, self.number));
    }
}

impl std::fmt::Debug for LaneWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LaneWatch({:?})", self.lane)
    }
}

/// The answer to an ask. Dropping it tells the peer that nobody waits any more; a message that was not sent yet never
/// will be.
#[must_use = "dropping the answer cancels the ask"]
pub struct Answer {
    handle: Arc<Handle>,
    asked: Asked,
    receiver: Option<oneshot::Receiver<Result<Bytes, AskError>>>,
}

impl Future for Answer {
    type Output = Result<Bytes, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(receiver) = &mut self.receiver else { return Poll::Ready(Err(AskError::Dropped)) };
        let outcome = std::task::ready!(Pin::new(receiver).poll(cx));
        self.receiver = None;
        // The link drops no waiter without a word; were it to, the answer would be given up.
        Poll::Ready(outcome.unwrap_or(Err(AskError::Dropped)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(mut receiver) = self.receiver.take() else { return };
        receiver.close();
        match receiver.try_recv() {
            Ok(Ok(body)) => self.handle.shared.service.unclaimed(body),
            Ok(Err(_)) => {}
            Err(_) => {
                let shared = &self.handle.shared;
                let unsent = shared.sender(|sender| sender.cancel(self.asked));
                shared.report(unsent.bodies);
            }
        }
    }
}

/// Tells the peer that the answer to an ask is not wanted any more; the callback hears what the peer makes of it.
pub struct Interrupt {
    handle: Arc<Handle>,
    asked: Asked,
}

impl Interrupt {
    /// Sends the word. A message that was not sent yet never will be, and its callback hears [`AskError::Dropped`].
    pub fn interrupt(&self) {
        let shared = &self.handle.shared;
        let Unsent { waiters, bodies } = shared.sender(|sender| sender.interrupt(self.asked));
        waiters.into_iter().for_each(|waiter| drop(waiter.wake(Err(AskError::Dropped))));
        shared.report(bodies);
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interrupt({:?})", self.asked)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.sender(|sender| sender.release(self.key, u32::from(self.port != MAIN_PORT)));
    }
}

#[inline]
fn check_length(shared: &Shared, body: &Body<'_>) -> Result<(), SendError> {
    let (len, max) = (body.as_slice().len(), shared.limits.max_message);
    if len > max { Err(SendError::TooLong { len, max }) } else { Ok(()) }
}
