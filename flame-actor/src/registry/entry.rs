//! What the attributes leave in the executable.

use std::{
    any::{Any, TypeId, type_name},
    fmt,
    marker::PhantomData,
    panic::Location,
};

use actix::{Actor, Context, Handler};
use serde::{Serialize, de::DeserializeOwned};

use super::RemoteMessage;
use crate::{
    delivery::Methods,
    host::{self, PlaceFn},
    task::{self, RunFn, Task},
};

/// One `#[remote]` handler.
#[doc(hidden)]
pub struct HandlerEntry {
    pub(super) actor: fn() -> TypeId,
    pub(super) actor_name: fn() -> &'static str,
    pub(super) message: fn() -> TypeId,
    pub(super) message_name: fn() -> &'static str,
    /// `Methods<A>` of this message.
    pub(super) methods: fn() -> Box<dyn Any>,
    /// Turns the entries of one actor into a `Box<[Methods<A>]>`; all of them have the same function here.
    pub(super) table: fn(&[&HandlerEntry]) -> Box<dyn Any + Send + Sync>,
    pub(super) place: fn() -> Option<PlaceFn>,
    pub(super) location: &'static Location<'static>,
}

impl HandlerEntry {
    /// The entry of `impl Handler<M> for A`; `place` asks a [`Probe`] of `A`.
    #[must_use]
    #[track_caller]
    pub const fn of<A, M>(place: fn() -> Option<PlaceFn>) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<M>,
        M: RemoteMessage<A>,
    {
        Self {
            actor: TypeId::of::<A>,
            actor_name: type_name::<A>,
            message: TypeId::of::<M>,
            message_name: type_name::<M>,
            methods: || Box::new(Methods::<A>::of::<M>()),
            table: method_table::<A>,
            place,
            location: Location::caller(),
        }
    }
}

inventory::collect!(HandlerEntry);

/// One `#[task]`, or one line of types of a generic one.
#[doc(hidden)]
pub struct TaskEntry {
    pub(super) id: fn() -> TypeId,
    pub(super) name: fn() -> &'static str,
    pub(super) run: RunFn,
    pub(super) location: &'static Location<'static>,
}

impl TaskEntry {
    /// The entry of the task `T`.
    #[must_use]
    #[track_caller]
    pub const fn of<T: Task>() -> Self {
        Self { id: TypeId::of::<T>, name: type_name::<T>, run: task::run::<T>, location: Location::caller() }
    }
}

inventory::collect!(TaskEntry);

/// Tells whether `A` can be placed, by which of two methods the compiler finds first.
///
/// `(&Probe::<A>::new()).place()` finds [`Placeable`]'s, which takes `&Probe<A>`, if its bounds hold; only then comes
/// [`NotPlaceable`]'s, which takes one reference more. This works where `A` is a concrete type.
#[doc(hidden)]
pub struct Probe<A>(PhantomData<fn() -> A>);

impl<A> Probe<A> {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only macros make it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

#[doc(hidden)]
pub trait Placeable {
    fn place(&self) -> Option<PlaceFn>;
}

impl<A: Actor<Context = Context<A>> + Serialize + DeserializeOwned> Placeable for Probe<A> {
    fn place(&self) -> Option<PlaceFn> {
        Some(host::place::<A>)
    }
}

#[doc(hidden)]
pub trait NotPlaceable {
    fn place(&self) -> Option<PlaceFn>;
}

impl<A> NotPlaceable for &Probe<A> {
    fn place(&self) -> Option<PlaceFn> {
        None
    }
}

fn method_table<A: Actor<Context = Context<A>>>(entries: &[&HandlerEntry]) -> Box<dyn Any + Send + Sync> {
    // The caller has sorted out the entries of `A`, so that none fails to be `Methods<A>`; one that did would shift
    // the numbers of the rest, so the table shows it by its length.
    let methods = entries.iter().filter_map(|entry| (entry.methods)().downcast::<Methods<A>>().ok());
    let methods: Box<[Methods<A>]> = methods.map(|method| *method).collect();
    Box::new(methods)
}

impl fmt::Debug for HandlerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handler<{}> for {} ({})", (self.message_name)(), (self.actor_name)(), self.location)
    }
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", (self.name)(), self.location)
    }
}

impl<A> fmt::Debug for Probe<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe<{}>", type_name::<A>())
    }
}
