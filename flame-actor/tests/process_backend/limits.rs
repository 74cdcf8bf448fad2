//! Limits of the machine: typed errors, and recovery when the limit is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flame_actor::backend::ExitReason;

use crate::{
    actors::MARK,
    support::{boot, exit_of, runner, start, this_executable},
};

crate::tests![
    without_file_descriptors_a_boot_is_an_error_and_leaves_nothing,
    a_runner_that_was_killed_for_memory_is_reported_as_such,
    a_runner_that_aborts_because_it_gets_no_memory_is_reported_as_such,
];

fn without_file_descriptors_a_boot_is_an_error_and_leaves_nothing() {
    let output = start(&["parent-with-few-files"]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("with 0 Resources"), "{said}");
    assert!(said.contains("Spawn {"), "at another number the process itself cannot start: {said}");
    assert!(said.contains("after that it exited in order\nleft []"), "{said}");
}

fn a_runner_that_was_killed_for_memory_is_reported_as_such() {
    let group = match MemoryGroup::new(64 << 20) {
        Ok(group) => group,
        Err(error) => {
            eprintln!("not tested: no memory control group can be made here ({error})");
            return;
        }
    };
    let parent = Command::new(this_executable())
        .args([MARK, "parent-with-little-memory"])
        .env("FLAME_TEST_GROUP", group.0.join("cgroup.procs"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&parent.stdout) + String::from_utf8_lossy(&parent.stderr);
    assert_eq!(said, "ended because memory ran out\n");
}

fn a_runner_that_aborts_because_it_gets_no_memory_is_reported_as_such() {
    assert_eq!(exit_of(&boot(&runner(&["wants-too-much"]))), ExitReason::OutOfMemory);
    // With no lines kept it is told all the same.
    assert_eq!(exit_of(&boot(&runner(&["wants-too-much"]).log_tail(0))), ExitReason::OutOfMemory);
    let aborted = exit_of(&boot(&runner(&["abort"])));
    assert!(matches!(aborted, ExitReason::Signaled { signal: 6, .. }), "{aborted}");
}

/// A control group with a memory limit, under the test's own.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(limit: u64) -> io::Result<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup")?;
        let find = |controller: &str| {
            let mut lines = membership.lines().map(|line| line.splitn(3, ':').skip(1));
            lines.find_map(|mut line| (line.next()? == controller).then(|| line.next()).flatten())
        };
        let (root, file, group) = match (find("memory"), find("")) {
            (Some(group), _) => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group),
            (None, Some(group)) => ("/sys/fs/cgroup", "memory.max", group),
            (None, None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let name = format!("flame-test-{}", std::process::id());
        let folder = Path::new(root).join(group.trim_start_matches('/')).join(name);
        fs::create_dir(&folder)?;
        let group = Self(folder);
        fs::write(group.0.join(file), limit.to_string())?;
        Ok(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
