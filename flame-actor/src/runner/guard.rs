//! Tells whether this process is a runner, and ends a runner whose parent is lost.
//!
//! A runner is recognised by its standard input. Its parent writes the ticket into a pipe, names that pipe (by its
//! inode, a public fact) in [`RUNNER_VARIABLE`], and gives it to the runner as standard input. The runner takes the
//! pipe away from standard input, so that a copy of the app that the runner itself starts inherits the variable but
//! not the pipe, and is no runner. Parent ids would not do: a parent that died a moment ago, or a command such as
//! `strace` in between, changes them, and the orphan would go on as a second parent.
//!
//! The pipe then stays open as the sign of life. Its end is seen by a thread of its own, which no busy arbiter can
//! hold up, and which ends the whole process group, because what the runner started (ffmpeg) must not outlive it
//! either.
//!
//! A runner on another machine has no such pipe. Its variable names a file that holds the ticket, and a mark: a name
//! in the machine's (or pod's) list of local sockets, that the runner takes and keeps, so that a copy of the app that the
//! runner starts finds it taken and is no runner. Such a runner ends when its link is lost.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use flame_transport::NodeId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::FileType,
    io::Errno,
    process::{self, Pid, Signal},
};

use crate::backend::{Ticket, TicketError};

/// The environment variable that tells a copy of the app that it was started as a runner. Holds no secret.
pub const RUNNER_VARIABLE: &str = "FLAME_RUNNER";

/// The value of [`RUNNER_VARIABLE`] that makes the app read a ticket from standard input, which must be a pipe or a
/// socket. For backends outside this crate.
pub const RUNNER_ON_STDIN: &str = "stdin:1";

/// The value of [`RUNNER_VARIABLE`] that makes the app read its ticket from the file at `path`, which holds
/// [`Ticket::encode`] and which only `runner` may read. It may come up to 20 seconds late. For backends outside this
/// crate.
#[must_use]
pub fn runner_in_file(runner: &NodeId, path: &str) -> String {
    format!("file:1:{}-{:016x}:{path}", runner.name(), runner.incarnation())
}

/// How long a runner waits for the file with its ticket.
const FILE_PATIENCE: Duration = Duration::from_secs(20);

/// From this generation on no process boots runners. The first parent is generation 0, its runners are 1; an app that
/// a runner starts may have runners of its own, and that is the end of it.
pub(crate) const MAX_GENERATION: u32 = 2;

/// What a runner got from its parent, and the guard that ends it when the parent is lost.
#[derive(Debug)]
pub struct Claimed {
    /// What the runner needs to join.
    pub ticket: Ticket,
    /// Tells of the parent's loss. Dropping it changes nothing: the process ends with its parent in any case.
    pub guard: Guard,
}

/// A handle to the thread that ends this process when its parent is lost.
#[derive(Clone)]
pub struct Guard(Arc<Mutex<Farewell>>);

impl Guard {
    /// How long what was given to [`Guard::on_parent_lost`] may take: 2 seconds. Then the process group is killed.
    pub const GRACE: Duration = Duration::from_secs(2);

