//! A CPU for each process, kept awake.

use std::{
    env, io,
    os::unix::process::parent_id,
    process::{Child, Command},
    thread,
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// The caller's CPU.
pub(crate) const CALLER: usize = 0;
/// The CPU of the other end.
pub(crate) const CALLEE: usize = 1;

/// The argument that makes this executable spin.
pub(crate) const SPINNER: &str = "spin";

/// Set in the processes of pinned systems.
const PINNED: &str = "FLAME_BENCH_PINNED";

/// Has the processes that `command` starts take places of their own.
pub(crate) fn pin(command: &mut Command) {
    command.env(PINNED, "1");
}

/// Moves this process, which has one thread yet, to its CPU, if CPUs are given out.
pub(crate) fn take_place(cpu: usize) {
    if env::var_os(PINNED).is_some() {
        go_to(cpu).expect("a CPU of its own: pinned mode needs two");
    }
}

fn go_to(cpu: usize) -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(None, &cpus)?)
}

/// Keeps the CPUs awake while nobody else uses them: a virtual CPU that halts takes long to come back.
pub(crate) struct Spinners(Vec<Child>);

impl Spinners {
    pub(crate) fn start() -> Self {
        let spinner = |cpu: usize| {
            Command::new("chrt")
                .args(["--idle", "0"])
                .arg(env::current_exe().expect("this executable"))
                .args([SPINNER, &cpu.to_string()])
                .spawn()
                .expect("chrt, of util-linux")
        };
        Self([CALLER, CALLEE].map(spinner).into())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}

/// Spins until whoever started this has gone.
pub(crate) fn spin(cpu: &str) {
    go_to(cpu.parse().expect("a CPU's number")).expect("a CPU");
    let parent = parent_id();
    while parent_id() == parent {
        for _ in 0..1_000_000 {
            std::hint::spin_loop();
        }
        thread::yield_now();
    }
}
