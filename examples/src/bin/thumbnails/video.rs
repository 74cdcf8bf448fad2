//! The video: a file, stdin, or the sample clip, in chunks.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// How much to read at a time.
const CHUNK_BYTES: usize = 128 << 10;

/// Half a minute of moving colours, made by `assets/make-sample.sh`.
const SAMPLE: &[u8] = include_bytes!("../../../assets/sample.mp4");

pub(crate) struct Video {
    name: PathBuf,
    length: Option<u64>,
    chunks: mpsc::Receiver<io::Result<Bytes>>,
}

impl Video {
    /// Begins to read a file, stdin (`-`), or the sample clip if `path` is `None`. It reads at most two chunks ahead.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let (name, reader, length): (&Path, Box<dyn Read + Send>, _) = match path {
            None => ("the sample clip".as_ref(), Box::new(SAMPLE), Some(SAMPLE.len() as u64)),
            Some(path) if path == Path::new("-") => ("stdin".as_ref(), Box::new(io::stdin()), None),
            Some(path) => {
                let file = File::open(path).map_err(|e| Failure::video(path, e))?;
                let length = file.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
                (path, Box::new(file), length)
            }
        };
        let (sender, chunks) = mpsc::channel(1);
        // A thread that nobody waits for: a read of a terminal or of a silent pipe can last for ever, and must not keep the
        // program from ending, as tokio's own stdin would.
        thread::Builder::new()
            .name("video".into())
            .spawn(move || read(reader, &sender))
            .map_err(Failure::Reader)?;
        Ok(Self { name: name.into(), length, chunks })
    }

    /// The number of bytes, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        self.chunks.recv().await.transpose().map_err(|e| Failure::video(&self.name, e))
    }
}

fn read(mut reader: impl Read, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let chunk = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                Ok(chunk.into())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}
