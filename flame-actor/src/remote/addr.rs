//! The address of an actor, wherever it is.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use actix::{Actor, Addr, Context, Handler, Recipient};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    any::AnyAddr,
    error::SendError,
    export::ExportedAddr,
    field::{GONE_HOME, WRONG_KIND, deserialize_reference},
    line::Patience,
    outgoing::{ask, dead_letter, from_mailbox, tell},
    proxy,
    recipient::RemoteRecipient,
    reference::{Reference, Resolved},
    request::Request,
    target::Remote,
};
use crate::{
    registry::RemoteMessage,
    watch::{Down, Notify, Watch, WatchId, local},
};

/// The address of an actor of this node or another one: `actix::Addr` across nodes.
///
/// It is had from a placed child, made of an `Addr`, or received in a message, of which it can be a field. Like an
/// `Addr` it keeps the actor reachable: when the last address of a placed actor is dropped, on every node, the actor
/// stops as an actix actor without addresses does. Clones are cheap.
///
/// It may be sent on to any node of the app. Two runners have no link to each other, so what one sends to an actor of the
/// other goes through their parent: twice the way, and all that is said below holds. On the actor's own node the address is
/// the actor's `Addr` again.
///
/// # Order and delivery
///
/// Messages of one sender to one actor are handled in the order in which they were sent, each at most once. What
/// cannot be delivered is an error to the sender; for [`do_send`](Self::do_send) it is an event of the `tracing` target
/// `flame::dead_letter`.
///
/// # Back-pressure
///
/// A limited amount of messages may be on their way to one actor ([`Limits`](flame_transport::Limits)). Beyond it `send`
/// waits, [`try_send`](Self::try_send) is refused, and [`do_send`](Self::do_send) fills a bounded backlog.
pub struct RemoteAddr<A: Actor> {
    target: Target<A>,
}

enum Target<A: Actor> {
    Local(Addr<A>),
    Remote(Arc<Remote>),
}

impl<A: Actor<Context = Context<A>>> RemoteAddr<A> {
    pub(crate) fn from_remote(remote: Arc<Remote>) -> Self {
        Self { target: Target::Remote(remote) }
    }

    /// Sends a message and gives back its answer to await.
    ///
    /// As in an actix mailbox, all messages of this node to the actor stand in one line, whoever sent them: behind a flood of
    /// [`do_send`](Self::do_send)s to a slow actor this waits until they are handled, at most the actor's window and backlog. A
    /// sender that is not to flood others uses `send` or [`try_send`](Self::try_send), which take its back-pressure.
    ///
    /// # Errors
    ///
    /// The request resolves to a [`SendError`] if the message was not handled or not answered.
    ///
    /// # Cancel safety
    ///
    /// The message is in order when this returns; dropping the [`Request`] gives up its answer only.
    pub fn send<M>(&self, message: M) -> Request<M>
    where
        A: Handler<M>,
        M: RemoteMessage<A>,
    {
        match &self.target {
            Target::Local(address) => Request::local(address.send(message)),
            Target::Remote(remote) => match M::method() {
                Ok(method) => ask(remote, method.number(), &message, Patience::Bounded),
                Err(error) => Request::failed(error.into()),
            },
        }
    }

    /// Sends a message without waiting for anything. One that cannot be delivered becomes a dead letter, an event of the
    /// `tracing` target `flame::dead_letter`: the actor or its node is gone, the message cannot be encoded, or the
    /// actor's backlog (1 MiB by default) is full.
    pub fn do_send<M>(&self, message: M)
    where
        A: Handler<M>,
        M: RemoteMessage<A>,
    {
        match &self.target {
            Target::Local(address) => address.do_send(message),
            Target::Remote(remote) => {
                let sent =
                    number::<A, M>().and_then(|method| tell(remote, method, &message, Patience::Bounded));
                dead_letter::<M>(sent);
            }
        }
    }

