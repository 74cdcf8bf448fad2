//! Whether a runner ended for want of memory: the kernel killed it, as far as the control group tells, or it aborted
//! because an allocation failed, as it said itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// How many processes of this process's control group, where its runners live too, were killed for memory so far.
/// `None` where the kernel does not tell. Two of these around a SIGKILL tell an out-of-memory kill from another; best
/// effort, because a kill of something else in the group in between counts too.
pub(super) fn kills() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    counters(&membership).into_iter().find_map(|path| count(&fs::read_to_string(path).ok()?))
}

/// Whether this line of a runner's output is the last word of a Rust program that got no memory and aborts.
pub(super) fn says_that_memory_ran_out(line: &str) -> bool {
    line.strip_prefix("memory allocation of ").is_some_and(|rest| rest.trim_end().ends_with(" bytes failed"))
}

/// The files that may hold the count, the likelier first: of the version 1 memory controller, then of version 2. In a
/// container the group's path is often not visible, and its own group is mounted as the root.
fn counters(membership: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let group = Path::new(group.trim_start_matches('/'));
        if controllers.split(',').any(|controller| controller == "memory") {
            let root = Path::new("/sys/fs/cgroup/memory");
            files.extend([root.join(group).join("memory.oom_control"), root.join("memory.oom_control")]);
        } else if controllers.is_empty() {
            let root = Path::new("/sys/fs/cgroup");
            files.extend([root.join(group).join("memory.events"), root.join("memory.events")]);
        }
    }
    files
}

fn count(counter: &str) -> Option<u64> {
    counter.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_both_versions_of_control_groups() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(count("garbage"), None);
    }

    #[test]
    fn the_last_word_of_a_failed_allocation_is_known() {
        assert!(says_that_memory_ran_out("memory allocation of 140737488355328 bytes failed"));
        assert!(!says_that_memory_ran_out("the log of an app: memory allocation of 12 bytes failed"));
        assert!(!says_that_memory_ran_out("memory allocation of images"));
    }

    #[test]
    fn the_group_of_either_version_is_looked_for() {
        let first = |membership: &str| counters(membership).into_iter().next().unwrap();
        assert_eq!(first("0::/app.slice/x\n"), Path::new("/sys/fs/cgroup/app.slice/x/memory.events"));
        assert_eq!(
            first("9:name=systemd:/\n4:cpu,memory:/docker/x:y\n0::/\n"),
            Path::new("/sys/fs/cgroup/memory/docker/x:y/memory.oom_control")
        );
        assert!(counters("nonsense\n1:\n").is_empty());
    }
}
