//! Actors over nodes.
// The attributes name this crate by its absolute path, so that they work in its own tests too.
extern crate self as flame_actor;

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
pub use registry::{RegistryError, RemoteHandler};
pub use remote::{
    DownReason, RemoteAddr, RemoteMessage, RemoteRecipient, Request, SendError, serde_recipient as recipient,
};
pub use task::{Task, TaskRun};

/// What the attributes expand to. Not part of the interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::{
        delivery::Methods,
        host::{PlaceFn, Start},
        registry::{
            HandlerEntry, MethodCache, MethodId, NotPlaceable, Placeable, Probe, Registry, TaskEntry,
        },
        task::{EncodedOutput, References, RunFn, Signature, TaskStart},
    };
}
