//! References to actors of a third node: what comes for them is handed on here.
//!
//! Two runners have no link to each other, only to their parent. When a reference to an actor of one of them is sent to the
//! other, the parent exports a *relay* of it there: a port like any other, behind which a task takes each message and puts
//! it into the lane of the actor itself. The content is not decoded. Only the table of the references in it is written anew
//! for the next link, and so is that of the answer.
//!
//! - **Order and at most once** are those of the two lanes, one behind the other.
//! - **Back-pressure** goes through: a message is taken only while the actor's own lane has room, and its sender gets credit
//!   for it when it has left. So the parent holds no more than what the first lane lets wait.
//! - **Cancelling** goes through: a question whose asker has gone is not handed on, and one that waits for the actor's lane never
//!   leaves.
//! - **Identity**: each link has one relay for a target. One that comes back to this node, or goes on to the actor's own, is
//!   the target again (see `parse_table` and `Encoded::for_link`), so that no chain is made.
//! - **The end** of the actor or of its node closes the port with the reason; the last reference to the port ends the relay,
//!   which then gives its own reference back.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use flame_transport::{Answers, Body, Inbox, LaneWatch, Owed};

use super::{
    error::{DownReason, Refusal, SendError},
    export::{ExportKey, Exportable},
    line::{Answered, Asker, Done, Patience, report_dead},
    peer::{ExportGuard, Peer},
    reference::{BadBody, Encoded, Ready, answer_naming, parse},
    target::Remote,
};
use crate::watch::{EndWatch, Notify};

/// An actor of another node, exported to a third one.
pub(super) struct Relay(pub(super) Arc<Remote>);

impl Exportable for Relay {
    fn key(&self) -> ExportKey {
        ExportKey::of::<Self>(self.0.identity() as u64)
    }

    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>) {
        let export = peer.guard(inbox.port());
        let Some(link) = peer.link() else { return };
        // None of the user's code runs in it, so it need not leave the network's thread.
        peer.spawn_network(Passing {
            inbox: Some(inbox),
            answers: link.answers(),
            from: Arc::clone(peer),
            target: Arc::clone(&self.0),
            watch: None,
            _export: export,
        });
    }

    fn original(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn recipient(&self, _method: u32) -> Option<Box<dyn Any>> {
        None
    }

    fn relayed(&self) -> Option<&Arc<Remote>> {
        Some(&self.0)
    }

    fn watch(&self, _peer: &Arc<Peer>, notify: Notify) -> EndWatch {
        self.0.watch(notify)
    }

    fn end(&self) -> Option<DownReason> {
        self.0.closed().or_else(|| self.0.lost())
    }
}

/// Hands on what comes for one relay.
struct Passing {
    /// `None` once it is closed.
    inbox: Option<Inbox>,
    answers: Answers,
    from: Arc<Peer>,
    target: Arc<Remote>,
    /// Of the target's lane, once it is there.
    watch: Option<LaneWatch>,
    _export: ExportGuard,
}

impl Future for Passing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(reason) = ready!(this.pass(cx))
            && let Some(inbox) = this.inbox.take()
        {
            inbox.close(&reason.encode());
        }
        Poll::Ready(())
    }
}

impl Passing {
    /// How many messages are handed on before other tasks get their turn.
    const TURN: usize = 256;

