//! Actors over nodes.

// The attributes name this crate by its absolute path, so that they work in its own tests too.
extern crate self as flame_actor;

mod arguments;
mod attributes;
mod delivery;
mod host;
mod registry;
mod task;

pub use attributes::{remote, task};
pub use registry::{RegistryError, RemoteMessage};
pub use task::{Task, TaskRun};

/// What the attributes expand to. Not part of the interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::{
        arguments::{FromArguments, ReadArguments, WriteArguments, read_arguments},
        delivery::{Delivery, Forward, Methods},
        host::{PlaceFn, Start},
        registry::{
            HandlerEntry, MethodCache, MethodId, NotPlaceable, Placeable, Probe, Registry, TaskEntry,
        },
        task::{EncodedOutput, RunFn, Signature, TaskStart},
    };
}
