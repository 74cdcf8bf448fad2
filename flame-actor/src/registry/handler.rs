//! The marker of a deliverable (actor, message) pair, and its number.

use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Actor, Message};
use serde::{Serialize, de::DeserializeOwned};

use super::{Registry, RegistryError};

/// A message that the actor `A` takes from another node.
///
/// [`#[remote]`](macro@crate::remote) on `impl Handler<M> for A` implements it for `M`. Code that is generic over the
/// messages that it sends to a remote actor asks for this trait, as it would ask for
/// [`Handler<M>`](actix::Handler) of a local one. That the message and its result can travel follows from it.
///
/// Do not implement it by hand: a pair that the attribute has not registered cannot be found on the other node.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::{RemoteMessage, remote};
/// use serde::{Deserialize, Serialize};
///
/// struct Counter(u64);
/// impl Actor for Counter {
///     type Context = Context<Self>;
/// }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u64")]
/// struct Add(u64);
///
/// #[remote]
/// impl Handler<Add> for Counter {
///     type Result = u64;
///     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// fn tell_from_afar<M: RemoteMessage<Counter>>(_: M) {}
/// tell_from_afar(Add(1));
/// ```
// The message, and not the actor, is what implements it: while the compiler does not know a message's type yet, it waits,
// where it would guess it from an actor with a single handler and complain about the argument.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not take `{Self}` from another node",
    label = "not a message that `{A}` takes from another node",
    note = "add `#[remote]` to `impl Handler<{Self}> for {A}`",
    note = "a generic handler is remote only for the types that its attribute lists: `#[remote(A<u32>: M<u32>)]`"
)]
pub trait RemoteMessage<A: Actor>:
    Message<Result: Serialize + DeserializeOwned + Send> + Serialize + DeserializeOwned + Send + 'static
{
    /// The number of the pair on the wire.
    ///
    /// Fails only if the registry is broken, which every node reports when it starts.
    #[doc(hidden)]
    fn method() -> Result<MethodId, &'static RegistryError>;
}

/// The number of a message type among those of one actor type.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(pub(super) u32);

impl MethodId {
    /// As it stands on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Remembers one pair's number, so that a send does not look it up.
#[doc(hidden)]
#[derive(Debug)]
pub struct MethodCache(AtomicU32);

impl MethodCache {
    /// No entry has this number: there cannot be that many.
    const UNKNOWN: u32 = u32::MAX;

    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(Self::UNKNOWN))
    }

    /// The number of `M` among the messages of `A`; each pair needs a cache of its own.
    #[inline]
    pub fn method<A: Actor, M: 'static>(&self) -> Result<MethodId, &'static RegistryError> {
        // The number is all there is to see, and everybody stores the same: no ordering is needed.
        match self.0.load(Ordering::Relaxed) {
            Self::UNKNOWN => self.look_up::<A, M>(),
            number => Ok(MethodId(number)),
        }
    }

    #[cold]
    fn look_up<A: Actor, M: 'static>(&self) -> Result<MethodId, &'static RegistryError> {
        let method = Registry::get()?.method::<A, M>().ok_or(&RegistryError::NotRegistered)?;
        self.0.store(method.0, Ordering::Relaxed);
        Ok(method)
    }
}

impl Default for MethodCache {
    fn default() -> Self {
        Self::new()
    }
}