    /// Lets `farewell` run, on a thread of its own, between the parent's loss and the end of this process. It has
    /// [`Guard::GRACE`]; the process ends as soon as it returns. Replaces what was given before. If the parent is
    /// lost already, `farewell` never runs.
    pub fn on_parent_lost(&self, farewell: impl FnOnce() + Send + 'static) {
        lock(&self.0).0 = Some(Box::new(farewell));
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

/// Asks whether this process is a runner. `None` says that it is not: it is a parent, or an app without runners.
///
/// Must run before anything reads standard input or starts a process, so first in `main`. In a parent it may be asked
/// again; a runner's ticket is given out once. Blocks until the ticket is read, which the parent wrote before it
/// started this process.
///
/// # Errors
///
/// A runner that cannot read its ticket, or cannot be guarded, must not go on: end the process.
pub fn claim() -> Result<Option<Claimed>, RoleError> {
    let mut role = lock(&ROLE);
    match *role {
        Some(Role::Parent) => return Ok(None),
        Some(Role::Runner) => return Err(RoleError::AlreadyClaimed),
        None => {}
    }
    let call = match Call::from_environment()? {
        Some(call) if call.is_for_this_process()? => call,
        _ => {
            *role = Some(Role::Parent);
            return Ok(None);
        }
    };
    // Before anything can fail: whatever becomes of this process, it was started as a runner and boots none.
    *role = Some(Role::Runner);
    drop(role);
    call.answer().map(Some)
}

/// Why a process that was started as a runner cannot be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The variable that tells the role has a value that this build does not know.
    #[error(
        "the environment variable {RUNNER_VARIABLE} is set to {value:?}, which no parent of this build sets; unset it"
    )]
    Variable {
        /// What it is set to, cut to 100 characters.
        value: String,
    },
    /// The ticket could not be read. The usual cause is a parent that ended while it booted this runner.
    #[error("this process was started as a runner and got no ticket")]
    Ticket(#[from] TicketError),
    /// The ticket was given out before: the role is asked for once in a runner, first in `main`.
    #[error("this runner's role was asked for twice; ask once, first in `main`, and pass the answer on")]
    AlreadyClaimed,
    /// The guard that ends this process with its parent could not be set up, so the runner must not start.
    #[error("this process was started as a runner and cannot set up the {what} that ends it with its parent")]
    Guard {
        /// What could not be set up.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What is known of this process's role, for the backends' guard against booting copies without end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Whether the role was asked for.
    pub(crate) asked: bool,
    /// Whether this process was started as a runner.
    pub(crate) runner: bool,
    /// How many runners stand above this process: 0 in an ordinary parent.
    pub(crate) generation: u32,
}

/// See [`Standing`]. Never asks the role.
pub(crate) fn standing() -> Standing {
    let role = *lock(&ROLE);
    let generation = match Call::from_environment() {
        Ok(call) => call.map_or(0, |call| call.generation),
        Err(_) => MAX_GENERATION,
    };
    Standing { asked: role.is_some(), runner: role == Some(Role::Runner), generation }
}

/// The value of [`RUNNER_VARIABLE`] for a child of this process whose standard input will be `stdin`, a pipe.
pub(crate) fn variable_for(stdin: impl AsFd, generation: u32) -> io::Result<String> {
    let parent = process::getpid();
    let pipe = rustix::fs::fstat(stdin)?.st_ino;
    Ok(format!("process:{parent}:{pipe}:{generation}"))
}

// A process has one role from its start to its end, however many parents and pools live in it.
static ROLE: Mutex<Option<Role>> = Mutex::new(None);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Parent,
    Runner,
}

/// What the environment says.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    kind: Kind,
    generation: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Started by this crate's process backend, in a process group of its own, with this pipe as standard input.
    Process { pipe: u64 },
    /// Started by a foreign backend, with a pipe.
    Stdin,
    /// Started by a foreign backend, with its ticket in a file. One process can take the mark.
    File { mark: String, path: PathBuf },
}

impl Call {
    fn from_environment() -> Result<Option<Self>, RoleError> {
        match env::var_os(RUNNER_VARIABLE) {
            Some(value) if !value.is_empty() => Self::parse(&value).map(Some),
            _ => Ok(None),
        }
    }

    fn parse(value: &OsStr) -> Result<Self, RoleError> {
        let text = value.to_str().unwrap_or_default();
        let wrong = || RoleError::Variable { value: value.to_string_lossy().chars().take(100).collect() };
        if let Some(file) = text.strip_prefix("file:") {
            return Self::parse_file(file).ok_or_else(wrong);
        }
        let mut parts = text.split(':');
        let call = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("process"), Some(parent), Some(pipe), Some(generation), None) => parent
                .parse::<u32>()
                .ok()
                .zip(pipe.parse().ok())
                .zip(generation.parse().ok())
                .map(|((_, pipe), generation)| Self { kind: Kind::Process { pipe }, generation }),
            (Some("stdin"), Some(generation), None, None, None) => {
                generation.parse().ok().map(|generation| Self { kind: Kind::Stdin, generation })
            }
            _ => None,
        };
        call.ok_or_else(wrong)
    }

    fn parse_file(text: &str) -> Option<Self> {
        let (generation, text) = text.split_once(':')?;
        let (mark, path) = text.split_once(':')?;
        let well_formed = !mark.is_empty() && mark.len() <= MAX_MARK && path.starts_with('/');
        let kind = Kind::File { mark: mark.to_owned(), path: PathBuf::from(path) };
        Some(Self { kind, generation: generation.parse().ok()? }).filter(|_| well_formed)
    }

    fn is_for_this_process(&self) -> Result<bool, RoleError> {
        let stdin = || {
            let stdin = rustix::fs::fstat(rustix::stdio::stdin()).ok()?;
            Some((FileType::from_raw_mode(stdin.st_mode), stdin.st_ino))
        };
        match &self.kind {
            Kind::Process { pipe } => Ok(stdin().is_some_and(|stdin| stdin == (FileType::Fifo, *pipe))),
            Kind::Stdin => {
                Ok(stdin().is_some_and(|(kind, _)| matches!(kind, FileType::Fifo | FileType::Socket)))
            }
            Kind::File { mark, .. } => take_mark(mark).map_err(failed("mark")),
        }
    }

    /// Reads the ticket and starts the guard.
    fn answer(self) -> Result<Claimed, RoleError> {
        if let Kind::File { path, .. } = &self.kind {
            let ticket = read_file(path, FILE_PATIENCE)?;
            return Ok(Claimed { ticket, guard: Guard(Arc::new(Mutex::new(Farewell(None)))) });
        }
        let parent = process::getppid();
        wake_when_the_parent_ends()?;
        let mut pipe = File::from(take_stdin().map_err(failed("pipe"))?);
        let ticket = Ticket::read(&mut pipe)?;
        let farewell = Arc::new(Mutex::new(Farewell(None)));
        let watch = Watch {
            pipe,
            parent,
            // The process backend starts each runner in a group of its own; of a foreign one that is not known, and
            // the group may be the parent's.
            whole_group: matches!(self.kind, Kind::Process { .. }) || process::getpgrp() == process::getpid(),
            farewell: Arc::clone(&farewell),
        };
        thread::Builder::new()
            .name("flame-guard".into())
            .spawn(move || watch.run())
            .map_err(failed("thread"))?;
        Ok(Claimed { ticket, guard: Guard(farewell) })
    }
}

