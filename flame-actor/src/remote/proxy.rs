//! A genuine `actix::Recipient` of an actor of another node, without an actor on this one.
//!
//! actix lets a channel of addresses be made for any actor type, and an actor type have any context. So the recipient's
//! "actor" is a [`Proxy`] with a context of its own, whose envelopes are this module's; and its receiver is polled not
//! by a task but by its own waker, which actix calls on the thread of the sender. A message is encoded there and is in
//! the lane when the sender's call returns, and no task, mailbox or thread hop comes between.
//!
//! What makes this subtle:
//!
//! - The waker runs the user's `Serialize` inside of `actix`'s send: a panic there is caught, and a message that the
//!   user's code sends to the same recipient meanwhile waits for the outer call to take it.
//! - Two threads may send at once. Whoever finds the receiver busy leaves a mark and goes; whoever was busy looks for
//!   the mark before it goes.
//! - When the last clone of the recipient is dropped, actix wakes the receiver once more: that ends the proxy, and with
//!   it the reference to the remote actor.
//! - Everything is drained at once, so the channel's own capacity never fills: its bound is that of the lane's backlog.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context as TaskContext, Poll, Wake, Waker},
};

use actix::{
    Actor, ActorContext, ActorState, Addr, Handler, Message, MessageResult, Recipient,
    dev::{Envelope, EnvelopeProxy, OneshotSender, ToEnvelope, channel},
};
use futures_util::Stream;

use super::{
    error::SendError,
    export::pointer_of,
    line::{Done, Patience},
    outgoing::{SerdeMessage, dead_letter, tell, with_encoded},
    request::decode_answer,
    target::Remote,
};

/// A recipient of one message of a remote actor.
pub(super) fn recipient<M: SerdeMessage>(remote: &Arc<Remote>, method: u32) -> Recipient<M> {
    /// What actix lets wait in the channel, which is drained at once.
    const CAPACITY: usize = 16;
    let (sender, receiver) = channel::channel::<Proxy<M>>(CAPACITY);
    let recipient: Recipient<M> = Addr::new(sender).recipient();
    let key = pointer_of(&recipient);
    lock(&PROXIES).insert(key, (Arc::downgrade(remote), method));
    let proxy = Proxy { remote: Arc::clone(remote), method, _message: std::marker::PhantomData };
    let open = Open { receiver, proxy, context: ProxyContext, _entry: Entry(key) };
    let core = Arc::new(Core { open: Mutex::new(Some(open)), again: AtomicBool::new(false) });
    // Leaves the waker with the channel, which keeps the core alive from here on.
    core.drain();
    recipient
}

/// The remote actor behind a recipient that was made here, so that a reference sent on does not chain.
pub(super) fn original<M>(recipient: &Recipient<M>) -> Option<(Arc<Remote>, u32)>
where
    M: Message + Send,
    M::Result: Send,
{
    let (remote, method) = lock(&PROXIES).get(&pointer_of(recipient))?.clone();
    Some((remote.upgrade()?, method))
}

/// By the channel's pointer, which cannot become another's while its entry is here: [`Open`] holds both.
static PROXIES: LazyLock<Mutex<HashMap<u64, Known>>> = LazyLock::new(Mutex::default);

/// The actor and message that a recipient stands for.
type Known = (Weak<Remote>, u32);

/// The "actor" behind the recipient. It never runs.
struct Proxy<M> {
    remote: Arc<Remote>,
    method: u32,
    _message: std::marker::PhantomData<fn(M)>,
}

struct ProxyContext;

struct Core<M: SerdeMessage> {
    open: Mutex<Option<Open<M>>>,
    /// Something came while the receiver was busy.
    again: AtomicBool,
}

struct Open<M: SerdeMessage> {
    receiver: channel::AddressReceiver<Proxy<M>>,
    proxy: Proxy<M>,
    context: ProxyContext,
    _entry: Entry,
}

struct Entry(u64);

