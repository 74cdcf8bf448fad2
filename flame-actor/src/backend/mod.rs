//! Backends boot runners and end them.
//!
//! A [`Backend`] knows one way to start a copy of the app: [`ProcessBackend`], the default, as a child process. The
//! pool decides when and how many; the backend only carries it out. Whether a runner *joined* is seen by the pool
//! over the network, so a backend says no more than "created" ([`Backend::boot`]) and "gone" ([`Instance::exited`]).
//!
//! ```text
//!   pool ── Boot { runner, ticket, deadline } ──▶ Backend::boot ──▶ Instance
//!    ▲                                                               │ the ticket, over a private way
//!    │                                                               ▼
//!    └────────────── the runner dials in with its ticket ───────── runner
//! ```
//!
//! # How a runner gets its ticket
//!
//! The ticket holds the runner's private key. It never stands in an argument, in the environment, in a log line or in
//! a file that others can read. The app's role line, the first in its `main`, recognises a runner by the variable
//! [`RUNNER_VARIABLE`], which holds only public facts, and then reads the ticket from standard input. A backend of
//! your own does the same: it starts the app with [`RUNNER_VARIABLE`] set to [`RUNNER_ON_STDIN`], writes
//! [`Ticket::to_stdin`] to its standard input, and keeps that open for as long as the runner may live: at the end of
//! file the runner ends itself and its process group. Where the backend has no pipe to the runner, it puts
//! [`Ticket::encode`] into a file that only the runner reads, and sets the variable to [`runner_in_file`]; such a runner ends
//! itself when its link to the parent is lost.

mod admission;
mod boot_error;
mod exit;
mod local;
pub mod process;
mod resources;
mod ticket;

