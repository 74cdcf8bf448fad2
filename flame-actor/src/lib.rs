//! Actors over nodes.
// The attributes name this crate by its absolute path, so that they work in its own tests too.
extern crate self as flame_actor;

mod arguments;
mod attributes;
pub mod backend;
mod delivery;
mod host;
mod node;
pub mod pool;
mod registry;
mod remote;
pub mod runner;
mod task;

pub use attributes::{remote, task};
pub use flame_transport::{LinkConfig, NodeId};
pub use node::{Parent, ParentError};
pub use pool::{
    CallError, Calling, Child, PlaceError, PlaceFailure, Placing, Pool, PoolBuilder, PoolError, RunnerLoss,
};
pub use registry::{RegistryError, RemoteMessage};
pub use remote::{
    DownReason, RemoteAddr, RemoteRecipient, Request, SendError, SerdeMessage, serde_recipient as recipient,
};
pub use runner::{current_runner, runner};
pub use task::{Task, TaskRun};

/// What the attributes expand to. Not part of the interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::{
        arguments::{FromArguments, ReadArguments, WriteArguments, read_arguments},
        delivery::Methods,
        host::{PlaceFn, Start},
        registry::{
            HandlerEntry, MethodCache, MethodId, NotPlaceable, Placeable, Probe, Registry, TaskEntry,
        },
        task::{EncodedOutput, References, RunFn, Signature, TaskStart},
    };
}