/// The longest mark: with the prefix, what fits into the address of a local socket.
const MAX_MARK: usize = 90;

/// Takes a mark for the rest of this process's life; false if another process has it.
fn take_mark(mark: &str) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};

        static MARKS: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
        let address = SocketAddr::from_abstract_name(format!("flame-runner-{mark}"))?;
        match UnixDatagram::bind_addr(&address) {
            Ok(socket) => lock(&MARKS).push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    // Elsewhere no runner starts a copy of its app without clearing the variable.
    let _ = mark;
    Ok(true)
}

/// Reads the ticket in a file, which may not be there yet: a volume can be filled after the container has started.
fn read_file(path: &Path, patience: Duration) -> Result<Ticket, TicketError> {
    // What fills the volume does so from another mount namespace, where nothing that this process can wait on is
    // certain to tell of it.
    const LOOK: Duration = Duration::from_millis(50);
    let began = Instant::now();
    loop {
        match std::fs::read(path) {
            Ok(bytes) => return Ticket::decode(&bytes),
            Err(source) if began.elapsed() >= patience => {
                return Err(TicketError::NoFile { path: path.to_owned(), waited: patience, source });
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// A runner that was stopped (SIGSTOP) cannot see that its parent is gone, so the kernel wakes it then. SIGCONT and
/// not SIGKILL: that would end this process alone, often before the guard saw the end of the pipe, and leave the rest
/// of its group behind.
fn wake_when_the_parent_ends() -> Result<(), RoleError> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    process::set_parent_process_death_signal(Some(Signal::CONT))
        .map_err(|errno| failed("parent-death signal")(errno.into()))?;
    Ok(())
}

/// Moves the pipe to a descriptor that no child inherits, and puts the empty file in its place.
fn take_stdin() -> io::Result<OwnedFd> {
    const ABOVE_STDERR: i32 = 3;
    let pipe = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), ABOVE_STDERR)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(pipe)
}

/// What the guard's thread owns.
struct Watch {
    pipe: File,
    parent: Option<Pid>,
    whole_group: bool,
    farewell: Arc<Mutex<Farewell>>,
}

impl Watch {
    fn run(self) {
        self.until_the_parent_is_lost();
        self.say_farewell();
        if self.whole_group {
            // Includes this process.
            let _ = process::kill_current_process_group(Signal::KILL);
        }
        let _ = process::kill_process(process::getpid(), Signal::KILL);
        std::process::abort();
    }

    fn until_the_parent_is_lost(&self) {
        // The pipe tells at once. The parent's id is looked at beside it for the case that some other process, a fork
        // of the parent, holds the pipe's other end too.
        const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
        loop {
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => match rustix::io::read(&self.pipe, &mut [0; 64]) {
                    Ok(0) => return,
                    // Nothing is said on the pipe after the ticket; what comes is passed over.
                    Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(_) => return,
                },
                Err(_) => return,
            }
            if process::getppid() != self.parent {
                return;
            }
        }
    }

    fn say_farewell(&self) {
        let Some(farewell) = lock(&self.farewell).0.take() else { return };
        let (done, finished) = mpsc::sync_channel::<()>(0);
        let started = thread::Builder::new().name("flame-farewell".into()).spawn(move || {
            // Dropped at the end, also by a panic, which ends the wait below.
            let _done = done;
            farewell();
        });
        if started.is_ok() {
            let _ = finished.recv_timeout(Guard::GRACE);
        }
    }
}

