//! Actors and tasks that were placed on this node.

use std::marker::PhantomData;

use actix::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// One actor that is about to be started here.
#[derive(Debug)]
pub struct Start<'a>(PhantomData<&'a mut [u8]>);

/// Decodes an actor's value and starts it.
pub type PlaceFn = fn(&mut Start<'_>);

/// Decodes a value of the type `A` and starts it.
pub(crate) fn place<A: Actor<Context = Context<A>> + Serialize + DeserializeOwned>(_: &mut Start<'_>) {}
