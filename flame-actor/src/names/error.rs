//! What can go wrong with a name.

use crate::{node::names::Names, remote::SendError};

/// A name was not given, taken back or found.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty, or longer than 255 bytes.
    #[error("{name:?} is no name for an actor: it takes 1 to {} bytes", Names::MAX_NAME)]
    Invalid {
        /// The name.
        name: String,
    },
    /// No actor has it, or the one that had it is gone.
    #[error("no actor is called {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Another actor has it, or the same one.
    #[error("an actor is called {name:?} already: take another name, or `unregister` this one first")]
    Taken {
        /// The name.
        name: String,
    },
    /// The actor that has it is of another type than the one that was asked for.
    #[error("the actor that is called {name:?} is a `{actual}`")]
    WrongType {
        /// The name.
        name: String,
        /// The type of the actor that has it.
        actual: String,
    },
    /// The table is full.
    #[error("{max} actors have names, and no more can: `unregister` some")]
    Full {
        /// The most names that there can be.
        max: usize,
    },
    /// Actors of this type cannot be addressed from another node.
    #[error("`{actor}` has no handler with `#[remote]`, so that its name would be of no use to other nodes")]
    NotRemote {
        /// The actor's type.
        actor: &'static str,
    },
    /// It was asked on a thread of a runner's process that the runner does not know.
    #[error("this thread was not started by the runner: ask from an actor or a task")]
    ForeignThread,
    /// The parent, which keeps the names, could not be asked.
    #[error("the parent, which keeps the names, cannot be asked: {0}")]
    Parent(#[source] SendError),
}
