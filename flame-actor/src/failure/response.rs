//! What the option `failure` of the attributes makes of a result: its error becomes a [`Failure`].

use std::{fmt, future::Future, pin::Pin};

use actix::{
    Actor, AsyncContext, AtomicResponse, Message, ResponseActFuture,
    dev::{MessageResponse, OneshotSender},
    fut::ActorFutureExt,
};
use tokio::sync::oneshot;

use super::Failure;

/// A handler's response, or a task's output, whose error can become a [`Failure`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` holds no error that `failure` could map",
    label = "not a `Result`",
    note = "the option `failure` is for a `Result<T, E>`, a `ResponseFuture`, `ResponseActFuture` or `AtomicResponse` of one; leave it out here"
)]
pub trait MapFailure {
    type Mapped;

    fn mapped(self) -> Self::Mapped;
}

impl<T, E: Into<Failure>> MapFailure for Result<T, E> {
    type Mapped = Result<T, Failure>;

    fn mapped(self) -> Self::Mapped {
        self.map_err(Into::into)
    }
}

impl<T: 'static, E: Into<Failure> + 'static> MapFailure for Pin<Box<dyn Future<Output = Result<T, E>>>> {
    type Mapped = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

    fn mapped(self) -> Self::Mapped {
        Box::pin(async move { self.await.mapped() })
    }
}

impl<A, T, E> MapFailure for ResponseActFuture<A, Result<T, E>>
where
    A: Actor,
    T: 'static,
    E: Into<Failure> + 'static,
{
    type Mapped = ResponseActFuture<A, Result<T, Failure>>;

    fn mapped(self) -> Self::Mapped {
        Box::pin(self.map(|result, _, _| result.mapped()))
    }
}

impl<A, T, E: Into<Failure>> MapFailure for AtomicResponse<A, Result<T, E>> {
    type Mapped = Atomic<A, T, E>;

    fn mapped(self) -> Self::Mapped {
        Atomic(self)
    }
}

/// An `AtomicResponse`, which cannot be taken apart: what it sends is mapped on its way.
#[doc(hidden)]
pub struct Atomic<A, T, E>(AtomicResponse<A, Result<T, E>>);

impl<A, M, T, E> MessageResponse<A, M> for Atomic<A, T, E>
where
    A: Actor<Context: AsyncContext<A>>,
    M: Message<Result = Result<T, Failure>>,
    T: 'static,
    E: Into<Failure> + 'static,
{
    fn handle(self, ctx: &mut A::Context, answer: Option<OneshotSender<M::Result>>) {
        let (sender, result) = oneshot::channel();
        MessageResponse::<A, Unmapped<T, E>>::handle(self.0, ctx, Some(sender));
        if let Some(answer) = answer {
            actix_rt::spawn(async move {
                if let Ok(result) = result.await {
                    let _ = answer.send(result.mapped());
                }
            });
        }
    }
}

impl<A, T, E> fmt::Debug for Atomic<A, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Atomic")
    }
}

/// A message whose result has the handler's own error.
struct Unmapped<T, E>(std::marker::PhantomData<fn() -> Result<T, E>>);

impl<T: 'static, E: 'static> Message for Unmapped<T, E> {
    type Result = Result<T, E>;
}

/// The result of a message that is handled with the option `failure`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a message's result is `{Self}`, and its handler's errors travel as `Failure`",
    label = "the result of this message is no `Result<_, Failure>`",
    note = "with `#[remote(failure)]` the message says so: `#[rtype(result = \"Result<…, Failure>\")]`"
)]
pub trait FailureResult {}

impl<T> FailureResult for Result<T, Failure> {}

/// Compiles for the messages that `#[remote(failure)]` is for.
#[doc(hidden)]
pub fn failure_result<M: Message<Result: FailureResult>>() {}
