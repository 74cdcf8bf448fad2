//! The marker of a deliverable (actor, message) pair, and its number.

use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Actor, Handler, Message};

use super::{Registry, RegistryError};

/// An actor that takes the message `M` from another node.
///
/// [`#[remote]`](macro@crate::remote) on `impl Handler<M> for A` implements it. Code that is generic over the actors
/// it sends to asks for this trait where it would ask for [`Handler<M>`] of a local actor.
///
/// Do not implement it by hand: a pair that the attribute has not registered cannot be found on the other node.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::{RemoteHandler, remote};
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
/// fn takes_from_afar<A: RemoteHandler<M>, M: Message>() {}
/// takes_from_afar::<Counter, Add>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take `{M}` from another node",
    label = "no `#[remote]` handler of `{M}`",
    note = "add `#[remote]` to `impl Handler<{M}> for {Self}`",
    note = "a generic handler is remote only for the types that its attribute lists: `#[remote(A<u32>: M<u32>)]`"
)]
pub trait RemoteHandler<M: Message>: Actor + Handler<M> {
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
