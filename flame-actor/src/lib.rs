//! FLAME for actix: parts of an app run on short-lived copies of the same app.
//!
//! The app is the *parent*. Its [`Pool`] boots *runners*, copies of the executable, when there is work, and lets them go when
//! there is none. On a runner it starts an actix actor ([`Pool::place_child`]) or runs a function ([`Pool::call`],
//! [`Pool::cast`]). A Rust process cannot send a closure to its copy, but it can send an actor: its state is a value, and its
//! behaviour is in every copy of the executable.
//!
//! # The four ways of data
//!
//! ```text
//!    parent: your app                                    runner: a copy of it, booted on demand
//!  ┌───────────────────────────┐                       ┌───────────────────────────┐
//!  │  pool ── place_child(A) ──┼── 1. A's value ──────▶│  A::started()             │
//!  │  RemoteAddr<A>.send(M) ───┼── 2. M, in order ────▶│  Handler<M>::handle       │
//!  │  Recipient<T>'s mailbox ◀─┼── 3. T ───────────────┤  self.caller.send(T)      │
//!  │  slot free, error typed ◀─┼── 4. it ended ────────┤  stopped, panicked, lost  │
//!  └───────────────────────────┘   one QUIC link,      └───────────────────────────┘
//!                                  mutual TLS 1.3
//! ```
//!
//! 1. **Place.** The pool finds a slot, and boots a runner if it must. The actor is encoded, started over there, and once
//!    `started` has run, the [`Child`] is its owner: dropping it stops the actor. A [`Placing`] has an address at once.
//! 2. **Send.** [`RemoteAddr`] has actix's `send`, `do_send` and `try_send`. The order is that of sending; a slow answer
//!    holds back no later message.
//! 3. **Back.** A `Recipient` (see [`recipient`]), [`RemoteRecipient`] or [`RemoteAddr`] in a message works on the other side.
//!    What is sent to it lands in the mailbox of the actor that it names. It may be sent on, also from one runner to another, and
//!    [`register`] and [`lookup`] give actors names.
//! 4. **End.** Who waits for an actor that stops, panics or loses its runner is told so ([`DownReason`]), who
//!    [watches](RemoteAddr::watch) it has one [`Down`], its slot is free, and a child with a [restart policy](Placing::restart)
//!    is started again, at the same address.
//!
//! # A first app
//!
//! ```
//! use actix::prelude::*;
//! use flame_actor::{Pool, backend::LocalBackend, remote};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Counter {
//!     total: u64,
//! }
//!
//! impl Actor for Counter {
//!     type Context = Context<Self>;
//! }
//!
//! #[derive(Message, Serialize, Deserialize)]
//! #[rtype(result = "u64")]
//! struct Add(u64);
//!
//! #[remote]
//! impl Handler<Add> for Counter {
//!     type Result = u64;
//!
//!     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
//!         self.total += n;
//!         self.total
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The role line: the same executable is parent and runner.
//!     if let Some(runner) = flame_actor::runner() {
//!         runner.serve().await;
//!         return Ok(());
//!     }
//!     // In this test runners are threads. Without this line they are child processes.
//!     let pool = Pool::builder("numbers").backend(LocalBackend::new()).start()?;
//!     let counter = pool.place_child(Counter { total: 40 }).await?;
//!     assert_eq!(counter.send(Add(2)).await?, 42);
//!     Ok(())
//! }
//! ```
//!
//! [`runner()`] has to be the first line of `main`; an app without it gets an error from [`backend::ProcessBackend`], and no second
//! process. What cannot travel with an actor (a socket, a child process) is `#[serde(skip)]` and made in `started`. Messages need
//! serde's derives, and [`#[remote]`](macro@remote) on the handler. [`#[task]`](macro@task) makes a function callable on a runner, and
//! [`task_fn!`] a few lines in place.
//!
//! # Promises
//!
//! - Messages of one sender to one actor are handled in order, each at most once. A `send` that fails is a typed error
//!   ([`SendError`], [`CallError`], [`PlaceError`]) that says who is to blame; a `do_send` that fails is one of the
//!   [`dead_letters`].
//! - A value arrives equal to what was sent, or the sender gets an encode error.
//! - What is under way to an actor is bounded on both sides. `send` waits and `try_send` refuses; `do_send` never waits, and
//!   loses messages, not memory. Nobody but the senders to a slow actor is slowed.
//! - A [`ByteStream`] or [`ItemStream`] flows no faster than it is read, takes the same memory however long it is, and holds up
//!   no message. Both ends hear of its end, its failure, and the loss of a node.
//! - A result that holds addresses or streams keeps its runner up, in the one slot of its call, until the last of them is
//!   dropped.
//! - A panic in a handler ends that actor and no other.
//! - At most one incarnation of a supervised child serves at a time, and what a runner that was given up still sends is
//!   accepted by nobody.
//! - One time limit covers queue, boot and execution of a call. Dropping a call cancels its work at the next await. Work that
//!   comes to no await cannot be ended, nor can a plain `fn`: its caller has the error on time all the same, and two seconds
//!   later its runner takes no more work, lets the rest finish, and ends; what it has not begun runs elsewhere.
//! - Code that blocks its arbiter holds up the actors of that arbiter and nothing else. Within a second nothing more is
//!   started there, and what waited there moves on; a runner whose arbiters are all blocked gets nothing. A child may have an
//!   arbiter of its own ([`Placing::own_arbiter`]), and plain `fn` tasks run on threads that may block.
//! - A runner calls the pools of its parent by the same line as the parent ([`Pool::named`]). A call to its own pool runs in its
//!   caller's slot if there is no other, has no longer than its caller, and is cancelled with it.
//! - The deadline, the trace and the app's own values of a [`Context`] go with calls, placed children and messages.
//! - A runner ends within 5 seconds of its parent, whatever ended that, and takes with it what it started in its process group.
//!   A lost link is a lost runner: there is no reconnect, and no message is sent twice.
//! - Only a node with a fresh ticket of this parent joins, and only one of the same build.
//!
//! # Bounds and defaults
//!
//! | what | default | option |
//! |---|---|---|
//! | runners at once | 0 to 8 | [`PoolBuilder::min`], [`PoolBuilder::max`] |
//! | slots of a runner (a child or a call holds one) | 100 | [`PoolBuilder::max_concurrency`] |
//! | requests that wait for a slot | 10,000 | [`PoolBuilder::max_queue`] |
//! | a call or a placing, in all | 30 s | [`PoolBuilder::timeout`] |
//! | a boot | 30 s | [`PoolBuilder::boot_timeout`] |
//! | a runner without work | ends after 30 s | [`PoolBuilder::idle_shutdown_after`] |
//! | work in flight when a pool stops | 30 s | [`PoolBuilder::shutdown_timeout`] |
//! | a message, encoded | 16 MiB | [`LinkConfig::with_max_message`] |
//! | a silent runner | lost after 4 s | [`LinkConfig::with_idle_timeout`] |
//! | under way to one actor | 1 MiB, 8192 messages | fixed |
//! | of a stream, ahead of its reader | 1.25 MB | [`LinkConfig::with_stream_window`] |
//! | streams that flow over a link at a time | 256 each way | fixed |
//!
//! # Modules
//!
//! [`guide`] shows an existing actor made remote. [`pool`] has what pools are made of, [`backend`] how runners are booted (write your own [`backend::Backend`]), and
//! [`mod@runner`] the runner's side.

