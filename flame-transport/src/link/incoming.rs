//! Taking what the peer sent to a port of this node.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{answers::Answers, shared::Shared};
use crate::{
    lane::{Body, PortQueue, Returned, Window, cost},
    wire::frame::{Frames, Kind},
};

/// The receiving end of a port: the messages that the peer sent there, in order.
///
/// A message counts as handled, and its sender gets its credit back, when the next one is asked for. Dropping the inbox
/// closes the port: every ask that was not taken fails.
pub struct Inbox {
    shared: Arc<Shared>,
    queue: Arc<PortQueue>,
    port: u32,
    current: Option<Frames>,
    handled: Window,
    closed: bool,
}

/// A message that has arrived.
#[derive(Debug)]
pub struct Message<'a> {
    /// Its content.
    pub body: &'a [u8],
    /// What to answer, if the sender waits for an answer.
    pub question: Option<Question>,
}

/// An answer that is owed to the peer. Every one must be given to [`Answers`]; one that may take its time belongs into
/// an [`Owed`](super::Owed), which cannot forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the peer waits for an answer"]
pub struct Question(pub(super) u32);

impl Inbox {
    pub(super) fn open(shared: Arc<Shared>) -> Self {
        let (port, queue) = shared.receiver().open();
        let inbox = Self { shared, queue, port, current: None, handled: Window::default(), closed: false };
        if inbox.shared.lost.borrow().is_some() {
            inbox.queue.lock().queue.end();
        }
        inbox
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// The next message; `None` when there will be no more: the peer gave back its last reference, or the link is lost.
    #[inline]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<'_>>> {
        if self.current.as_ref().is_none_or(Frames::is_done) {
            match self.refill(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        } else {
            self.give_credit(false);
        }
        let Some((kind, body)) = self.current.as_mut().and_then(Frames::next) else {
            return Poll::Ready(None);
        };
        self.handled.messages += 1;
        self.handled.bytes += cost(body.len());
        let question = match kind {
            Kind::Ask { question, .. } => Some(Question(question)),
            _ => None,
        };
        Poll::Ready(Some(Message { body, question }))
    }

    /// Whether the asker of a question has gone, so that it need not be handled any more.
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self, question: Question) -> bool {
        self.shared.is_cancelled(question.0)
    }

    /// Takes no more messages. The peer hears `reason`; asks that were not taken fail, and the tells are handed to
    /// [`Service::dead_letter`](super::Service::dead_letter).
    pub fn close(mut self, reason: &Bytes) {
        self.shut(reason, false);
    }

    /// As [`Inbox::close`], and what was not taken goes back to the peer, which must have opened its lane with
    /// [`Link::returning_lane`](super::Link::returning_lane).
    pub fn close_and_return(mut self, reason: &Bytes) {
        self.shut(reason, true);
    }

    fn refill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.current = None;
        self.give_credit(true);
        self.queue.waker.register(cx.waker());
        let mut state = self.queue.lock();
        match state.queue.pop() {
            Some(segment) => {
                self.current = Some(Frames::new(segment));
                Poll::Ready(true)
            }
            None if state.queue.is_ended() => Poll::Ready(false),
            None => Poll::Pending,
        }
    }

    fn give_credit(&mut self, all: bool) {
        const MESSAGES: u64 = 256;
        const BYTES: u64 = 128 * 1024;
        let due = self.handled.messages >= MESSAGES || self.handled.bytes >= BYTES;
        if due || (all && self.handled.messages > 0) {
            self.shared.handled(&self.queue, std::mem::take(&mut self.handled));
        }
    }

    fn shut(&mut self, reason: &Bytes, returns: bool) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if returns {
            return self.send_back(reason);
        }
        // From here on the queue gets no more; what it has is refused below.
        let named = self.shared.receiver().close(&self.queue, false);
        if let Some(port) = named {
            self.shared.sender(|sender| sender.push(Kind::Closed { port }, Body::Copy(reason)));
        }
        let mut answers = Answers::new(Arc::clone(&self.shared));
        loop {
            while let Some((kind, body)) = self.current.as_mut().and_then(Frames::next) {
                self.handled.messages += 1;
                self.handled.bytes += cost(body.len());
                if let Kind::Ask { question, .. } = kind {
                    answers.closed(Question(question));
                }
                self.shared.service.dead_letter(self.port, Bytes::copy_from_slice(body));
            }
            let next = self.queue.lock().queue.pop();
            let Some(segment) = next else { break };
            self.current = Some(Frames::new(segment));
        }
        self.give_credit(true);
    }

    fn send_back(&mut self, reason: &Bytes) {
        self.give_credit(true);
        let mut receiver = self.shared.receiver();
        // If nobody can address it any more, there is nothing either.
        let Some(port) = receiver.close(&self.queue, true) else { return };
        let mut returning = Vec::new();
        loop {
            while let Some((kind, body)) = self.current.as_mut().and_then(Frames::next) {
                returning.push(Returned::of(port, kind, body));
            }
            let next = self.queue.lock().queue.pop();
            let Some(segment) = next else { break };
            self.current = Some(Frames::new(segment));
        }
        for Returned { body, .. } in &returning {
            receiver.sent_back(&self.queue, Window { messages: 1, bytes: cost(body.len()) });
        }
        // Before what comes from now on can go back.
        self.shared.sender(|sender| {
            sender.push(Kind::Closed { port }, Body::Copy(reason));
            for Returned { port, question, body } in returning {
                sender.push(Kind::Return { port, question }, Body::Own(body));
            }
        });
        drop(receiver);
        self.shared.settle(port, &self.queue);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.shut(&Bytes::new(), false);
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox(port {} for {:?})", self.port, self.shared.peer)
    }
}
