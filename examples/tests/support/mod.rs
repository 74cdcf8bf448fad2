//! Clips made by ffmpeg, ffmpeg's own thumbnails of them, and a look at the processes of this machine.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs ffmpeg, which must succeed.
pub(crate) fn ffmpeg<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(args).output();
    let output = output.expect("these tests need ffmpeg");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a clip with a picture that moves; `encoding` is how, in ffmpeg's words, with blanks between them.
pub(crate) fn clip(folder: &Path, name: &str, source: &str, encoding: &str) -> PathBuf {
    let path = folder.join(name);
    let input = ["-f", "lavfi", "-i", source].into_iter();
    ffmpeg(input.chain(encoding.split_whitespace()).chain(path.to_str()));
    path
}

/// The thumbnails that ffmpeg makes of a file by itself.
pub(crate) fn reference(video: &Path, every: &str) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (video, images) = (video.to_str().unwrap(), folder.path().join("%04d.png"));
    ffmpeg(["-i", video, "-vf", &format!("fps=1/{every}"), images.to_str().unwrap()]);
    files(folder.path())
}

/// The contents of a folder, in the order of names.
pub(crate) fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The ids of the ffmpeg processes that run with this interval: tests tell theirs apart by it.
pub(crate) fn ffmpegs(every: &str) -> Vec<u32> {
    let filter = format!("\0fps=1/{every}\0");
    let runs = |pid: &u32| {
        // A process that has ended, reaped or not, has no command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("ffmpeg\0") && line.contains(&filter) && line.contains("\0image2pipe\0")
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(runs).collect()
}

/// Looks again and again until `look` finds something. What another process does comes with no event.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until such an ffmpeg runs.
pub(crate) async fn ffmpeg_runs(every: &str) -> u32 {
    eventually("ffmpeg runs", || ffmpegs(every).first().copied()).await
}

/// Waits until no such ffmpeg runs.
pub(crate) async fn ffmpeg_is_gone(every: &str) {
    eventually("ffmpeg is gone", || ffmpegs(every).is_empty().then_some(())).await;
}
