//! What the tests share: booting, waiting for events, and looking at processes from outside.

use std::{
    fs,
    future::Future,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use flame_actor::backend::{
    Backend, Boot, BootError, ExitReason, Instance, ProcessBackend, Ticket, process::LOG_TARGET,
};
use flame_transport::{Credentials, Invitation, LinkConfig, NodeId};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt};

use crate::actors::MARK;

/// Part of every ticket's secret.
pub(crate) const SECRET: &str = "squeamish-ossifrage";

/// Long enough for a busy machine, short enough for a test that fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn this_executable() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A backend whose runners are this executable, acting as `actor`.
pub(crate) fn runner(actor: &[&str]) -> ProcessBackend {
    ProcessBackend::command(this_executable()).arg(MARK).args(actor)
}

pub(crate) fn order() -> Boot {
    let node = NodeId::new("thumbs-1").unwrap();
    Boot::new(node, "thumbs", ticket(SECRET.as_bytes().to_vec()), Instant::now() + LONG)
}

/// A ticket with this private key.
pub(crate) fn ticket(key: Vec<u8>) -> Ticket {
    let invitation = Invitation {
        addresses: Vec::new(),
        parent: NodeId::new("parent").unwrap(),
        node: NodeId::new("thumbs-1").unwrap(),
        credentials: Credentials::from_der(Vec::new(), Vec::new(), key),
        valid_for: LONG,
    };
    Ticket::new(invitation, "thumbs", LinkConfig::default())
}

pub(crate) fn boot(backend: &ProcessBackend) -> Arc<dyn Instance> {
    wait(backend.boot(order())).unwrap()
}

pub(crate) fn boot_error(backend: &ProcessBackend) -> BootError {
    wait(backend.boot(order())).expect_err("it must not boot")
}

pub(crate) fn exit_of(instance: &Arc<dyn Instance>) -> ExitReason {
    wait(instance.exited())
}

/// Waits on a runtime of its own: nothing of the backend may need the caller's.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("took too long") })
}

/// Another process of this executable.
pub(crate) fn start(actor: &[&str]) -> Child {
    Command::new(this_executable())
        .arg(MARK)
        .args(actor)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whether the process ends within that time.
pub(crate) fn gone_within(pid: u32, time: Duration) -> bool {
    let Ok(pidfd) = pidfd_open(to_pid(pid), PidfdFlags::empty()) else { return true };
    let time = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time)).unwrap() > 0
}

pub(crate) fn is_alive(pid: u32) -> bool {
    !gone_within(pid, Duration::ZERO)
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(to_pid(pid), signal).unwrap();
}

pub(crate) fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

pub(crate) fn proc_file(pid: u32, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap()).replace('\0', " ")
}

/// A line that a runner printed, as the app's log shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) pid: u64,
    pub(crate) runner: String,
    pub(crate) pool: String,
    pub(crate) stream: String,
    pub(crate) text: String,
}

static LOG: (Mutex<Vec<Line>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

/// Lets [`log_line`] see what the backend logs.
pub(crate) fn capture_logs() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Capture)).unwrap();
}

/// The rest of the first line of this runner in the log that begins so, once it is there.
pub(crate) fn log_line(instance: &Arc<dyn Instance>, beginning: &str) -> String {
    let line = log_line_of(instance.pid().unwrap(), beginning);
    line.text[beginning.len()..].trim().to_owned()
}

pub(crate) fn log_line_of(pid: u32, beginning: &str) -> Line {
    let deadline = Instant::now() + LONG;
    let mut log = LOG.0.lock().unwrap();
    loop {
        let of_pid = |line: &&Line| line.pid == u64::from(pid);
        if let Some(line) = log.iter().filter(of_pid).find(|line| line.text.starts_with(beginning)) {
            return line.clone();
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            panic!("{beginning:?} never came; there is {:?}", log.iter().filter(of_pid).collect::<Vec<_>>());
        }
        log = LOG.1.wait_timeout(log, left).unwrap().0;
    }
}

struct Capture;

impl<S: tracing::Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == LOG_TARGET {
            let mut line = Line::default();
            event.record(&mut line);
            LOG.0.lock().unwrap().push(line);
            LOG.1.notify_all();
        }
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "pid" {
            self.pid = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "stream" {
            self.stream = value.into();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.text = value,
            "runner" => self.runner = value,
            "pool" => self.pool = value,
            _ => {}
        }
    }
}
