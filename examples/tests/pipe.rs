//! The promises of the program `pipe`, run as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn pipe(file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command.arg(file).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn gz(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.gz", file.display()))
}

/// What the reference tool makes of a compressed file.
fn decompressed(file: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
    assert!(output.status.success(), "gzip: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Some text that compresses, and some noise that does not.
fn content(length: usize) -> Vec<u8> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(length + 64);
    while content.len() < length {
        content.extend_from_slice(format!("line {} of the text\n", content.len()).as_bytes());
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        content.extend_from_slice(&noise.to_le_bytes());
    }
    content.truncate(length);
    content
}

#[test]
fn what_it_makes_decompresses_to_the_input_byte_for_byte_through_both_backends() {
    for backend in ["process", "local"] {
        for length in [0, 1, 4_000_000] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("input.txt");
            let content = content(length);
            fs::write(&file, &content).unwrap();
            let output = run(pipe(&file).args(["--backend", backend]));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
            assert!(String::from_utf8(output.stdout).unwrap().contains("input.txt.gz"));
            assert!(decompressed(&gz(&file)) == content, "{length} bytes, {backend}");
            assert_eq!(names(folder.path()), ["input.txt", "input.txt.gz"]);
        }
    }
}

#[test]
fn a_failure_is_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (command, words) in [
        (&mut pipe(&missing), "cannot read"),
        (&mut pipe(folder.path()), "is a directory"),
        (pipe(&missing).arg("--backend=moon"), "moon"),
        (Command::new(env!("CARGO_BIN_EXE_pipe")).stdin(Stdio::null()), "<FILE>"),
    ] {
        let output = run(command);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("pipe: ") && stderr.contains(words), "{stderr:?} without {words:?}");
        assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
        assert_eq!(output.stdout, b"");
    }
    assert!(names(folder.path()).is_empty());
}

/// The child processes of a process.
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists
        .chain([list])
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Does something to the program, or to its runner, in the middle of an endless file.
fn in_the_middle(act: impl FnOnce(u32, u32)) -> (Output, PathBuf, tempfile::TempDir, u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endless");
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let program = pipe(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runner = eventually("the runner is there", || children(program.id()).first().copied());
    eventually("output is written", || {
        let mut files = fs::read_dir(folder.path()).unwrap().flatten();
        files.find(|entry| entry.metadata().is_ok_and(|data| data.is_file() && data.len() > 0))
    });
    act(program.id(), runner);
    (program.wait_with_output().unwrap(), file, folder, runner)
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn ctrl_c_ends_it_and_leaves_neither_file_nor_process() {
    let (output, _, folder, runner) = in_the_middle(|program, _| kill("-INT", program));
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "pipe: interrupted\n");
    eventually("the runner is gone", || (!is_alive(runner)).then_some(()));
    assert_eq!(names(folder.path()), ["endless"]);
}

#[test]
fn a_killed_runner_is_one_line_and_leaves_no_file() {
    let (output, _, folder, _) = in_the_middle(|_, runner| kill("-KILL", runner));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("pipe: ") && stderr.contains("pipe-1") && stderr.contains("SIGKILL"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
    assert_eq!(names(folder.path()), ["endless"]);
}
