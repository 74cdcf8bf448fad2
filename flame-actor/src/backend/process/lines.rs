//! What a runner prints, line by line.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use flame_transport::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{LOG_TARGET, oom};

/// The longest line in bytes; longer ones are cut into several.
const MAX_LINE: usize = 8 * 1024;

/// One of a runner's output pipes.
pub(super) struct Output<P> {
    pipe: Option<P>,
    splitter: Splitter,
    chunk: Box<[u8]>,
    name: &'static str,
    sink: Arc<Sink>,
}

impl<P: AsyncRead + AsFd + Unpin> Output<P> {
    /// `name` is what the log calls the stream.
    pub(super) fn new(pipe: P, name: &'static str, sink: Arc<Sink>) -> Self {
        let chunk = vec![0; MAX_LINE].into_boxed_slice();
        Self { pipe: Some(pipe), splitter: Splitter::default(), chunk, name, sink }
    }

    /// Whether the pipe has not ended yet.
    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits for more output and takes it. Cancel safe: what was read is logged before the next wait.
    pub(super) async fn take(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(&mut self.chunk).await {
            Ok(0) | Err(_) => self.end(),
            Ok(len) => self.log(len),
        }
    }

    /// Takes what is in the pipe now, without waiting, and closes it. For a runner that has ended: a process that it
    /// started and that left its group may hold the pipe open for ever.
    pub(super) fn take_the_rest(&mut self) {
        // More than a pipe holds by default, and a bound if somebody goes on writing.
        const REST: usize = 32;
        for _ in 0..REST {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut *self.chunk) {
                Ok(0) => break,
                Ok(len) => self.log(len),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        self.end();
    }

    fn log(&mut self, len: usize) {
        let (sink, name) = (&self.sink, self.name);
        self.splitter.push(self.chunk.get(..len).unwrap_or_default(), |line| sink.log(name, line));
    }

    fn end(&mut self) {
        let (sink, name) = (&self.sink, self.name);
        self.splitter.finish(|line| sink.log(name, line));
        self.pipe = None;
    }
}

/// Where the lines of one runner go: to `tracing`, and into the tail.
pub(super) struct Sink {
    pub(super) runner: NodeId,
    pub(super) pool: Arc<str>,
    pub(super) pid: u32,
    pub(super) tail: Tail,
    /// The runner has said that it could not get memory.
    pub(super) starved: AtomicBool,
}

impl Sink {
    fn log(&self, stream: &'static str, line: &str) {
        let Self { runner, pool, pid, .. } = self;
        tracing::info!(target: LOG_TARGET, %runner, %pool, pid, stream, "{line}");
        if oom::says_that_memory_ran_out(line) {
            self.starved.store(true, Ordering::Relaxed);
        }
        self.tail.push(line);
    }
}

/// The last lines of a runner.
pub(super) struct Tail {
    lines: Mutex<VecDeque<String>>,
    bound: usize,
}

impl Tail {
    pub(super) fn new(bound: usize) -> Self {
        Self { lines: Mutex::default(), bound }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bound > 0 {
            while lines.len() >= self.bound {
                lines.pop_front();
            }
            lines.push_back(line.to_owned());
        }
    }
}

/// Cuts bytes into lines, however they arrive.
#[derive(Default)]
struct Splitter {
    /// The begun line, shorter than [`MAX_LINE`] between calls.
    begun: Vec<u8>,
}

impl Splitter {
    fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = MAX_LINE.saturating_sub(self.begun.len());
            let (window, _) = bytes.split_at(room.min(bytes.len()));
            match window.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    let (last, rest) = bytes.split_at(end);
                    self.begun.extend_from_slice(last);
                    self.emit(&mut line);
                    bytes = rest.get(1..).unwrap_or_default();
                }
                None => {
                    self.begun.extend_from_slice(window);
                    bytes = bytes.get(window.len()..).unwrap_or_default();
                    if self.begun.len() >= MAX_LINE {
                        self.emit(&mut line);
                    }
                }
            }
        }
    }

    fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            self.emit(&mut line);
        }
    }

    fn emit(&mut self, line: &mut impl FnMut(&str)) {
        let bytes = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        line(&String::from_utf8_lossy(bytes));
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line.to_owned()));
            assert!(splitter.begun.len() < MAX_LINE);
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = "one\r\n\nthr\u{e9}e\nunfinished".as_bytes();
        let expected = ["one", "", "thr\u{e9}e", "unfinished"];
        assert_eq!(split(&[text]), expected);
        assert_eq!(split(&text.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_line_without_end_is_cut_and_nothing_of_it_is_lost() {
        let long = vec![b'x'; 2 * MAX_LINE + 5];
        for chunk in [1, 1000, MAX_LINE, long.len()] {
            let lines = split(&long.chunks(chunk).collect::<Vec<_>>());
            let lens: Vec<_> = lines.iter().map(String::len).collect();
            assert_eq!(lens, [MAX_LINE, MAX_LINE, 5]);
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_well_as_can_be() {
        assert_eq!(split(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }

    #[test]
    fn the_tail_keeps_the_last_lines_only() {
        let tail = Tail::new(2);
        for line in ["one", "two", "three"] {
            tail.push(line);
        }
        assert_eq!(tail.lines(), ["two", "three"]);
        let none = Tail::new(0);
        none.push("one");
        assert!(none.lines().is_empty());
    }
}
