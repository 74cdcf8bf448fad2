//! The promises of the program `thumbnails`, run as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use support::{clip, ffmpeg_is_gone, ffmpeg_runs, files, reference};
use tempfile::TempDir;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample.mp4");

fn thumbnails() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbnails"));
    command.stdin(Stdio::null());
    command
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    (folder, out)
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn assert_success(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert_eq!(stderr, "", "a success has nothing to say on stderr");
}

/// One line on stderr that contains `words`, and exit code 1.
fn assert_failure(command: &mut Command, words: &str) {
    let output = run(command);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("thumbnails: ") && stderr.contains(words), "{stderr:?} without {words:?}");
    assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
    assert_eq!(stdout(&output), "");
}

fn clip_with_index_at_end(folder: &Path) -> PathBuf {
    clip(folder, "at_end.mp4", "testsrc2=size=320x180:rate=25:duration=6", "-c:v mjpeg -q:v 2")
}

#[test]
fn the_sample_is_used_when_no_video_is_given() {
    let (_guard, out) = folder();
    let output = run(thumbnails().arg("--out").arg(&out));
    assert_success(&output);
    let expected = reference(Path::new(SAMPLE), "5");
    assert!(files(&out) == expected);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), expected.len() + 1, "{text}");
    assert!(text.lines().next().unwrap().contains("0001.png"), "{text}");
    assert!(text.lines().last().unwrap().starts_with(&format!("{} thumbnails in", expected.len())), "{text}");
}

#[test]
fn json_is_one_object_a_line_and_nothing_else() {
    let (_guard, out) = folder();
    let output = run(thumbnails().args(["--json", "--every", "10"]).arg("--out").arg(&out));
    assert_success(&output);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, lines) = lines.split_last().unwrap();
    assert_eq!(lines.len(), 3);
    for (index, line) in (1..).zip(lines) {
        let path = out.join(format!("{index:04}.png"));
        assert_eq!(line["index"], index);
        assert_eq!(line["path"], path.to_str().unwrap());
        assert_eq!(line["bytes"], fs::metadata(&path).unwrap().len());
        assert!(line["runner"].is_string() && line["pid"].is_u64() && line["ms"].is_u64(), "{line}");
    }
    assert_eq!(last["thumbnails"], 3);
    assert_eq!(last["spooled"], false);
    let (boot, first, total) = (&last["boot_ms"], &last["first_ms"], &last["total_ms"]);
    assert!(boot.as_u64() <= first.as_u64() && first.as_u64() <= total.as_u64(), "{last}");
}

#[test]
fn a_video_may_come_from_a_file_or_through_a_pipe() {
    let (_guard, out) = folder();
    let expected = reference(Path::new(SAMPLE), "0.9");
    let from_file = run(thumbnails().args([SAMPLE, "--every", "0.9", "--out"]).arg(&out));
    assert_success(&from_file);
    assert!(files(&out) == expected);

    let (_guard, out) = folder();
    let mut child = spawn(thumbnails().args(["-", "--every", "0.9", "--out"]).arg(&out));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&fs::read(SAMPLE).unwrap()).unwrap();
    drop(stdin);
    assert_success(&child.wait_with_output().unwrap());
    assert!(files(&out) == expected);
}

#[test]
fn a_spooled_video_is_said_to_be_so_and_leaves_no_file() {
    let (guard, out) = folder();
    let video = clip_with_index_at_end(guard.path());
    let temporary = guard.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = thumbnails();
    command.arg(&video).args(["--every", "1", "--out"]).arg(&out).env("TMPDIR", &temporary);
    let output = run(&mut command);
    assert_success(&output);
    assert!(stdout(&output).contains("through a temporary file"), "{}", stdout(&output));
    assert!(files(&out) == reference(&video, "1"));
    let output = run(command.arg("--json"));
    assert!(stdout(&output).ends_with("\"spooled\":true}\n"), "{}", stdout(&output));
    assert!(files(&temporary).is_empty());
}

#[test]
fn a_temporary_file_that_cannot_be_written_is_an_error() {
    let (guard, out) = folder();
    let video = clip_with_index_at_end(guard.path());
    let mut nowhere = thumbnails();
    nowhere.arg(&video).arg("--out").arg(&out).env("TMPDIR", guard.path().join("nowhere"));
    assert_failure(&mut nowhere, "temporary file on the runner");

    // As on a full disk, though of this process alone: no file may grow beyond 100 blocks.
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_thumbnails")]);
    full.args(["--backend", "local"]).arg(&video).arg("--out").arg(&out);
    assert_failure(&mut full, "File too large");
}

#[test]
fn every_mistake_is_one_line_and_exit_code_1() {
    let (guard, out) = folder();
    let text = guard.path().join("text.mp4");
    fs::write(&text, "not a video, whatever its name says").unwrap();
    let out_option = format!("--out={}", out.display());
    let given = |arguments: &[&str]| {
        let mut command = thumbnails();
        command.args(arguments).arg(&out_option);
        command
    };

    assert_failure(given(&[]).env("PATH", ""), "cannot start ffmpeg");
    assert_failure(&mut given(&["nowhere.mp4"]), "cannot read nowhere.mp4: No such file");
    assert_failure(&mut given(&[guard.path().to_str().unwrap()]), "directory");
    assert_failure(&mut given(&[text.to_str().unwrap()]), "Invalid data found");
    assert_failure(&mut given(&["-"]), "Invalid data found");
    for interval in ["0", "-1", "NaN", "inf", "often"] {
        assert_failure(&mut given(&["--every", interval]), "a number of seconds above zero");
    }
    assert_failure(&mut given(&["--fast"]), "--fast");
    assert_failure(thumbnails().arg("--out").arg(text.join("below")), "cannot make the folder");
}

#[actix::test]
async fn a_thumbnail_that_cannot_be_written_ends_the_work() {
    let (_guard, out) = folder();
    fs::create_dir_all(out.join("0002.png")).unwrap();
    let output = run(thumbnails().args(["--every", "0.21875", "--out"]).arg(&out));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("0002.png: Is a directory"));
    assert!(!out.join("0100.png").exists());
    ffmpeg_is_gone("0.21875").await;
}

#[test]
fn old_thumbnails_are_overwritten() {
    let (_guard, out) = folder();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("0001.png"), vec![b'x'; 1 << 20]).unwrap();
    assert_success(&run(thumbnails().arg("--out").arg(&out)));
    assert!(files(&out) == reference(Path::new(SAMPLE), "5"));
}

#[test]
fn a_closed_stdout_does_not_harm_the_thumbnails() {
    let (_guard, out) = folder();
    let mut child = spawn(thumbnails().args([SAMPLE, "--out"]).arg(&out));
    drop(child.stdout.take());
    assert_success(&child.wait_with_output().unwrap());
    assert!(files(&out) == reference(Path::new(SAMPLE), "5"));

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = run(thumbnails().arg("--out").arg(&out).stdout(full));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));
}

#[actix::test]
async fn ctrl_c_ends_it_and_ffmpeg_in_the_middle_of_a_video() {
    for (signal, every, code) in [("-INT", "0.359375", 130), ("-TERM", "0.390625", 143)] {
        let (_guard, out) = folder();
        let mut child = spawn(thumbnails().args(["-", "--every", every, "--out"]).arg(&out));
        // Held open: the program waits for more of the video.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&fs::read(SAMPLE).unwrap()[..200_000]).unwrap();
        ffmpeg_runs(every).await;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        ffmpeg_is_gone(every).await;
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "thumbnails: interrupted\n");
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}