use std::{
    fmt::Debug,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use flame_transport::NodeId;

pub use self::{
    admission::may_boot,
    boot_error::BootError,
    exit::ExitReason,
    local::LocalBackend,
    process::ProcessBackend,
    resources::{InvalidResources, Resources, ResourcesBuilder},
    ticket::{Ticket, TicketError},
};
pub use crate::runner::guard::{RUNNER_ON_STDIN, RUNNER_VARIABLE, runner_in_file};

/// A boxed future that may move between threads, so that [`Backend`] and [`Instance`] can be trait objects.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Boots runners of one kind: child processes, pods, or whatever you make of it.
///
/// # Duties
///
/// An implementation promises that
///
/// - a boot makes at most one instance, and that an instance whose `boot` was dropped midway, or whose last handle
///   was dropped, is ended as by [`Instance::terminate`]: nothing is left running that nobody can end;
/// - the instance runs *this* build of the app (a runner of another build is refused when it joins);
/// - the ticket reaches that instance and nobody else ([how](self#how-a-runner-gets-its-ticket));
/// - the instance does not outlive this process by more than 5 seconds, however this process ends;
/// - no method but [`Backend::prepare`] blocks the thread that calls it, and none panics.
///
/// It does *not* retry, count instances or wait for the runner to join: the pool does, and terminates the instance of
/// a boot that took too long.
///
/// # Examples
///
/// A backend that counts what another one boots:
///
/// ```
/// use std::{
///     net::SocketAddr,
///     sync::{
///         Arc,
///         atomic::{AtomicU64, Ordering},
///     },
/// };
///
/// use flame_actor::backend::{Backend, Boot, BootError, BoxFuture, Instance};
///
/// struct Counted<B> {
///     inner: B,
///     boots: AtomicU64,
/// }
///
/// impl<B: Backend> Backend for Counted<B> {
///     fn name(&self) -> &str {
///         self.inner.name()
///     }
///
///     fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
///         self.boots.fetch_add(1, Ordering::Relaxed);
///         self.inner.boot(boot)
///     }
///
///     fn listen(&self) -> SocketAddr {
///         self.inner.listen()
///     }
/// }
/// ```
pub trait Backend: Send + Sync + 'static {
    /// What logs and reports call this backend, in one word: `process`.
    fn name(&self) -> &str;

    /// Starts the creation of one runner. `Ok` means that the instance exists, not that it runs yet or has joined.
    ///
    /// The future may be polled on any thread, in any runtime or in none: what needs a runtime of its own brings it.
    ///
    /// # Errors
    ///
    /// A [`BootError`] says why no instance was made; nothing is left of the attempt then. A backend of your own puts
    /// its own errors into [`BootError::other`]. The pool backs off and tries again, and tells the error to
    /// those whom no boot can serve in time.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; an instance that it has made or is about to make is ended.
    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>>;

    /// The address at which the parent must listen so that this backend's runners can reach it. Asked once, when the
    /// pool starts. The default is a free port on the IPv4 loopback interface: nobody on another machine gets there.
    fn listen(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    /// Makes ready to boot runners for the pool of this name, before anything else is asked of the backend. What is set
    /// wrongly, or refused by whoever boots the runners, is found here and not at the first boot. Called by
    /// [`PoolBuilder::start`](crate::PoolBuilder::start), on its caller's thread; the one method that may block, for a few
    /// seconds. The default does nothing.
    ///
    /// # Errors
    ///
    /// What keeps every boot from working: the pool is not made.
    fn prepare(&self, pool: &str) -> Result<(), PrepareError> {
        let _ = pool;
        Ok(())
    }

    /// How long a boot may take where the pool's builder says nothing. The default is 30 s.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long the end of an instance may take, from [`Instance::terminate`] to [`Instance::exited`], before the pool
    /// reports it as leaked. The default is 10 s.
    fn terminate_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Why a backend cannot boot runners at all.
pub type PrepareError = Box<dyn std::error::Error + Send + Sync>;

/// One runner that a backend has created.
///
/// # Duties
///
/// The handle may be used from any thread, and all methods stay harmless after the instance has ended. Dropping the
/// last handle ends the instance as [`Instance::terminate`] does.
pub trait Instance: Send + Sync + Debug {
    /// What people look the instance up by: `process 4711`, `pod default/thumbs-3`.
    fn describe(&self) -> String;

    /// The process id of the runner on this machine, if it is a process of this machine.
    fn pid(&self) -> Option<u32> {
        None
    }

    /// Resolves once the instance is *confirmed* gone: no instruction of it runs any more, and what it held is free.
    /// The pool starts no replacement for it before that, so a guess is worse than a late answer.
    ///
    /// May be awaited by any number of tasks, any number of times, before and after the end; all get an equal answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    fn exited(&self) -> BoxFuture<ExitReason>;

    /// Asks the instance to end, and ends it by force if it has not after a grace period of the backend's own (a few
    /// seconds). Returns at once; [`Instance::exited`] tells when it is done. Asking twice is the same as asking
    /// once.
    fn terminate(&self);

    /// Ends the instance and all that it started by force, at once and without grace.
    fn kill(&self);

    /// Its runner has joined: what was only needed to boot it can go. The default does nothing.
    fn joined(&self) {}

    /// Resolves if the backend sees that the runner will not join, though the instance is not gone yet: its image cannot
    /// be pulled, no machine has room for it. The pool then gives the boot up with this error, which says more than that
    /// the time was over, and terminates the instance. Awaited once, until the runner has joined or the instance is gone;
    /// the default never resolves.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn broken(&self) -> BoxFuture<BootError> {
        Box::pin(std::future::pending())
    }

    /// The last lines that the instance printed, oldest first, for reports of boots and runners that failed. Bounded
    /// by the backend; empty where it cannot see any.
    fn log_tail(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One order to boot a runner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Boot {
    /// Who the runner will be. The name is unique among the runners of this process and fit for a pod's name.
    pub runner: NodeId,
    /// The pool that it is for.
    pub pool: Arc<str>,
    /// What the runner needs to join. Secret.
    pub ticket: Ticket,
    /// When the pool gives up on this boot. No instance should be created past it.
    pub deadline: Instant,
    /// What the runner is to have: what the work asked for that it is booted for, else the pool's default.
    pub resources: Resources,
    /// How long the runner may go on with what it has begun once it is told to go: the pool's `shutdown_timeout`.
    pub drain: Duration,
}

impl Boot {
    /// An order to boot `runner` for `pool` until `deadline`. The pool makes these; you need it only to test a
    /// backend.
    #[must_use]
    pub fn new(runner: NodeId, pool: impl Into<Arc<str>>, ticket: Ticket, deadline: Instant) -> Self {
        let (resources, drain) = (Resources::default(), Duration::from_secs(30));
        Self { runner, pool: pool.into(), ticket, deadline, resources, drain }
    }
}