struct Farewell(Option<Box<dyn FnOnce() + Send>>);

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> RoleError {
    move |source| RoleError::Guard { what, source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_that_a_parent_sets_is_understood_by_its_runner() {
        let (pipe, _other_end) = io::pipe().unwrap();
        let value = variable_for(&pipe, 1).unwrap();
        let ino = rustix::fs::fstat(&pipe).unwrap().st_ino;
        assert_eq!(
            Call::parse(value.as_ref()).unwrap(),
            Call { kind: Kind::Process { pipe: ino }, generation: 1 }
        );
        let runner = NodeId::from_parts("thumbs-1", 7).unwrap();
        let kind = Kind::File { mark: "thumbs-1-0000000000000007".into(), path: "/run/ticket:1".into() };
        assert_eq!(
            Call::parse(runner_in_file(&runner, "/run/ticket:1").as_ref()).unwrap(),
            Call { kind, generation: 1 }
        );
        let longest = NodeId::new(&"x".repeat(NodeId::MAX_NAME)).unwrap();
        assert!(Call::parse(runner_in_file(&longest, "/t").as_ref()).is_ok());
        assert_eq!(Call::parse(RUNNER_ON_STDIN.as_ref()).unwrap(), Call { kind: Kind::Stdin, generation: 1 });
    }

    #[test]
    fn a_variable_that_no_parent_sets_is_an_error_that_says_what_to_do() {
        for value in [
            "yes",
            "process",
            "process:1:2",
            "process:1:2:3:4",
            "process:a:2:1",
            "stdin",
            "stdin:-1",
            "file:1",
            "file:1:mark:",
            "file:1::/ticket",
            "file:x:mark:/ticket",
            "file:1:mark:relative",
        ] {
            let error = Call::parse(value.as_ref()).unwrap_err();
            assert!(error.to_string().contains(value) && error.to_string().contains("unset it"), "{error}");
        }
        let RoleError::Variable { value } = Call::parse("x".repeat(4096).as_ref()).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(value.len(), 100);
    }

    #[test]
    fn a_variable_that_names_another_pipe_is_not_for_this_process() {
        let (pipe, _other_end) = io::pipe().unwrap();
        let value = variable_for(&pipe, 1).unwrap();
        assert!(!Call::parse(value.as_ref()).unwrap().is_for_this_process().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_copy_that_a_runner_with_a_file_starts_is_no_runner() {
        let runner = NodeId::new("marked").unwrap();
        let call = Call::parse(runner_in_file(&runner, "/nowhere").as_ref()).unwrap();
        assert!(call.is_for_this_process().unwrap(), "the first that asks is the runner");
        assert!(!call.is_for_this_process().unwrap(), "the mark is taken");
        let another = NodeId::new("marked").unwrap();
        let call = Call::parse(runner_in_file(&another, "/nowhere").as_ref()).unwrap();
        assert!(call.is_for_this_process().unwrap(), "another life of the name has another mark");
    }

    #[test]
    fn a_ticket_that_comes_late_as_a_file_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ticket");
        let (parent, node) = (NodeId::new("parent").unwrap(), NodeId::new("thumbs-1").unwrap());
        let valid_for = Duration::from_secs(60);
        let credentials =
            flame_transport::Authority::new().unwrap().issue(&parent, &node, valid_for).unwrap();
        let invitation =
            flame_transport::Invitation { addresses: Vec::new(), parent, node, credentials, valid_for };
        let ticket = Ticket::new(invitation, "thumbs", flame_transport::LinkConfig::default());
        let reader = thread::spawn({
            let path = path.clone();
            move || read_file(&path, FILE_PATIENCE)
        });
        std::fs::write(dir.path().join("new"), ticket.encode().unwrap()).unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(reader.join().unwrap().unwrap().pool, "thumbs");
        std::fs::write(&path, "no ticket").unwrap();
        assert!(matches!(read_file(&path, FILE_PATIENCE), Err(TicketError::Malformed(_))));
    }

    #[test]
    fn a_ticket_that_never_comes_is_an_error_in_time() {
        let path = Path::new("/nonexistent/ticket");
        let error = read_file(path, Duration::from_millis(60)).unwrap_err();
        assert!(matches!(&error, TicketError::NoFile { .. }));
        assert!(error.to_string().contains("/nonexistent/ticket"), "{error}");
    }
}
