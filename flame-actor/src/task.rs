//! Tasks: functions that a pool can run on another node.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use flame_transport::codec::{DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

use crate::remote::{Encoded, Resolved, encode_answer, scope};

/// A call of a function with its arguments, as a value that can travel to another node and be run there.
///
/// [`#[task]`](macro@crate::task) makes the type: it has the name of the function, and `name::task(arguments)` makes
/// the value. Code that takes any task, for example a wrapper around a pool, is generic over this trait.
///
/// Do not implement it by hand: a type that the attribute has not registered cannot be found on the other node.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "not a task",
    note = "mark the function with `#[task]` and pass `the_function::task(arguments)`: a value, not the function and not its future",
    note = "a generic function is a task only for the types that its attribute lists: `#[task(u32, String)]`"
)]
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// What the function returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The path of the function, for logs.
    #[doc(hidden)]
    const NAME: &'static str;

    /// Starts the work. An async function is to be polled on the thread that called this.
    #[doc(hidden)]
    fn run(self) -> TaskRun<Self::Output>;
}

/// Work that a [`Task`] has been turned into.
#[must_use = "the work is done only when it is polled or called"]
pub enum TaskRun<O> {
    /// Of an `async fn`: polled on an arbiter, so it need not be `Send`.
    Async(Pin<Box<dyn Future<Output = O>>>),
    /// Of a plain `fn`: called once, on a thread that may block.
    Blocking(Box<dyn FnOnce() -> O + Send>),
}

/// Decodes a task from `arguments` and starts it; its output becomes at most `limit` bytes.
///
/// The argument bytes come from a peer: whatever they are, the worst result is the error.
#[doc(hidden)]
pub type RunFn = fn(arguments: &[u8], references: References, limit: usize) -> Result<TaskStart, DecodeError>;

/// The references to actors that stand in a task's arguments.
#[doc(hidden)]
#[derive(Default)]
pub struct References(pub(crate) Vec<Resolved>);

/// A task that was decoded; what it yields is encoded on the thread that it ran on.
#[doc(hidden)]
pub type TaskStart = TaskRun<EncodedOutput>;

/// The output of a task in encoded form.
#[doc(hidden)]
pub struct EncodedOutput(pub(crate) Result<Encoded, EncodeError>);

impl EncodedOutput {
    /// The encoding of an output without references, for tests of the attribute.
    pub fn payload(self) -> Result<Bytes, EncodeError> {
        self.0.map(Encoded::into_payload)
    }
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "References({})", self.0.len())
    }
}

impl fmt::Debug for EncodedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodedOutput").field(&self.0.as_ref().map(Encoded::len)).finish()
    }
}

pub(crate) fn run<T: Task>(
    arguments: &[u8],
    references: References,
    limit: usize,
) -> Result<TaskStart, DecodeError> {
    let task: T = scope::decode(arguments, references.0)?;
    Ok(match task.run() {
        TaskRun::Async(work) => TaskRun::Async(Box::pin(async move { encode_output(&work.await, limit) })),
        TaskRun::Blocking(work) => TaskRun::Blocking(Box::new(move || encode_output(&work(), limit))),
    })
}

fn encode_output<O: Serialize>(output: &O, limit: usize) -> EncodedOutput {
    EncodedOutput(encode_answer(output, limit))
}

/// What a task's function returns.
///
/// A task's impls are written for concrete types, while the function's own signature may be generic: through a trait
/// the compiler, and not the macro, puts the one into the other.
#[doc(hidden)]
pub trait Signature {
    type Output;
}
