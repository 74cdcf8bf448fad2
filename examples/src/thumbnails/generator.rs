//! The actor.

use actix::{Actor, Context, Handler, Recipient, ResponseFuture};
use flame_actor::remote;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::pipeline::{self, Piece};
use super::{CHUNKS_AHEAD, Chunk, Finish, Summary, Taken, Thumbnail, ThumbnailError};

/// Makes a thumbnail of every so many seconds of one video.
///
/// Send it the video as [`Chunk`]s, awaiting their answers, then [`Finish`], and keep its address until that is answered. Every
/// [`Thumbnail`] goes to `caller` as soon as it is made. When the actor stops, ffmpeg and the temporary file go with it.
#[derive(Serialize, Deserialize)]
pub struct ThumbnailGenerator {
    #[serde(with = "flame_actor::recipient")]
    caller: Recipient<Thumbnail>,
    every: f64,
    #[serde(skip)]
    job: Job,
}

/// What is made where the actor starts, and does not travel.
#[derive(Default)]
struct Job {
    input: Option<mpsc::Sender<Piece>>,
    outcome: Option<oneshot::Receiver<Result<Summary, ThumbnailError>>>,
    /// Holds the work, which ends when this is dropped. It is a task of its own: were it the context's, it would keep the
    /// actor alive that nobody has an address of.
    work: JoinSet<()>,
}

impl ThumbnailGenerator {
    /// A generator of a thumbnail for every `every` seconds of video, which sends them to `caller`.
    ///
    /// `every` is a finite number above zero; with another one ffmpeg fails.
    pub fn new(caller: Recipient<Thumbnail>, every: f64) -> Self {
        Self { caller, every, job: Job::default() }
    }
}

impl Actor for ThumbnailGenerator {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        let (input, pieces) = mpsc::channel(CHUNKS_AHEAD);
        let (done, outcome) = oneshot::channel();
        let work = pipeline::run(pieces, self.every, self.caller.clone());
        self.job.work.spawn_local(async {
            let _ = done.send(work.await);
        });
        self.job.input = Some(input);
        self.job.outcome = Some(outcome);
    }
}

#[remote]
impl Handler<Chunk> for ThumbnailGenerator {
    type Result = ResponseFuture<Result<Taken, ThumbnailError>>;

    fn handle(&mut self, Chunk(bytes): Chunk, _: &mut Context<Self>) -> Self::Result {
        let (piece, taken) = Piece::new(bytes);
        // Queued here and not in the future, so that chunks keep their order.
        let queued = match &self.job.input {
            Some(input) => input.try_send(piece),
            None => Err(mpsc::error::TrySendError::Closed(piece)),
        };
        Box::pin(async move {
            match queued {
                Ok(()) => Ok(taken.await.unwrap_or(Taken::Enough)),
                Err(mpsc::error::TrySendError::Closed(_)) => Ok(Taken::Enough),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    Err(ThumbnailError::TooFarAhead { limit: CHUNKS_AHEAD })
                }
            }
        })
    }
}

#[remote]
impl Handler<Finish> for ThumbnailGenerator {
    type Result = ResponseFuture<Result<Summary, ThumbnailError>>;

    fn handle(&mut self, _: Finish, _: &mut Context<Self>) -> Self::Result {
        self.job.input = None;
        let outcome = self.job.outcome.take();
        Box::pin(async {
            match outcome {
                Some(outcome) => outcome.await.unwrap_or(Err(ThumbnailError::Stopped)),
                None => Err(ThumbnailError::FinishedTwice),
            }
        })
    }
}
