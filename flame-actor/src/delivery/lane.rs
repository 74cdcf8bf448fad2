//! The lane of a placed actor: a future in the actor's own context that takes messages from the link and calls the
//! handlers itself.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context};
use flame_transport::{Answers, Body, Inbox, Message};

use super::{Delivery, Methods, fate::Fate, panics, undecodable};
use crate::{
    context::Context as Carried,
    remote::{DownReason, ExportGuard, HAND_OVER, Peer, Refusal, parse},
};

/// The lane from one node to the actor whose context it runs in.
pub(crate) struct Lane<A: Actor<Context = Context<A>>> {
    /// `None` when it has been closed.
    inbox: Option<Inbox>,
    answers: Answers,
    methods: &'static [Methods<A>],
    peer: Arc<Peer>,
    fate: Fate,
    /// What it does not take goes back to the sender.
    returns: bool,
    _export: ExportGuard,
}

impl<A: Actor<Context = Context<A>>> Lane<A> {
    /// How many messages are handled before other futures of the arbiter get their turn.
    const TURN: usize = 256;

    pub(crate) fn new(
        inbox: Inbox,
        answers: Answers,
        methods: &'static [Methods<A>],
        peer: Arc<Peer>,
        fate: Fate,
        export: ExportGuard,
    ) -> Self {
        Self { inbox: Some(inbox), answers, methods, peer, fate, returns: false, _export: export }
    }
}

impl<A: Actor<Context = Context<A>>> Lane<A> {
    /// Sends back what comes too late, for the actor's next incarnation.
    pub(crate) fn returning(mut self, returns: bool) -> Self {
        self.returns = returns;
        self
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Lane<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let this = self.get_mut();
        let Some(inbox) = &mut this.inbox else { return Poll::Ready(()) };
        for _ in 0..Self::TURN {
            let message = match inbox.poll_next(task) {
                Poll::Ready(Some(message)) => message,
                Poll::Ready(None) => {
                    this.answers.flush();
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    this.answers.flush();
                    return Poll::Pending;
                }
            };
            handle(actor, ctx, &message, this.methods, &mut this.answers, &this.peer, &this.fate);
            // An actor that waits for a future takes no messages until it is done; one that stops takes none at all.
            // Its context polls this again either way.
            if ctx.waiting() || !ctx.state().alive() {
                this.answers.flush();
                return Poll::Pending;
            }
        }
        this.answers.flush();
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Lane<A> {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            let reason = self.fate.get().encode();
            if self.returns { inbox.close_and_return(&reason) } else { inbox.close(&reason) }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Unpin for Lane<A> {}

#[inline]
fn handle<A: Actor<Context = Context<A>>>(
    actor: &mut A,
    ctx: &mut Context<A>,
    message: &Message<'_>,
    methods: &[Methods<A>],
    answers: &mut Answers,
    peer: &Arc<Peer>,
    fate: &Fate,
) {
    let Ok(parts) = parse(message.body, peer) else {
        return undecodable(message.question, answers, peer, "its references are gone");
    };
    if parts.method == HAND_OVER {
        return ctx.stop();
    }
    let Some(method) = methods.get(parts.method as usize) else {
        return undecodable(message.question, answers, peer, "the actor has no such message");
    };
    let Ok(context) = Carried::decode(parts.context) else {
        return undecodable(message.question, answers, peer, "its context is malformed");
    };
    let question = Cell::new(message.question);
    let delivery =
        Delivery { context, payload: parts.payload, table: parts.table, question: &question, answers, peer };
    let outcome = catch_unwind(AssertUnwindSafe(|| (method.deliver)(actor, ctx, delivery)));
    if let Err(panic) = outcome {
        let words = panics::words_of(&*panic);
        fate.set(DownReason::Panicked { message: words.clone() });
        if let Some(question) = question.take() {
            answers.refuse(question, Body::Own(Refusal::Panicked(words).encode()));
        }
        answers.flush();
        // The actor's state is unsound now: its host ends it.
        resume_unwind(panic);
    }
}
