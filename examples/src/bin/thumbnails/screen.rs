//! What the user sees: lines on stdout, a progress bar on a terminal's stderr.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use flame_examples::thumbnails::Summary;
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::collector::Saved;
use crate::failure::Failure;

pub(crate) struct Screen {
    json: bool,
    start: Instant,
    boot: Duration,
    first: Option<Duration>,
    bar: ProgressBar,
    /// Nobody reads stdout any more (`| head -1`). The thumbnails are wanted all the same.
    deaf: bool,
}

impl Screen {
    /// `length` is the video's, in bytes, if it is known.
    pub(crate) fn new(json: bool, start: Instant, length: Option<u64>) -> Self {
        // indicatif draws on stderr, and nothing if that is not a terminal.
        let (bar, template) = match length {
            Some(length) => (ProgressBar::new(length), "{bar:30} {bytes}/{total_bytes} {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { json, start, boot: Duration::ZERO, first: None, bar, deaf: false }
    }

    /// The generator is in its place.
    pub(crate) fn booted(&mut self) {
        self.boot = self.start.elapsed();
    }

    /// A handle for the one who sends the video.
    pub(crate) fn progress(&self) -> Progress {
        Progress { bar: self.bar.clone() }
    }

    /// A thumbnail is in the folder.
    pub(crate) fn saved(&mut self, saved: &Saved) -> Result<(), Failure> {
        let since_start = self.start.elapsed();
        self.first.get_or_insert(since_start);
        if self.json {
            return self.object(&SavedLine { saved, ms: millis(since_start) });
        }
        let Saved { path, bytes, runner, pid, .. } = saved;
        let (size, seconds) = (BinaryBytes(*bytes as u64), since_start.as_secs_f64());
        self.line(&format!("{}  {size}  by {runner} (pid {pid})  after {seconds:.2} s", path.display()))
    }

    /// All thumbnails are in the folder.
    pub(crate) fn done(&mut self, summary: &Summary, folder: &Path) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let Summary { thumbnails, spooled, complaints } = summary;
        if !complaints.is_empty() {
            let _ = writeln!(io::stderr(), "thumbnails: ffmpeg complained: {complaints}");
        }
        let (total, first) = (self.start.elapsed(), self.first.unwrap_or_default());
        if self.json {
            return self.object(&LastLine {
                thumbnails: *thumbnails,
                total_ms: millis(total),
                boot_ms: millis(self.boot),
                first_ms: millis(first),
                spooled: *spooled,
            });
        }
        if *spooled {
            self.line(
                "ffmpeg cannot read this video from a pipe: it went through a temporary file on the runner",
            )?;
        }
        self.line(&format!(
            "{thumbnails} thumbnails in {} after {:.2} s (boot {:.2} s, first thumbnail after {:.2} s)",
            folder.display(),
            total.as_secs_f64(),
            self.boot.as_secs_f64(),
            first.as_secs_f64(),
        ))
    }

    fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(object).map_err(|e| Failure::Stdout(e.into()))?;
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        if self.deaf {
            return Ok(());
        }
        match self.bar.suspend(|| writeln!(io::stdout(), "{line}")) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.deaf = true,
            written => written.map_err(Failure::Stdout)?,
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct SavedLine<'a> {
    #[serde(flatten)]
    saved: &'a Saved,
    ms: u64,
}

#[derive(Serialize)]
struct LastLine {
    thumbnails: u32,
    total_ms: u64,
    boot_ms: u64,
    first_ms: u64,
    spooled: bool,
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How much of the video was sent.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Some more bytes were taken.
    pub(crate) fn advance(&self, bytes: usize, spooled: bool) {
        self.bar.inc(bytes as u64);
        if spooled {
            self.bar.set_message("into a temporary file");
        }
    }

    /// There is no more to send.
    pub(crate) fn all_sent(&self) {
        self.bar.set_message("waiting for ffmpeg");
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
