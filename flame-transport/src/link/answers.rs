//! Answering what the peer asked.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;

use super::{incoming::Question, shared::Shared};
use crate::{
    lane::Body,
    wire::frame::{self, Failure, Kind},
};

/// Answers that are queued together: they leave when [flushed](Answers::flush), and at the latest when this is dropped.
pub struct Answers {
    shared: Arc<Shared>,
    buffer: BytesMut,
}

/// An answer that may take its time. Dropped without one, it tells the asker so.
pub struct Owed {
    shared: Arc<Shared>,
    question: Option<Question>,
}

impl Answers {
    /// Answers that are worth a flush of their own.
    const ENOUGH: usize = 16 * 1024;

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: BytesMut::new() }
    }

    /// Answers a question.
    #[inline]
    pub fn reply(&mut self, question: Question, body: Body<'_>) {
        self.put(question, Kind::Reply { question: question.0 }, body);
    }

    /// Tells why there is no answer, in words that the layer above the peer understands.
    pub fn refuse(&mut self, question: Question, body: Body<'_>) {
        self.put(question, Kind::Fail { question: question.0, failure: Failure::Refused }, body);
    }

    /// Tells that the message was taken and its answer given up.
    pub fn drop_question(&mut self, question: Question) {
        let kind = Kind::Fail { question: question.0, failure: Failure::Dropped };
        self.put(question, kind, Body::Copy(&[]));
    }

    /// An answer for later.
    #[must_use]
    pub fn owe(&self, question: Question) -> Owed {
        Owed { shared: Arc::clone(&self.shared), question: Some(question) }
    }

    /// Hands what was queued to the link.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.shared.sender(|sender| sender.append(&self.buffer));
            self.buffer.clear();
        }
    }

    pub(super) fn closed(&mut self, question: Question) {
        let kind = Kind::Fail { question: question.0, failure: Failure::Closed };
        self.put(question, kind, Body::Copy(&[]));
    }

    #[inline]
    fn put(&mut self, question: Question, kind: Kind, body: Body<'_>) {
        self.shared.settle_question(question.0);
        if body.as_slice().len() > Self::ENOUGH {
            self.shared.sender(|sender| sender.push(kind, body));
        } else {
            frame::put(&mut self.buffer, kind, body.as_slice());
            if self.buffer.len() > Self::ENOUGH {
                self.flush();
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Owed {
    /// Answers the question.
    pub fn reply(mut self, body: Body<'_>) {
        self.settle(|answers, question| answers.reply(question, body));
    }

    /// Tells why there is no answer, in words that the layer above the peer understands.
    pub fn refuse(mut self, body: Body<'_>) {
        self.settle(|answers, question| answers.refuse(question, body));
    }

    /// Waits until nobody waits for the answer any more, or the link is lost.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        poll_fn(|cx| self.poll_cancelled(cx)).await;
    }

    /// Whether nobody waits for the answer any more, or the link is lost; else the task is woken when it is so.
    pub fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.question {
            Some(question) if !self.shared.poll_cancelled(question.0, cx.waker()) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    fn settle(&mut self, answer: impl FnOnce(&mut Answers, Question)) {
        if let Some(question) = self.question.take() {
            answer(&mut Answers::new(Arc::clone(&self.shared)), question);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.settle(Answers::drop_question);
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answers({} bytes for {:?})", self.buffer.len(), self.shared.peer)
    }
}

impl std::fmt::Debug for Owed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owed({:?} to {:?})", self.question, self.shared.peer)
    }
}
