//! The ffmpeg process.

use std::io;
use std::process::Stdio;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::ThumbnailError;

/// How much of the end of ffmpeg's stderr is kept, in bytes and in lines.
const KEPT_BYTES: usize = 4 << 10;
const KEPT_LINES: usize = 3;

/// Where ffmpeg reads the video.
pub(super) enum Input {
    /// From its stdin, whose first bytes are these.
    Pipe { head: Bytes },
    /// In a file, which is read from its start.
    File(std::fs::File),
}

/// A running ffmpeg, which is killed when `process` is dropped, and the ends of its pipes.
pub(super) struct Ffmpeg {
    pub(super) process: Child,
    /// With what to write to it first; `None` when it reads a file.
    pub(super) stdin: Option<(ChildStdin, Bytes)>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Ffmpeg {
    /// Starts ffmpeg, so that it writes an image of every `every` seconds to its stdout.
    pub(super) fn start(input: Input, every: f64) -> Result<Self, ThumbnailError> {
        // A file is its stdin too, opened anew by that path: one without a name can be read back and forth only so.
        let (url, stdin, head) = match input {
            Input::Pipe { head } => ("pipe:0", Stdio::piped(), head),
            Input::File(file) => ("file:/dev/stdin", file.into(), Bytes::new()),
        };
        let mut process = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i", url])
            .args(["-vf", &format!("fps=1/{every}"), "-f", "image2pipe", "-c:v", "png", "-"])
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| ThumbnailError::NoFfmpeg { reason: e.to_string() })?;
        let stdin = process.stdin.take().map(|stdin| (stdin, head));
        let (Some(stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take()) else {
            return Err(ThumbnailError::Pipe { reason: "its output is not piped".into() });
        };
        Ok(Self { process, stdin, stdout, stderr })
    }
}

/// Reads to the end, however much it is, and makes one line of the last lines.
pub(super) async fn last_words(mut stderr: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut tail = BytesMut::new();
    loop {
        tail.reserve(KEPT_BYTES);
        if stderr.read_buf(&mut tail).await? == 0 {
            return Ok(one_line(&String::from_utf8_lossy(&tail)));
        }
        tail.advance(tail.len().saturating_sub(KEPT_BYTES));
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(KEPT_LINES)..).unwrap_or_default().join("; ");
    // A video's own texts may be in it, and must not reach a terminal as commands.
    last.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_one_harmless_line() {
        assert_eq!(one_line("one\ntwo\n\n  three\r\nfour\n"), "two; three; four");
        assert_eq!(one_line("title: \x1b[2Jgone"), "title:  [2Jgone");
        assert_eq!(one_line(""), "");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_the_end_of_long_words_is_kept() {
        let long = "é".repeat(1 << 20) + "\nthe end\n";
        let words = last_words(long.as_bytes()).await.unwrap();
        assert!(words.ends_with("; the end"));
        assert!(words.len() <= KEPT_BYTES + 4, "{} bytes", words.len());
    }
}