    /// Sends a message without an answer if the actor takes it now.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the actor is behind, and whatever else is known of the actor and its node at this moment.
    pub fn try_send<M>(&self, message: M) -> Result<(), SendError>
    where
        A: Handler<M>,
        M: RemoteMessage<A>,
    {
        match &self.target {
            Target::Local(address) => address.try_send(message).map_err(from_mailbox),
            Target::Remote(remote) => tell(remote, number::<A, M>()?, &message, Patience::None),
        }
    }

    /// A genuine `actix::Recipient`, for code that knows only actix. Through it errors are actix's own; what cannot be
    /// delivered by its `do_send` and `try_send` becomes a dead letter.
    ///
    /// # Panics
    ///
    /// Never for an executable whose registrations are sound, which every node checks when it starts.
    #[must_use]
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        A: Handler<M>,
        M: RemoteMessage<A>,
    {
        match &self.target {
            Target::Local(address) => address.clone().recipient(),
            Target::Remote(remote) => proxy::recipient(remote, M::method().map_or(u32::MAX, |m| m.number())),
        }
    }

    /// The same for one message type, with this crate's errors, as a value that can be sent on.
    #[must_use]
    pub fn remote_recipient<M>(&self) -> RemoteRecipient<M>
    where
        A: Handler<M>,
        M: RemoteMessage<A>,
    {
        match &self.target {
            Target::Local(address) => RemoteRecipient::local(address.clone().recipient()),
            Target::Remote(remote) => {
                RemoteRecipient::remote(Arc::clone(remote), M::method().map_or(u32::MAX, |m| m.number()))
            }
        }
    }

    /// Watches the actor: the future resolves once, with its [`Down`], when the actor is gone, and at once if it is already.
    ///
    /// It need not be polled to be in time. An actor of this node of which only the address is known tells nobody of its end;
    /// that is noticed at most 100 ms late, and its reason is always [`DownReason::Stopped`](super::DownReason).
    ///
    /// # Cancel safety
    ///
    /// Dropping the [`Watch`] ends it. It keeps no actor alive, but for the moment until it has reached the actor's node.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actix::prelude::*;
    /// # use flame_actor::{DownReason, Pool, backend::LocalBackend, remote};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Worker;
    /// # impl Actor for Worker { type Context = Context<Self>; }
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "()")]
    /// # struct Finish;
    /// #[remote]
    /// impl Handler<Finish> for Worker {
    ///     type Result = ();
    ///     fn handle(&mut self, _: Finish, ctx: &mut Context<Self>) {
    ///         ctx.stop();
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = Pool::builder("watched").backend(LocalBackend::new()).start()?;
    /// let worker = pool.place_child(Worker).await?;
    /// let watch = worker.watch();
    /// worker.do_send(Finish);
    /// assert_eq!(watch.await.reason, DownReason::Stopped);
    /// // Also when it comes too late.
    /// assert_eq!(worker.watch().await.reason, DownReason::Stopped);
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> Watch {
        match &self.target {
            Target::Local(address) => Watch::looking(local::end_of(address.downgrade())),
            Target::Remote(remote) => Watch::told(|notify| remote.watch(notify)),
        }
    }

    /// Watches the actor: `recipient` gets one [`Down`], which holds the number that this returns.
    ///
    /// # Panics
    ///
    /// For an actor of this node, outside of a tokio runtime; an actix handler is always inside one.
    pub fn watch_with(&self, recipient: Recipient<Down>) -> WatchId {
        let id = WatchId::next();
        let notify = Notify::Recipient(id, recipient);
        match &self.target {
            Target::Local(address) => {
                let end = local::end_of(address.downgrade());
                drop(tokio::spawn(async move { notify.tell(end.await) }));
            }
            Target::Remote(remote) => drop(remote.watch(notify)),
        }
        id
    }

    /// Watches the node that the actor is on: the future resolves when that is lost, whatever becomes of the actor, and at once if
    /// it is already.
    ///
    /// It never does for this node. For an actor that has no node at the moment (it is being placed, or started again, or it
    /// never was started) it watches the actor itself. A node without a link to this one (two runners have none) is watched
    /// through the parent.
    ///
    /// # Cancel safety
    ///
    /// As [`watch`](Self::watch).
    pub fn watch_node(&self) -> Watch {
        match &self.target {
            Target::Local(_) => Watch::looking(std::future::pending()),
            Target::Remote(remote) => Watch::told(|notify| remote.watch_node(notify)),
        }
    }

    /// Watches the node that the actor is on: `recipient` gets one [`Down`], which holds the number that this returns; see
    /// [`watch_node`](Self::watch_node).
    pub fn watch_node_with(&self, recipient: Recipient<Down>) -> WatchId {
        let id = WatchId::next();
        if let Target::Remote(remote) = &self.target {
            drop(remote.watch_node(Notify::Recipient(id, recipient)));
        }
        id
    }

    /// See [`Remote::keep_until_end`].
    pub(crate) fn keep_until_end(&self) {
        if let Target::Remote(remote) = &self.target {
            remote.keep_until_end();
        }
    }

    /// The same without its type.
    pub(crate) fn to_any(&self) -> AnyAddr {
        AnyAddr(match &self.target {
            Target::Local(address) => Reference::Local(Arc::new(ExportedAddr(address.clone())), 0),
            Target::Remote(remote) => Reference::Remote(Arc::clone(remote), 0),
        })
    }

    /// The address with its type again; `None` if the actor is one of this node's and has gone, or is of another type.
    pub(crate) fn from_any(AnyAddr(reference): AnyAddr) -> Option<Self> {
        match reference {
            Reference::Remote(remote, _) => Some(Self::from_remote(remote)),
            Reference::Local(actor, _) => Some((*actor.original()?.downcast::<Addr<A>>().ok()?).into()),
        }
    }

    /// The plain address, if the actor is on this node.
    #[must_use]
    pub fn as_local(&self) -> Option<&Addr<A>> {
        match &self.target {
            Target::Local(address) => Some(address),
            Target::Remote(_) => None,
        }
    }

    /// The name of the actor's node at this moment; `None` for this node, and while the actor is being placed.
    #[must_use]
    pub fn node(&self) -> Option<flame_transport::NodeId> {
        match &self.target {
            Target::Local(_) => None,
            Target::Remote(remote) => remote.node(),
        }
    }
}