    /// Hands on what has come. When nothing will any more: why the target is gone, if it is.
    fn pass(&mut self, cx: &mut Context<'_>) -> Poll<Option<DownReason>> {
        for _ in 0..Self::TURN {
            // First room: what cannot go on stays in the inbox, and its sender without credit.
            if let Err(reason) = ready!(self.poll_room(cx)) {
                return Poll::Ready(Some(reason));
            }
            let Some(inbox) = &mut self.inbox else { return Poll::Ready(None) };
            match inbox.poll_next(cx) {
                Poll::Ready(Some(message)) => {
                    let owed = message.question.map(|question| self.answers.owe(question));
                    hand_on(message.body, owed, &self.from, &self.target);
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return self.poll_gone(cx).map(Some),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownReason>> {
        loop {
            let watch = match &self.watch {
                Some(watch) => watch,
                None => match ready!(self.target.poll_lane(cx)) {
                    Ok(lane) => self.watch.insert(lane.watch()),
                    Err(reason) => return Poll::Ready(Err(reason)),
                },
            };
            match ready!(watch.poll_room(cx)) {
                Ok(()) => return Poll::Ready(Ok(())),
                // The next incarnation has another lane.
                Err(_) if self.target.is_supervised() => self.watch = None,
                Err(error) => return Poll::Ready(Err(self.reason(error))),
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownReason> {
        // Only asked after there was room, and so a lane.
        let Some(watch) = &self.watch else { return Poll::Pending };
        let error = ready!(watch.poll_closed(cx));
        if !self.target.is_supervised() {
            return Poll::Ready(self.reason(error));
        }
        self.watch = None;
        match ready!(self.poll_room(cx)) {
            Ok(()) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(reason) => Poll::Ready(reason),
        }
    }

    fn reason(&self, error: flame_transport::SendError) -> DownReason {
        match error {
            flame_transport::SendError::Closed { reason } => DownReason::decode(&reason),
            other => {
                DownReason::NodeLost { message: format!("{}: {other}", self.target.place()), exit: None }
            }
        }
    }
}

fn hand_on(body: &[u8], owed: Option<Owed>, from: &Arc<Peer>, target: &Arc<Remote>) {
    let message = match rebase(Body::Copy(body), from) {
        Ok(message) => message,
        Err(BadBody) => {
            tracing::warn!(peer = %from.node(), "a message to be relayed cannot be understood");
            if let Some(owed) = owed {
                refuse(owed, &Refusal::Undecodable("its references are gone".to_owned()));
            }
            return;
        }
    };
    match owed {
        None => report_dead(from, target.tell(message, Patience::InTurn)),
        Some(owed) => {
            // What happens to the one who waits there happens to the question here.
            let asker = Arc::<Asker>::default();
            let gone = Waker::from(Arc::clone(&asker));
            if owed.poll_cancelled(&mut Context::from_waker(&gone)).is_ready() {
                return;
            }
            let from = Arc::clone(from);
            target.ask_then(message, Done::new(asker, move |outcome| hand_back(outcome, owed, &from)));
        }
    }
}

/// Hands the answer back to whoever asked, on the network thread.
fn hand_back(outcome: Result<Answered, SendError>, owed: Owed, asker: &Arc<Peer>) {
    let answer = match outcome {
        Ok((body, from)) => rebase(Body::Own(body), &from)
            .map_err(|BadBody| Refusal::Unencodable("it refers to an actor that is gone".to_owned())),
        Err(error) => match Refusal::of(error) {
            Some(refusal) => Err(refusal),
            None => return drop(owed),
        },
    };
    match answer {
        Ok(Ready::Plain(body)) => owed.reply(body),
        Ok(Ready::Referring(answer)) => match answer.for_link(asker) {
            Ok(sendable) => {
                owed.reply(Body::Own(sendable.body.clone()));
                sendable.sent();
            }
            Err(_) => refuse(owed, &Refusal::Unreachable),
        },
        Err(refusal) => refuse(owed, &refusal),
    }
}

fn refuse(owed: Owed, refusal: &Refusal) {
    owed.refuse(Body::Own(refusal.encode()));
}

/// The answer to a runner for which an actor was placed elsewhere: a reference to it by way of this node, and `payload`.
/// `None` if the runner's link is gone.
pub(crate) fn answer_placed(actor: &Arc<Remote>, runner: &Arc<Peer>, payload: &[u8]) -> Option<Bytes> {
    let port = runner.export(Arc::new(Relay(Arc::clone(actor))))?;
    Some([&answer_naming(port), payload].concat().into())
}

/// A body that came over one link, to be sent over another: as it is, unless it has references.
pub(crate) fn rebase<'a>(body: Body<'a>, from: &Arc<Peer>) -> Result<Ready<'a>, BadBody> {
    let bytes = match &body {
        Body::Copy(bytes) => bytes,
        Body::Own(bytes) => &bytes[..],
    };
    let parts = parse(bytes, from)?;
    if parts.table.is_empty() {
        return Ok(Ready::Plain(body));
    }
    Ok(Ready::Referring(Encoded::Referring {
        method: parts.method,
        context: Bytes::copy_from_slice(parts.context),
        payload: Bytes::copy_from_slice(parts.payload),
        references: parts.table.into_iter().map(Into::into).collect(),
    }))
}
