//! One runner process: its start, its watch and its end.

use std::{
    fmt, io,
    io::{PipeWriter, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{fs::OFlags, process::Signal};
use tokio::{
    process::{ChildStderr, ChildStdout},
    sync::{Notify, oneshot, watch},
};

use super::{
    Recipe,
    group::Group,
    lines::{Output, Sink, Tail},
    oom,
};
use crate::{
    backend::{Boot, BootError, BoxFuture, ExitReason, Instance, TicketError},
    runner::guard::{RUNNER_VARIABLE, variable_for},
};

/// Starts a runner's process. Runs on the spawning thread, in its runtime.
pub(super) fn start(
    recipe: &Recipe,
    boot: &Boot,
    generation: u32,
) -> Result<Arc<ProcessInstance>, BootError> {
    if Instant::now() >= boot.deadline {
        return Err(BootError::DeadlinePassed);
    }
    let (stdin, liveness) = io::pipe().map_err(no("pipe"))?;
    fill(&liveness, &boot.ticket.to_stdin()?)?;
    let variable = variable_for(&stdin, generation).map_err(no("pipe"))?;
    // Before the process, so that no process is left without somebody who reaps it.
    let waiter = Waiter::new()?;
    let (path, mut command) = recipe.command()?;
    let mut child = command
        .env(RUNNER_VARIABLE, variable)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| BootError::Spawn { path, source })?;
    let oom_kills = oom::kills();

    let pid = child.id();
    let group = Arc::new(Group::of(&child));
    let pipes = (child.stdout.take(), child.stderr.take());
    let exit = waiter.wait_for(child, Arc::clone(&group));
    let (Some(stdout), Some(stderr)) = pipes else {
        group.kill();
        return Err(no("output pipe")(io::ErrorKind::NotFound.into()));
    };
    let (stdout, stderr) = match (ChildStdout::from_std(stdout), ChildStderr::from_std(stderr)) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        (Err(source), _) | (_, Err(source)) => {
            group.kill();
            return Err(no("output pipe")(source));
        }
    };
    let sink = Arc::new(Sink {
        runner: boot.runner.clone(),
        pool: Arc::clone(&boot.pool),
        pid,
        tail: Tail::new(recipe.tail),
        starved: AtomicBool::new(false),
    });
    let (publish, reason) = watch::channel(None);
    let ending = Arc::new(Notify::new());
    let watcher = Watcher {
        sink: Arc::clone(&sink),
        stdout: Output::new(stdout, "stdout", Arc::clone(&sink)),
        stderr: Output::new(stderr, "stderr", Arc::clone(&sink)),
        exit,
        ending: Arc::clone(&ending),
        grace: recipe.grace,
        group: Arc::clone(&group),
        oom_kills,
        publish,
        _liveness: liveness,
    };
    tokio::spawn(watcher.run());
    tracing::debug!(runner = %boot.runner, pool = %boot.pool, pid, "runner process started");
    Ok(Arc::new(ProcessInstance { sink, group, reason, ending, asked: AtomicBool::new(false) }))
}

/// A runner process, as the pool holds it.
pub(super) struct ProcessInstance {
    sink: Arc<Sink>,
    group: Arc<Group>,
    reason: watch::Receiver<Option<ExitReason>>,
    ending: Arc<Notify>,
    asked: AtomicBool,
}

impl Instance for ProcessInstance {
    fn describe(&self) -> String {
        format!("process {}", self.sink.pid)
    }

    fn pid(&self) -> Option<u32> {
        Some(self.sink.pid)
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let mut reason = self.reason.clone();
        Box::pin(async move {
            match reason.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(reason)) => reason.clone(),
                _ => ExitReason::Unknown { detail: "its watcher ended before it".into() },
            }
        })
    }

    fn terminate(&self) {
        if !self.asked.swap(true, Ordering::Relaxed) {
            self.group.ask_leader();
            self.ending.notify_one();
        }
    }

    fn kill(&self) {
        self.group.kill();
    }

    fn log_tail(&self) -> Vec<String> {
        self.sink.tail.lines()
    }
}

impl Drop for ProcessInstance {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for ProcessInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessInstance")
            .field("runner", &self.sink.runner)
            .field("pid", &self.sink.pid)
            .field("exited", &*self.reason.borrow())
            .finish_non_exhaustive()
    }
}

