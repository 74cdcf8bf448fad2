//! A placed actor: started, watched and ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use actix::{Actor, ActorContext, AsyncContext, Context, dev::ContextFut};
use bytes::Bytes;
use flame_transport::{Body, Owed};
use futures_util::task::AtomicWaker;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Busy, Host,
    arbiters::OwnArbiter,
    ledger::Running,
    protocol::{StartFailure, cut},
};
use crate::{
    delivery::{fate::Fate, lane::Lane, panics::words_of},
    registry::Registry,
    remote::{DownReason, ExportedChild, Peer, answer_naming, parse, scope},
};

/// Decodes an actor's value and starts it, on the arbiter that it is called on.
#[doc(hidden)]
pub type PlaceFn = fn(Start);

/// One actor that is about to be started here.
#[doc(hidden)]
pub struct Start {
    host: Arc<Host>,
    peer: Arc<Peer>,
    body: Bytes,
    owed: Owed,
    child: u64,
    stop: StopHandle,
    busy: Busy,
    own: Option<OwnArbiter>,
}

/// Tells a child to stop, whatever it waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct StopHandle(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    wanted: AtomicBool,
    waker: AtomicWaker,
    running: Running,
}

impl Start {
    pub(super) fn new(
        host: Arc<Host>,
        peer: Arc<Peer>,
        body: Bytes,
        owed: Owed,
        child: u64,
        stop: StopHandle,
        busy: Busy,
    ) -> Self {
        Self { host, peer, body, owed, child, stop, busy, own: None }
    }

    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
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

impl StopHandle {
    pub(super) fn stop(&self) {
        self.0.wanted.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Whether the actor was told to stop and is in a handler that has gone on ever since.
    pub(super) fn is_unheard(&self) -> bool {
        self.0.wanted.load(Ordering::Acquire) && self.0.running.get()
    }
}

/// Decodes a value of the type `A` and starts it.
pub(crate) fn place<A: Actor<Context = Context<A>> + Serialize + DeserializeOwned>(start: Start) {
    let Start { host, peer, body, owed, child, stop, busy, own } = start;
    let refuse = |owed: Owed, failure: StartFailure| owed.refuse(Body::Own(failure.encode()));
    let actor = catch_unwind(AssertUnwindSafe(|| {
        let parts = parse(&body, &peer).map_err(|_| "its references are gone".to_owned())?;
        scope::decode::<A>(parts.payload, parts.table).map_err(|error| error.to_string())
    }));
    let actor = match actor {
        Ok(Ok(actor)) => actor,
        Ok(Err(error)) => return refuse(owed, StartFailure::Undecodable(error)),
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
    ctx.spawn(lane);
    host.children().insert(child, stop.clone());
    let life = Life {
        context: Some(Box::pin(ctx.into_future(actor))),
        start: Some((owed, answer)),
        fate,
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
    fate: Fate,
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
        this.stop.0.waker.register(cx.waker());
        if this.stop.0.wanted.swap(false, Ordering::AcqRel) {
            // Also an actor that waits for a future, which would not get a message that says so.
            context.as_mut().get_mut().ctx().stop();
        }
        let running = &this.stop.0.running;
        let polled = catch_unwind(AssertUnwindSafe(|| running.during(|| context.as_mut().poll(cx))));
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
    fn end(&mut self) {
        let Some(context) = self.context.take() else { return };
        // Runs `stopping` and `stopped` of an actor that is cut off, which may panic once more.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(context))) {
            self.fate.set(DownReason::Panicked { message: cut(words_of(&*panic)) });
        }
        self.fate.end();
        self.host.ended(self.child, self.fate.get());
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Life<A> {
    fn drop(&mut self) {
        // Reached with the context still there when the arbiter is stopped.
        self.end();
    }
}
