//! What this executable can run for another node: its remote handlers and its tasks, numbered.
//!
//! Each `#[remote]` and `#[task]` leaves an [entry](entry) in the executable. The [table] sorts them by name, because
//! the linker's order is arbitrary, and numbers them: two nodes that run the same build have the same numbers, so that
//! no name crosses the wire with a message. The [digest](Registry::digest) of the names is compared when they meet.

mod entry;
mod error;
mod handler;
mod table;

pub use entry::{HandlerEntry, NotPlaceable, Placeable, Probe, TaskEntry};
pub use error::RegistryError;
pub use handler::{MethodCache, MethodId, RemoteMessage};
pub use table::Registry;

#[cfg(test)]
mod tests;
