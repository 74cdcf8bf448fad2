//! Why an executable's registrations cannot be used.

use std::panic::Location;

/// The handlers and tasks that are linked into this executable cannot be told apart by another node.
///
/// It is the build that is to blame, not a peer: the same error comes at every start of the executable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two actor types have one name.
    #[error(
        "two actor types are called `{actor}`: at {first} and at {second}. \
         If two versions of one crate are linked, keep one (see `cargo tree --duplicates`); else rename one of the types"
    )]
    DuplicateActor {
        /// The name that both have.
        actor: &'static str,
        /// Where one of them has a `#[remote]` handler.
        first: &'static Location<'static>,
        /// Where the other one has.
        second: &'static Location<'static>,
    },

    /// One actor handles two message types of one name.
    #[error(
        "`{actor}` handles two message types called `{message}`: at {first} and at {second}. \
         If two versions of one crate are linked, keep one (see `cargo tree --duplicates`); else rename one of the types"
    )]
    DuplicateMessage {
        /// The actor.
        actor: &'static str,
        /// The name of both message types.
        message: &'static str,
        /// Where one handler is.
        first: &'static Location<'static>,
        /// Where the other one is.
        second: &'static Location<'static>,
    },

    /// Two tasks have one name.
    #[error(
        "two tasks are called `{task}`: at {first} and at {second}. \
         If two versions of one crate are linked, keep one (see `cargo tree --duplicates`); else rename one of the functions"
    )]
    DuplicateTask {
        /// The name that both have.
        task: &'static str,
        /// Where one of them is.
        first: &'static Location<'static>,
        /// Where the other one is.
        second: &'static Location<'static>,
    },

    /// [`RemoteMessage`](crate::RemoteMessage) was implemented by hand.
    #[error("a remote handler is not registered: use `#[remote]` instead of implementing `RemoteMessage`")]
    NotRegistered,
}
