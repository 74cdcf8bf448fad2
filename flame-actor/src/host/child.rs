//! A placed actor: started, watched and ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use actix::{Actor, ActorContext, AsyncContext, Context, dev::ContextFut};
use bytes::Bytes;
use flame_transport::{Body, Owed};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Busy, Host,
    arbiters::OwnArbiter,
    protocol::{StartFailure, cut},
    snapshot::Publisher,
    stop::StopHandle,
};
use crate::{
    context::Context as Carried,
    delivery::{fate::Fate, lane::Lane, panics::words_of},
    registry::Registry,
    remote::{DownReason, ExportedChild, Peer, Unread, answer_naming, scope},
};

/// Decodes an actor's value and starts it, on the arbiter that it is called on.
#[doc(hidden)]
pub type PlaceFn = fn(Start);

/// One actor that is about to be started here.
#[doc(hidden)]
pub struct Start {
    pub(super) host: Arc<Host>,
    pub(super) peer: Arc<Peer>,
    pub(super) body: Unread,
    pub(super) owed: Owed,
    pub(super) child: u64,
    pub(super) stop: StopHandle,
    pub(super) busy: Busy,
    /// Whether its snapshots are wanted.
    pub(super) supervised: bool,
    /// Where it runs, if not beside others.
    pub(super) own: Option<OwnArbiter>,
}

impl Start {
    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(super) fn refuse(self, failure: StartFailure) {
        self.owed.refuse(Body::Own(failure.encode()));
    }

    /// Starts it on an arbiter of its own, which ends with it.
    pub(super) fn on(self, own: OwnArbiter) -> Self {
        Self { own: Some(own), ..self }
    }
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("child", &self.child).finish_non_exhaustive()
    }
}

/// Decodes a value of the type `A` and starts it.
pub(crate) fn place<A: Actor<Context = Context<A>> + Serialize + DeserializeOwned>(start: Start) {
    let Start { host, peer, mut body, owed, child, stop, busy, supervised, own } = start;
    let refuse = |owed: Owed, failure: StartFailure| owed.refuse(Body::Own(failure.encode()));
    let actor = catch_unwind(AssertUnwindSafe(|| {
        let parts = body.parse().map_err(|_| "its references are gone".to_owned())?;
        let context = Carried::decode(parts.context).map_err(|_| "its context is malformed".to_owned())?;
        let actor = context.enter(|| scope::decode::<A>(parts.payload, parts.table));
        Ok((context, actor.map_err(|error| error.to_string())?))
    }));
    let (carried, actor) = match actor {
        Ok(Ok(actor)) => actor,
        Ok(Err::<_, String>(error)) => return refuse(owed, StartFailure::Undecodable(error)),
        Err(panic) => return refuse(owed, StartFailure::Panicked(cut(words_of(&*panic)))),
    };
    // The link is lost if there is none of these; nobody waits for an answer then.
    let (Some(link), Ok(registry)) = (peer.link(), Registry::get()) else { return };
    let mut ctx = Context::new();
    let fate = Fate::default();
    let exported = ExportedChild::new(&ctx.address(), fate.clone());
    let Some((inbox, export)) = peer.export_served(Arc::new(exported)) else { return };
    let answer = answer_naming(inbox.port());
    let lane =
        Lane::new(inbox, link.answers(), registry.methods::<A>(), Arc::clone(&peer), fate.clone(), export);
    ctx.spawn(lane.returning(supervised));
    host.children().insert(child, stop.clone());
    let life = Life {
        context: Some(Box::pin(ctx.into_future(actor))),
        start: Some((owed, answer)),
        carried,
        fate,
        publisher: Publisher::new::<A>(child, &peer, supervised),
        end: None,
        stop,
        host,
        child,
        _busy: busy,
        _own: own,
    };
    actix_rt::spawn(life);
}

/// An actor in its context.
type InContext<A> = Pin<Box<ContextFut<A, Context<A>>>>;

/// The whole life of a child, from `started` to `stopped`.
struct Life<A: Actor<Context = Context<A>>> {
    /// `None` once it has ended.
    context: Option<InContext<A>>,
    /// The answer that is owed until `started` has run.
    start: Option<(Owed, Bytes)>,
    /// Current in `started`.
    carried: Carried,
    fate: Fate,
    publisher: Publisher,
    /// Fires when the child is to be ended by force.
    end: Option<(Instant, Pin<Box<tokio::time::Sleep>>)>,
    stop: StopHandle,
    host: Arc<Host>,
    child: u64,
    _busy: Busy,
    _own: Option<OwnArbiter>,
}

impl<A: Actor<Context = Context<A>>> Future for Life<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(context) = &mut this.context else { return Poll::Ready(()) };
        if let Poll::Ready(reason) = this.stop.poll_stop(cx) {
            if let Some(reason) = reason {
                this.fate.set(DownReason::Shutdown { reason });
            }
            // Also an actor that waits for a future, which would not get a message that says so.
            context.as_mut().get_mut().ctx().stop();
        }
        if this.is_over(cx) {
            if let Some((owed, _)) = this.start.take() {
                owed.refuse(Body::Own(StartFailure::TimedOut.encode()));
            }
            this.end();
            return Poll::Ready(());
        }
        let Some(context) = &mut this.context else { return Poll::Ready(()) };
        let running = this.stop.running();
        let publisher = &this.publisher;
        // Empty from the second time on.
        let carried = std::mem::take(&mut this.carried);
        let mut poll = || running.during(|| publisher.during(|| context.as_mut().poll(cx)));
        let poll = || if carried.is_empty() { poll() } else { carried.enter(poll) };
        let polled = catch_unwind(AssertUnwindSafe(poll));
        if let Err(panic) = &polled {
            let message = cut(words_of(&**panic));
            if let Some((owed, _)) = this.start.take() {
                owed.refuse(Body::Own(StartFailure::Panicked(message.clone()).encode()));
            }
            this.fate.set(DownReason::Panicked { message });
        }
        // The first poll has run `started`.
        if let Some((owed, answer)) = this.start.take() {
            owed.reply(Body::Own(answer));
        }
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        this.end();
        Poll::Ready(())
    }
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    /// Whether the child's time is over; its fate is that, then.
    fn is_over(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let terms = self.stop.terms();
        let Some((at, reason)) = &terms.end else { return false };
        if self.end.as_ref().is_none_or(|(set, _)| set != at) {
            self.end = Some((*at, Box::pin(tokio::time::sleep_until((*at).into()))));
        }
        let fired = self.end.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if fired {
            self.fate.set(reason.clone());
        }
        fired
    }

    fn end(&mut self) {
        let Some(context) = self.context.take() else { return };
        // Runs `stopping` and `stopped` of an actor that is cut off, which may panic once more.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.publisher.during(|| drop(context)))) {
            self.fate.set(DownReason::Panicked { message: cut(words_of(&*panic)) });
        }
        self.fate.end();
        self.host.ended(self.child, self.fate.get(), self.publisher.published());
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Life<A> {
    fn drop(&mut self) {
        // Reached with the context still there when the arbiter is stopped.
        self.end();
    }
}
