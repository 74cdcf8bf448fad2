//! From chunks to thumbnails: the three things that go on at the same time while ffmpeg runs.

use std::io;

use actix::Recipient;
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use super::container::{Reading, Sniffer};
use super::ffmpeg::{self, Ffmpeg, Input};
use super::png::PngSplitter;
use super::{MAX_IMAGE_BYTES, Summary, Taken, Thumbnail, ThumbnailError};

/// How many bytes of a video are held in memory until it is known how to read it. What is unknown then goes to a file: that
/// is never wrong, only later.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// How much room to make for a read from ffmpeg: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// A chunk with the way back to its sender. Dropped without an answer, it means [`Taken::Enough`].
pub(super) struct Piece {
    bytes: Bytes,
    answer: oneshot::Sender<Taken>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes) -> (Self, oneshot::Receiver<Taken>) {
        let (answer, taken) = oneshot::channel();
        (Self { bytes, answer }, taken)
    }

    fn answer(self, taken: Taken) {
        // The sender may have lost interest; its chunk counts all the same.
        let _ = self.answer.send(taken);
    }
}

/// Does all the work, until the pieces end and every thumbnail of them is handled. Dropping it ends ffmpeg.
pub(super) async fn run(
    mut pieces: mpsc::Receiver<Piece>,
    every: f64,
    caller: Recipient<Thumbnail>,
) -> Result<Summary, ThumbnailError> {
    let input = begin(&mut pieces).await?;
    let spooled = matches!(input, Input::File(_));
    let Ffmpeg { mut process, stdin, stdout, stderr } = Ffmpeg::start(input, every)?;

    // All at once: ffmpeg stops reading while nobody takes its images, and stops for ever when its stderr is full.
    let feeding = async {
        feed(stdin, pieces).await;
        Ok(())
    };
    let listening = async { ffmpeg::last_words(stderr).await.map_err(pipe_failed) };
    let ((), delivered, said) = tokio::try_join!(feeding, deliver(stdout, &caller), listening)?;

    // ffmpeg's own words first: its failure explains whatever else is wrong.
    let status = process.wait().await.map_err(pipe_failed)?;
    if !status.success() {
        return Err(ThumbnailError::Ffmpeg { status: status.to_string(), said: or(said, "it said nothing") });
    }
    if delivered.cut_off {
        return Err(ThumbnailError::BadImage { reason: "it ends in the middle".into() });
    }
    if delivered.thumbnails == 0 {
        let said = or(said, "is it shorter than half the interval?");
        return Err(ThumbnailError::NoImage { said });
    }
    Ok(Summary { thumbnails: delivered.thumbnails, spooled, complaints: said })
}

/// Takes as many pieces as it needs to know how to read the video: its beginning, or all of it.
async fn begin(pieces: &mut mpsc::Receiver<Piece>) -> Result<Input, ThumbnailError> {
    let mut sniffer = Sniffer::default();
    let mut head = BytesMut::new();
    while let Some(piece) = pieces.recv().await {
        let reading = sniffer.read(&piece.bytes);
        head.extend_from_slice(&piece.bytes);
        if reading == Some(Reading::File) || head.len() > MAX_HEAD_BYTES && reading.is_none() {
            let file = spool(&head, piece, pieces).await;
            return file.map(Input::File).map_err(|e| ThumbnailError::Spool { reason: e.to_string() });
        }
        piece.answer(Taken::Streamed);
        if reading == Some(Reading::Pipe) {
            break;
        }
    }
    Ok(Input::Pipe { head: head.freeze() })
}

/// Writes all pieces to a file without a name, which is gone when it is closed, however this process ends.
async fn spool(head: &[u8], last: Piece, pieces: &mut mpsc::Receiver<Piece>) -> io::Result<std::fs::File> {
    let mut file = File::from_std(tempfile::tempfile()?);
    // Without the flush, the error of a write would be the next one's.
    file.write_all(head).await?;
    file.flush().await?;
    last.answer(Taken::Spooled);
    while let Some(piece) = pieces.recv().await {
        file.write_all(&piece.bytes).await?;
        file.flush().await?;
        piece.answer(Taken::Spooled);
    }
    file.rewind().await?;
    Ok(file.into_std().await)
}

/// Writes to ffmpeg what it is willing to read. It may have enough before the end, which is no failure.
async fn feed(stdin: Option<(ChildStdin, Bytes)>, mut pieces: mpsc::Receiver<Piece>) {
    let Some((mut stdin, head)) = stdin else { return };
    if stdin.write_all(&head).await.is_err() {
        return;
    }
    while let Some(piece) = pieces.recv().await {
        if stdin.write_all(&piece.bytes).await.is_err() {
            return;
        }
        piece.answer(Taken::Streamed);
    }
}

struct Delivered {
    thumbnails: u32,
    cut_off: bool,
}

/// Sends the caller one image after the other, and reads on when it has handled the last.
async fn deliver(
    mut stdout: ChildStdout,
    caller: &Recipient<Thumbnail>,
) -> Result<Delivered, ThumbnailError> {
    let (runner, pid) = (whoami(), std::process::id());
    let mut images = PngSplitter::new(MAX_IMAGE_BYTES);
    let mut thumbnails = 0;
    loop {
        while let Some(image) = images.next_image()? {
            thumbnails += 1;
            let thumbnail = Thumbnail { index: thumbnails, image, runner: runner.clone(), pid };
            caller.send(thumbnail).await.map_err(|_| ThumbnailError::CallerGone)?;
        }
        images.buffer().reserve(READ_BYTES);
        if stdout.read_buf(images.buffer()).await.map_err(pipe_failed)? == 0 {
            return Ok(Delivered { thumbnails, cut_off: !images.is_between_images() });
        }
    }
}

fn or(said: String, nothing: &str) -> String {
    if said.is_empty() { nothing.into() } else { said }
}

/// The name of the runner that this is on.
fn whoami() -> String {
    flame_actor::current_runner().map_or_else(|| "no runner".into(), |runner| runner.name().into())
}

fn pipe_failed(error: io::Error) -> ThumbnailError {
    ThumbnailError::Pipe { reason: error.to_string() }
}
