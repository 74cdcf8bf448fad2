//! Runners as child processes of this process: the default backend.
//!
//! # What a runner process is
//!
//! - A copy of the running executable, also if the file was rebuilt or removed meanwhile (on Linux), or the command
//!   that you name. It inherits the environment and the working directory, not the arguments.
//! - Its ticket comes over a pipe that was filled before it started, and that then stays open as the sign of this
//!   process's life. Nothing secret is in its arguments or its environment.
//! - It leads a process group of its own, so a terminal's Ctrl-C reaches this process alone. When the runner ends,
//!   however it ends, what is left of its group (an ffmpeg that it started) is killed.
//! - It ends within 5 seconds of this process, also if that was killed.
//! - What it prints goes line by line into `tracing` (target [`LOG_TARGET`], fields `runner`, `pool`, `pid` and
//!   `stream`) and into [`Instance::log_tail`], never to this process's standard output.

mod group;
mod instance;
mod lines;
mod oom;
mod spawner;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use super::{Backend, Boot, BootError, BoxFuture, Instance, admission};

/// The `tracing` target of the lines that runners print.
pub const LOG_TARGET: &str = "flame::runner";

/// Boots runners as child processes. See the [module](self) for what such a process is.
///
/// A value is only a recipe: it holds no process, and any number of pools may use one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use flame_actor::backend::ProcessBackend;
///
/// let backend = ProcessBackend::new().env("RUST_BACKTRACE", "1").grace(Duration::from_secs(10));
/// # let _ = backend;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ProcessBackend {
    recipe: Arc<Recipe>,
}

impl ProcessBackend {
    /// Runners are copies of the running executable, without arguments.
    pub fn new() -> Self {
        Self::with_program(None)
    }

    /// Runners are started by another command: the app's own path in a test, or one that prepares something and then
    /// becomes the app (`nice app`). The command must hand its standard input on to the app.
    pub fn command(program: impl Into<PathBuf>) -> Self {
        Self::with_program(Some(program.into()))
    }

    /// Adds an argument. None are given by default: in a runner the role line comes before the arguments matter.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Adds arguments, as [`ProcessBackend::arg`] does. They can be read by every user of the machine.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.change().args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable in the runners, over what they inherit from this process.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.change().envs.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// How long a runner that is terminated has between SIGTERM and SIGKILL. 3 seconds by default; keep it under the
    /// pool's `terminate_timeout`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.change().grace = grace;
        self
    }

    /// How many of its last lines [`Instance::log_tail`] keeps of each runner. 64 by default, of at most 8 KiB each;
    /// longer lines are cut into several.
    pub fn log_tail(mut self, lines: usize) -> Self {
        self.change().tail = lines;
        self
    }

    fn with_program(program: Option<PathBuf>) -> Self {
        Self {
            recipe: Arc::new(Recipe {
                program,
                args: Vec::new(),
                envs: Vec::new(),
                grace: Duration::from_secs(3),
                tail: 64,
            }),
        }
    }

    fn change(&mut self) -> &mut Recipe {
        Arc::make_mut(&mut self.recipe)
    }
}

impl Default for ProcessBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for ProcessBackend {
    fn name(&self) -> &str {
        "process"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let recipe = Arc::clone(&self.recipe);
        Box::pin(async move {
            let generation = admission::check(recipe.program.is_none())?;
            let spawner = spawner::handle()?;
            // If this future is dropped meanwhile, so is the instance that the task returns, and that ends the
            // process.
            let started = spawner.spawn(async move { instance::start(&recipe, &boot, generation) });
            match started.await {
                Ok(Ok(instance)) => Ok(instance as Arc<dyn Instance>),
                Ok(Err(error)) => Err(error),
                Err(ended) => Err(BootError::other(ended)),
            }
        })
    }
}

/// How a runner's process is made.
#[derive(Debug, Clone)]
struct Recipe {
    program: Option<PathBuf>,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    grace: Duration,
    tail: usize,
}

impl Recipe {
    /// The path to start, and the command with what the user chose.
    fn command(&self) -> Result<(PathBuf, Command), BootError> {
        let path = match &self.program {
            Some(program) => program.clone(),
            None => running_executable()?,
        };
        let mut command = Command::new(&path);
        command.args(&self.args).envs(self.envs.iter().map(|(key, value)| (key, value)));
        #[cfg(unix)]
        if self.program.is_none()
            && let Some(name) = std::env::args_os().next()
        {
            // Otherwise `ps` would list runners by the path of the link below.
            std::os::unix::process::CommandExt::arg0(&mut command, name);
        }
        Ok((path, command))
    }
}

/// On Linux the link that still leads to the running executable after the file was replaced or removed; the child
/// resolves it before it has become another program, so `self` is this executable.
fn running_executable() -> Result<PathBuf, BootError> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe()
        .map_err(|source| BootError::Spawn { path: PathBuf::from("the running executable"), source })
}