/// Follows a runner process to its end, on the spawning thread.
struct Watcher {
    sink: Arc<Sink>,
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
    ending: Arc<Notify>,
    grace: Duration,
    group: Arc<Group>,
    oom_kills: Option<u64>,
    publish: watch::Sender<Option<ExitReason>>,
    /// While it is open the runner knows that this process lives.
    _liveness: PipeWriter,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Only alive if the watch broke off: the app's `tracing` subscriber panicked. Nobody would see its end.
        self.group.kill();
    }
}

impl Watcher {
    async fn run(mut self) {
        let status = self.until_exit().await;
        // The last words are in the tail before anyone is told of the end. They are there: the writers are gone.
        self.stdout.take_the_rest();
        self.stderr.take_the_rest();
        self.publish.send_replace(Some(self.reason(status)));
    }

    async fn until_exit(&mut self) -> io::Result<ExitStatus> {
        let grace_over = end_of_grace(&self.ending, self.grace);
        tokio::pin!(grace_over);
        let mut killed = false;
        loop {
            tokio::select! {
                status = &mut self.exit => return status.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
                () = self.stdout.take(), if self.stdout.is_open() => {}
                () = self.stderr.take(), if self.stderr.is_open() => {}
                () = &mut grace_over, if !killed => {
                    killed = true;
                    self.group.kill();
                }
            }
        }
    }

    fn reason(&self, status: io::Result<ExitStatus>) -> ExitReason {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                return ExitReason::Unknown { detail: format!("its exit status was not to be had: {error}") };
            }
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => ExitReason::Exited { code },
            (None, Some(signal)) if signal == Signal::KILL.as_raw() && self.was_killed_for_memory() => {
                ExitReason::OutOfMemory
            }
            (None, Some(signal)) if signal == Signal::ABORT.as_raw() && self.got_no_memory() => {
                ExitReason::OutOfMemory
            }
            (None, Some(signal)) => ExitReason::Signaled { signal, core: status.core_dumped() },
            (None, None) => ExitReason::Unknown { detail: status.to_string() },
        }
    }

    fn got_no_memory(&self) -> bool {
        self.sink.starved.load(Ordering::Relaxed)
    }

    fn was_killed_for_memory(&self) -> bool {
        let before_and_now = self.oom_kills.zip(oom::kills());
        !self.group.was_killed_by_us() && before_and_now.is_some_and(|(before, now)| now > before)
    }
}

/// Done when the grace of a runner that was asked to end is over; never for one that was not asked.
async fn end_of_grace(ending: &Notify, grace: Duration) {
    ending.notified().await;
    tokio::time::sleep(grace).await;
}

/// A thread that waits for one process, made before the process is.
///
/// A blocked thread sees the end at once on every Unix and in every sandbox, without a handler for SIGCHLD: the
/// signals are the app's.
struct Waiter {
    child: mpsc::SyncSender<(std::process::Child, Arc<Group>)>,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Waiter {
    fn new() -> Result<Self, BootError> {
        const STACK: usize = 128 * 1024;
        let (child, start) = mpsc::sync_channel::<(std::process::Child, Arc<Group>)>(1);
        let (end, exit) = oneshot::channel();
        thread::Builder::new()
            .name("flame-wait".into())
            .stack_size(STACK)
            .spawn(move || {
                // Nothing comes if the process could not be started.
                if let Ok((mut child, group)) = start.recv() {
                    let _ = end.send(group.wait(&mut child));
                }
            })
            .map_err(no("waiting thread"))?;
        Ok(Self { child, exit })
    }

    fn wait_for(
        self,
        child: std::process::Child,
        group: Arc<Group>,
    ) -> oneshot::Receiver<io::Result<ExitStatus>> {
        // The thread is waiting for exactly this.
        let _ = self.child.send((child, group));
        self.exit
    }
}

/// Puts the ticket into the pipe before there is a reader. This cannot block, cannot raise SIGPIPE in an app that has
/// restored it (the other end is still ours), and the runner never waits for its ticket.
fn fill(mut pipe: &PipeWriter, ticket: &[u8]) -> Result<(), BootError> {
    rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).map_err(|errno| no("pipe")(errno.into()))?;
    match pipe.write(ticket) {
        Ok(written) if written == ticket.len() => Ok(()),
        // Full: a pipe holds 64 KiB unless this user has very many.
        Ok(_) => Err(TicketError::TooLong { len: ticket.len() }.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(TicketError::TooLong { len: ticket.len() }.into())
        }
        Err(error) => Err(TicketError::Pipe(error).into()),
    }
}

fn no(what: &'static str) -> impl FnOnce(io::Error) -> BootError {
    move |source| BootError::Resources { what, source }
}