impl<A: Actor<Context = Context<A>>> From<Addr<A>> for RemoteAddr<A> {
    fn from(address: Addr<A>) -> Self {
        Self { target: Target::Local(address) }
    }
}

impl<A: Actor> Clone for RemoteAddr<A> {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Local(address) => Target::Local(address.clone()),
            Target::Remote(remote) => Target::Remote(Arc::clone(remote)),
        };
        Self { target }
    }
}

impl<A: Actor> PartialEq for RemoteAddr<A> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Target::Local(a), Target::Local(b)) => a == b,
            (Target::Remote(a), Target::Remote(b)) => a.identity() == b.identity(),
            _ => false,
        }
    }
}

impl<A: Actor> Eq for RemoteAddr<A> {}

impl<A: Actor> Hash for RemoteAddr<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.target {
            Target::Local(address) => address.hash(state),
            Target::Remote(remote) => remote.identity().hash(state),
        }
    }
}

impl<A: Actor> fmt::Debug for RemoteAddr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<A>();
        match &self.target {
            Target::Local(_) => write!(f, "RemoteAddr<{name}>(this node)"),
            Target::Remote(remote) => write!(f, "RemoteAddr<{name}>({})", remote.place()),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Serialize for RemoteAddr<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_any().serialize(serializer)
    }
}

impl<'de, A: Actor<Context = Context<A>>> Deserialize<'de> for RemoteAddr<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserialize_reference(deserializer)? {
            Resolved::Remote(remote, _) => Ok(Self::from_remote(remote)),
            Resolved::Home(actor, _) => {
                let original = actor.original().ok_or_else(|| de::Error::custom(GONE_HOME))?;
                let address = original.downcast::<Addr<A>>().map_err(|_| de::Error::custom(WRONG_KIND))?;
                Ok((*address).into())
            }
        }
    }
}

fn number<A: Actor, M: RemoteMessage<A>>() -> Result<u32, SendError> {
    Ok(M::method()?.number())
}