// The attributes name this crate by its absolute path, so that they work in its own tests too.
extern crate self as flame_actor;

mod arguments;
mod attributes;
pub mod backend;
mod context;
mod dead_letters;
mod delivery;
mod failure;
pub mod guide;
mod host;
mod names;
mod node;
mod outlet;
pub mod pool;
mod registry;
mod remote;
pub mod runner;
mod stream;
mod supervise;
mod task;
mod watch;

pub use attributes::{remote, task, task_fn};
pub use context::{Context, ContextError, ContextValue, InvalidTraceParent, TraceLayer, TraceParent};
pub use dead_letters::{DeadLetter, DeadLetters, dead_letters};
pub use failure::Failure;
pub use flame_transport::{InvalidConfig, LinkConfig, NodeId};
pub use host::publish_snapshot;
pub use names::{NameError, lookup, register, unregister};
pub use node::{Parent, ParentError};
pub use outlet::Subscription;
pub use pool::{
    CallError, Calling, Child, PlaceError, PlaceFailure, Placing, Pool, PoolBuilder, PoolError, PoolEvents,
    RunnerLoss, SharedCap, UnknownPool, WorkPhase,
};
pub use registry::{RegistryError, RemoteMessage};
pub use remote::{
    DownReason, RemoteAddr, RemoteRecipient, Request, SendError, SerdeMessage, serde_recipient as recipient,
};
pub use runner::{current_runner, runner};
pub use stream::{ByteStream, Feed, ItemStream, StreamClosed, StreamError, file};
pub use supervise::{Between, Restart};
pub use task::{Task, TaskRun};
pub use watch::{Down, Watch, WatchId};

/// What the attributes expand to. Not part of the interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::{
        arguments::{FromArguments, ReadArguments, WriteArguments, read_arguments},
        delivery::Methods,
        failure::{MapFailure, failure_result},
        host::{PlaceFn, Start},
        registry::{
            HandlerEntry, MethodCache, MethodId, NotPlaceable, Placeable, Probe, Registry, TaskEntry,
        },
        task::{EncodedOutput, References, RunFn, Signature, TaskStart},
    };
}
