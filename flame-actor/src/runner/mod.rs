//! The runner's side: "am I a runner?", and serving the parent until it is over.

pub(crate) mod guard;
pub(crate) mod logs;
pub(crate) mod session;

use std::{
    io,
    pin::Pin,
    process,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use flame_transport::NodeId;
use tokio::task::JoinHandle;

pub use guard::RoleError;
pub use logs::ForwardLayer;
pub use session::ServeError;

// Only for the tests of this crate that need real processes; an app's role line is made from it.
#[doc(hidden)]
pub use guard::{Claimed, Guard, claim};

use crate::{host, node::Threads};

/// Asks whether this process is a runner. **The first line of `main` in every app that has pools of the process
/// backend**, before anything reads standard input or starts a thread.
///
/// In the parent it is `None`. In a runner it is what serves the parent: start what the app's actors need, leave out
/// what only the parent does (the web server), and [`serve`](Runner::serve).
///
/// A process that was started as a runner and cannot be one says why on standard error and exits with code 70.
///
/// # Examples
///
/// ```no_run
/// #[actix::main]
/// async fn main() {
///     if let Some(runner) = flame_actor::runner() {
///         return runner.serve().await;
///     }
///     // The parent goes on here.
/// }
/// ```
#[must_use = "a runner has to serve"]
pub fn runner() -> Option<Runner> {
    match claim() {
        Ok(claimed) => claimed.map(|claimed| Runner { claimed, arbiters: None }),
        Err(error) => {
            eprintln!("this process cannot be a runner: {error}");
            process::exit(EXIT_NO_ROLE);
        }
    }
}

/// A process that is a runner, before it serves.
#[derive(Debug)]
#[must_use = "a runner has to serve"]
pub struct Runner {
    claimed: Claimed,
    arbiters: Option<usize>,
}

impl Runner {
    /// The name of the pool that this runner is for.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.claimed.ticket.pool
    }

    /// Who this runner is.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.claimed.ticket.invitation.node
    }

    /// Joins the parent and hosts what it places here, until it is told to go, or the parent is lost. Runs on threads of
    /// its own, in whatever runtime it is awaited.
    ///
    /// Where the app has set no `tracing` subscriber, events go to the parent's log; an app that sets one adds
    /// [`ForwardLayer`] to it.
    ///
    /// A runner that cannot join says why on standard error and exits with code 71. After the parent is lost the
    /// process ends within 5 seconds, whatever its `main` does.
    pub async fn serve(self) {
        let node = self.node().clone();
        let threads = match Threads::start(node.name(), self.arbiters.unwrap_or_else(work_arbiters)) {
            Ok(threads) => Arc::new(threads),
            Err(error) => fail(&ServeError::Threads(error)),
        };
        logs::install();
        // Not in the app's runtime: what blocks that must not keep the runner from going.
        let network = threads.network().clone();
        let session = session::run(threads, self.claimed.ticket, session::Place::Process);
        let session = Abort(network.spawn(session));
        let outcome = session.await;
        // Whatever the app's `main` does after this, and whatever blocks an arbiter, must not keep a runner that has no
        // parent.
        let _ = thread::Builder::new().name("flame-exit".into()).spawn(|| {
            thread::sleep(LAST_WORDS);
            process::exit(EXIT_STUCK);
        });
        if let Err(error) = outcome {
            fail(&error);
        }
    }

    /// How many arbiters, each a thread, share the actors and tasks that are placed here. Default: one for each CPU.
    /// At least 1.
    pub fn arbiters(mut self, arbiters: usize) -> Self {
        self.arbiters = Some(arbiters.max(1));
        self
    }
}

/// A session that ends with whoever awaits it.
struct Abort(JoinHandle<Result<session::Ended, ServeError>>);

impl Future for Abort {
    type Output = Result<session::Ended, ServeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|error| Err(ServeError::Threads(io::Error::other(error)))))
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The runner that the calling code runs on: its name is that of the pool and a number. `None` in the parent, and, with the
/// in-process backend, on threads that the user's code started itself.
#[must_use]
pub fn current_runner() -> Option<NodeId> {
    host::here().map(|host| host.node().clone())
}

/// One arbiter for each CPU.
pub(crate) fn work_arbiters() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

const EXIT_NO_ROLE: i32 = 70;
const EXIT_NOT_JOINED: i32 = 71;
const EXIT_STUCK: i32 = 72;

/// How long `main` may take after the runner has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

fn fail(error: &ServeError) -> ! {
    eprintln!("the runner could not serve: {error}");
    process::exit(EXIT_NOT_JOINED);
}
