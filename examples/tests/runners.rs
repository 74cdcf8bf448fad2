//! The promises of the program `thumbnails` about its runner: where ffmpeg runs, what a kill leaves, how much memory it
//! takes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use support::{clip, eventually, ffmpeg_is_gone, ffmpeg_runs, files, reference};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample.mp4");

fn thumbnails(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbnails"));
    command.arg("--out").arg(out);
    command
}

/// The program in the middle of a video, of which there is more to come.
struct Midway {
    program: Child,
    _more: ChildStdin,
    runner: u32,
    ffmpeg: u32,
    _folder: tempfile::TempDir,
}

impl Midway {
    /// `every` tells this test's ffmpeg from others.
    async fn of(every: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = thumbnails(&folder.path().join("out"));
        command.args(["-", "--every", every]).stdin(Stdio::piped());
        let mut program = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut more = program.stdin.take().unwrap();
        let sample = fs::read(SAMPLE).unwrap();
        more.write_all(sample.get(..200_000).unwrap()).unwrap();
        let ffmpeg = ffmpeg_runs(every).await;
        let runner = parent_of(ffmpeg).unwrap();
        Self { program, _more: more, runner, ffmpeg, _folder: folder }
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.program.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Midway {
    fn drop(&mut self) {
        // A test that failed may have left it; its runner and ffmpeg go with it.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[actix::test]
async fn both_backends_make_the_thumbnails_that_ffmpeg_makes() {
    let folder = tempfile::tempdir().unwrap();
    let at_end =
        clip(folder.path(), "at_end.mp4", "testsrc2=size=320x180:rate=25:duration=6", "-c:v mjpeg -q:v 2");
    for backend in ["process", "local"] {
        for (name, video) in [("sample", PathBuf::from(SAMPLE)), ("at_end", at_end.clone())] {
            let out = folder.path().join(format!("{backend}-{name}"));
            let mut command = thumbnails(&out);
            let output = command.arg(&video).args(["--every", "2", "--backend", backend]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(files(&out), reference(&video, "2"), "{backend} {name}");
        }
    }
}

#[actix::test]
async fn ffmpeg_is_a_child_of_the_runner_and_the_runner_of_the_program() {
    let midway = Midway::of("0.421875").await;
    let program = midway.program.id();
    assert_ne!(midway.runner, program);
    assert_eq!(parent_of(midway.runner), Some(program));
    assert_eq!(parent_of(midway.ffmpeg), Some(midway.runner));
}

#[actix::test]
async fn a_killed_runner_is_reported_within_a_second_and_takes_ffmpeg_with_it() {
    let mut midway = Midway::of("0.453125").await;
    let start = Instant::now();
    kill("-KILL", midway.runner);
    let status = midway.program.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
    assert_eq!(status.code(), Some(1));
    let stderr = midway.stderr();
    assert!(stderr.starts_with("thumbnails: ") && stderr.contains("signal 9"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    ffmpeg_is_gone("0.453125").await;
}

#[actix::test]
async fn a_killed_parent_leaves_neither_runner_nor_ffmpeg() {
    let mut midway = Midway::of("0.484375").await;
    let start = Instant::now();
    midway.program.kill().unwrap();
    midway.program.wait().unwrap();
    let (runner, ffmpeg) = (midway.runner, midway.ffmpeg);
    eventually("runner and ffmpeg are gone", || (!is_alive(runner) && !is_alive(ffmpeg)).then_some(())).await;
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
}

#[actix::test]
async fn memory_stays_flat_whatever_the_size_of_the_video() {
    const BOUND_KIB: u64 = 64 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let part =
        clip(folder.path(), "part.mp4", "testsrc2=size=1280x720:rate=25:duration=8", "-c:v mjpeg -q:v 2");
    let video = folder.path().join("long.mkv");
    let (from, to) = (part.to_str().unwrap(), video.to_str().unwrap());
    support::ffmpeg(["-stream_loop", "15", "-i", from, "-c", "copy", to]);
    let size = fs::metadata(&video).unwrap().len();
    assert!(size > 3 * BOUND_KIB * 1024, "the video is large: {size}");

    let mut command = thumbnails(&folder.path().join("out"));
    let mut program = command.arg(&video).args(["--every", "16"]).stdout(Stdio::null()).spawn().unwrap();
    let mut peaks = [0; 2];
    while program.try_wait().unwrap().is_none() {
        let processes = std::iter::once(program.id()).chain(children_of(program.id()));
        for (peak, process) in peaks.iter_mut().zip(processes) {
            *peak = peak_kib(process).unwrap_or(0).max(*peak);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(program.wait().unwrap().success());
    assert!(peaks.iter().all(|&peak| peak > 0 && peak < BOUND_KIB), "peaks in KiB: {peaks:?}");
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// A field of /proc/PID/status.
fn status_of(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn parent_of(pid: u32) -> Option<u32> {
    status_of(pid, "PPid")?.parse().ok()
}

fn peak_kib(pid: u32) -> Option<u64> {
    status_of(pid, "VmHWM")?.split_whitespace().next()?.parse().ok()
}

/// Whether a process runs; one that is dead and not reaped does not.
fn is_alive(pid: u32) -> bool {
    status_of(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| parent_of(pid) == Some(parent)).collect()
}