impl<M: SerdeMessage> Core<M> {
    /// Sends what has come, on this thread.
    fn drain(self: &Arc<Self>) {
        self.again.store(true, SeqCst);
        while self.again.load(SeqCst) {
            let mut open = match self.open.try_lock() {
                Ok(open) => open,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Whoever holds it sees the mark.
                Err(TryLockError::WouldBlock) => return,
            };
            self.again.store(false, SeqCst);
            let ended = open.as_mut().is_some_and(|open| !open.take_all(self));
            let gone = if ended { open.take() } else { None };
            drop(open);
            // Dropped outside of the lock: the last reference to the actor may go with it.
            drop(gone);
        }
    }
}

impl<M: SerdeMessage> Open<M> {
    /// False when no clone of the recipient is left, or the actor is gone.
    fn take_all(&mut self, core: &Arc<Core<M>>) -> bool {
        let waker = Waker::from(Arc::clone(core));
        let mut task = TaskContext::from_waker(&waker);
        loop {
            match Pin::new(&mut self.receiver).poll_next(&mut task) {
                Poll::Ready(Some(mut envelope)) => envelope.handle(&mut self.proxy, &mut self.context),
                Poll::Ready(None) => return false,
                Poll::Pending => return self.receiver.connected() && !self.proxy.remote.is_gone(),
            }
        }
    }
}

impl<M: SerdeMessage> Wake for Core<M> {
    fn wake(self: Arc<Self>) {
        self.drain();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&PROXIES).remove(&self.0);
    }
}

impl<M: SerdeMessage> Proxy<M> {
    fn forward(&self, message: &M, answer: Option<OneshotSender<M::Result>>) {
        match answer {
            None => dead_letter::<M>(tell(&self.remote, self.method, message, Patience::Bounded)),
            Some(answer) => {
                let limit = self.remote.max_message();
                let asked = with_encoded(self.method, message, limit, |ready| {
                    self.remote.ask_then(
                        ready,
                        Done::new(Arc::default(), move |outcome| {
                            let Ok((body, peer)) = outcome else { return };
                            // The user's decoding has no place on the network thread.
                            peer.clone().spawn(async move {
                                if let Ok(result) = decode_answer(&body, Some(&peer)) {
                                    let _ = answer.send(result);
                                }
                            });
                        }),
                    );
                });
                // The answer's sender is dropped with the error, which actix reports as a closed mailbox.
                dead_letter::<M>(asked.map_err(SendError::from));
            }
        }
    }
}

impl<M: SerdeMessage> Actor for Proxy<M> {
    type Context = ProxyContext;
}

impl ActorContext for ProxyContext {
    fn stop(&mut self) {}

    fn terminate(&mut self) {}

    fn state(&self) -> ActorState {
        ActorState::Running
    }
}

/// What a message waits in: at most until the end of the sender's call.
struct ProxyEnvelope<M: Message>(Option<(M, Option<OneshotSender<M::Result>>)>);

impl<M: SerdeMessage> EnvelopeProxy<Proxy<M>> for ProxyEnvelope<M> {
    fn handle(&mut self, proxy: &mut Proxy<M>, _: &mut ProxyContext) {
        let Some((message, answer)) = self.0.take() else { return };
        let forwarded = catch_unwind(AssertUnwindSafe(|| proxy.forward(&message, answer)));
        if forwarded.is_err() {
            tracing::error!(
                message_type = std::any::type_name::<M>(),
                "a message's serialisation panicked, and it was not sent"
            );
        }
    }
}

impl<M: SerdeMessage> ToEnvelope<Proxy<M>, M> for ProxyContext {
    fn pack(message: M, answer: Option<OneshotSender<M::Result>>) -> Envelope<Proxy<M>> {
        Envelope::with_proxy(Box::new(ProxyEnvelope(Some((message, answer)))))
    }
}

impl<M: SerdeMessage> Handler<M> for Proxy<M> {
    type Result = MessageResult<M>;

    /// Asked for by actix's types and never called: [`ProxyEnvelope`] takes each message before.
    fn handle(&mut self, _: M, _: &mut ProxyContext) -> Self::Result {
        unreachable!("a proxy's messages are taken from their envelopes")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
