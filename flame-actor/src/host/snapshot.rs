//! What a supervised child publishes for its next incarnation to start from.

use std::{
    any::TypeId,
    cell::RefCell,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::Actor;
use flame_transport::{Body, MAIN_PORT};
use serde::Serialize;

use super::protocol::ToParent;
use crate::remote::{Peer, SendError, encode_answer};

/// Publishes the state of a supervised child: its next incarnation starts from the last that was published, instead of
/// from the value that was placed.
///
/// Called by the child itself, with `self`, in a handler or in one of the actor's own methods (`started`, `stopped`); the
/// actor is encoded before this returns. What it leaves to `#[serde(skip)]` is made anew in `started`, as ever. Where nobody
/// could start from it (in a child without a restart policy, in an actor that runs in the parent) nothing happens.
///
/// # Errors
///
/// [`SendError::Encode`] and the other errors of sending; the last snapshot stands then. [`SendError::Full`] if the parent is
/// far behind.
///
/// # Examples
///
/// ```
/// # use actix::prelude::*;
/// # use flame_actor::{Pool, Restart, backend::LocalBackend, publish_snapshot, remote};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Counter(u64);
/// # impl Actor for Counter { type Context = Context<Self>; }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u64")]
/// struct Add(u64);
///
/// #[remote]
/// impl Handler<Add> for Counter {
///     type Result = u64;
///     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         assert!(n < 1000, "too much");
///         self.0 += n;
///         publish_snapshot(self).expect("a number can be encoded");
///         self.0
///     }
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = Pool::builder("snapshots").backend(LocalBackend::new()).start()?;
/// let counter = pool.place_child(Counter(40)).restart(Restart::Permanent).await?;
/// assert_eq!(counter.send(Add(1)).await?, 41);
/// assert!(counter.send(Add(1000)).await.is_err());
/// // What still reaches the incarnation that has ended is an error; what comes later waits for the next one.
/// let sum = loop {
///     if let Ok(sum) = counter.send(Add(1)).await {
///         break sum;
///     }
/// };
/// assert_eq!(sum, 42);
/// # Ok(())
/// # }
/// ```
pub fn publish_snapshot<A: Actor + Serialize>(actor: &A) -> Result<(), SendError> {
    let Some(publisher) = PUBLISHER.with_borrow(Clone::clone) else { return Ok(()) };
    if publisher.actor != TypeId::of::<A>() {
        return Ok(());
    }
    let Some(parent) = publisher.parent.upgrade() else { return Ok(()) };
    let Some(link) = parent.link() else { return Ok(()) };
    let value = encode_answer(actor, parent.max_message())?;
    let sendable = value.for_link(&parent).map_err(|_| SendError::Unreachable)?;
    let snapshot = ToParent::Snapshot { child: publisher.child, body: sendable.body.clone() };
    let body = snapshot.encode_within(parent.max_message())?;
    let sent = link.lane(MAIN_PORT).tell(Body::Own(body));
    sent.map_err(|error| SendError::from_send(error, parent.node()))?;
    sendable.sent();
    publisher.published.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

thread_local! {
    /// Who publishes: the supervised child whose code this thread runs.
    static PUBLISHER: RefCell<Option<Arc<Published>>> = const { RefCell::new(None) };
}

/// Lets a child publish while its code runs; nothing for a child that is not supervised.
pub(super) struct Publisher(Option<Arc<Published>>);

struct Published {
    child: u64,
    actor: TypeId,
    parent: Weak<Peer>,
    published: AtomicU64,
}

impl Publisher {
    pub(super) fn new<A: 'static>(child: u64, parent: &Arc<Peer>, supervised: bool) -> Self {
        Self(supervised.then(|| {
            Arc::new(Published {
                child,
                actor: TypeId::of::<A>(),
                parent: Arc::downgrade(parent),
                published: AtomicU64::new(0),
            })
        }))
    }

    /// How many snapshots were published.
    pub(super) fn published(&self) -> u64 {
        self.0.as_ref().map_or(0, |published| published.published.load(Ordering::Relaxed))
    }

    /// Runs some of the child's code.
    pub(super) fn during<R>(&self, code: impl FnOnce() -> R) -> R {
        /// Also when it panics.
        struct Over;
        impl Drop for Over {
            fn drop(&mut self) {
                PUBLISHER.set(None);
            }
        }
        let Some(published) = &self.0 else { return code() };
        PUBLISHER.set(Some(Arc::clone(published)));
        let _over = Over;
        code()
    }
}
