//! Limits of the kernel's: memory, processes, processor time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// What a control group limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Memory, in bytes.
    Memory(u64),
    /// Processes and threads.
    Pids(u32),
    /// Processor time, in percent of one processor.
    Cpu(u32),
}

/// A control group under the test's own, removed when this is dropped. Processes in it must have ended by then.
#[derive(Debug)]
pub struct ControlGroup {
    folder: PathBuf,
    second_version: bool,
}

impl ControlGroup {
    /// A group with a limit.
    ///
    /// # Panics
    ///
    /// Where the machine has no such group that this process may make: what it is for cannot be tested there, and a
    /// test that does not run must not pass. Run as root with cgroups mounted and writable.
    #[must_use]
    pub fn new(limit: Controller) -> Self {
        Self::make(limit).unwrap_or_else(|error| {
            panic!("cannot be tested here: no control group for {limit:?} can be made ({error}); run as root, with cgroups writable")
        })
    }

    /// Moves a process into it, with the threads that it has.
    pub fn take(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// A shell's command that moves the shell, and what it becomes, into it.
    #[must_use]
    pub fn enter(&self) -> String {
        format!("echo $$ > {}", self.folder.join("cgroup.procs").display())
    }

    /// Sets another limit of the same kind.
    pub fn set(&self, limit: Controller) {
        self.limit(limit).unwrap();
    }

    /// Processes and threads in it.
    #[must_use]
    pub fn pids(&self) -> u32 {
        let current = fs::read_to_string(self.folder.join("pids.current")).unwrap();
        current.trim().parse().unwrap()
    }

    fn make(limit: Controller) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("flame-test-{}-{number}", std::process::id());
        let controller = limit.controller();
        let membership = fs::read_to_string("/proc/self/cgroup")?;
        let first = own_group(&membership, controller)
            .map(|own| (Path::new("/sys/fs/cgroup").join(controller), own, false))
            .filter(|(root, ..)| root.exists());
        let second = || own_group(&membership, "").map(|own| (PathBuf::from("/sys/fs/cgroup"), own, true));
        let (root, own, second_version) = first.or_else(second).ok_or(io::ErrorKind::Unsupported)?;
        // In a container the group's path is often not visible, and its own group is mounted as the root.
        let parent = [root.join(own.trim_start_matches('/')), root.clone()];
        let parent = parent.iter().find(|folder| folder.exists()).ok_or(io::ErrorKind::NotFound)?;
        if second_version {
            // May be on already, or be refused because processes are in the group; then the next step fails.
            let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let folder = parent.join(name);
        fs::create_dir(&folder)?;
        let group = Self { folder, second_version };
        group.limit(limit)?;
        Ok(group)
    }

    fn limit(&self, limit: Controller) -> io::Result<()> {
        let settings: Vec<(&str, String)> = match (limit, self.second_version) {
            (Controller::Memory(bytes), false) => vec![("memory.limit_in_bytes", bytes.to_string())],
            (Controller::Memory(bytes), true) => vec![("memory.max", bytes.to_string())],
            (Controller::Pids(most), _) => vec![("pids.max", most.to_string())],
            (Controller::Cpu(percent), false) => {
                vec![
                    ("cpu.cfs_period_us", "100000".into()),
                    ("cpu.cfs_quota_us", (percent * 1000).to_string()),
                ]
            }
            (Controller::Cpu(percent), true) => vec![("cpu.max", format!("{} 100000", percent * 1000))],
        };
        settings.iter().try_for_each(|(file, value)| fs::write(self.folder.join(file), value))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Controller {
    fn controller(self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Pids(_) => "pids",
            Self::Cpu(_) => "cpu",
        }
    }
}

fn own_group<'a>(membership: &'a str, controller: &str) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|known| known == controller).then_some(group)
    })
}
