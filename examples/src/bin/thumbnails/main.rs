//! Makes thumbnails of a video on a runner, while the video is still being read.
//!
//! The interesting line is in [`place`]; the rest is an ordinary program around an ordinary actor.

mod cli;
mod collector;
mod failure;
mod screen;
mod video;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use actix::{Actor, Addr};
use flame_examples::thumbnails::{Chunk, Finish, Summary, Taken, ThumbnailGenerator};
use tokio::sync::mpsc;

use crate::cli::{Args, Backend};
use crate::collector::Collector;
use crate::failure::{Failure, interrupted};
use crate::screen::{Progress, Screen};
use crate::video::Video;

#[actix::main]
async fn main() -> ExitCode {
    let args = match Args::parse_or_explain() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let start = Instant::now();
    let video = Video::open(args.video.as_deref())?;
    std::fs::create_dir_all(&args.out).map_err(|e| Failure::folder(&args.out, e))?;
    let mut screen = Screen::new(args.json, start, video.length());

    let (saved, mut news) = mpsc::channel(1);
    let collector = Collector::new(args.out.clone(), saved).start();
    let generator = ThumbnailGenerator::new(collector.recipient(), args.every);
    let generator = place(generator, args.backend).await?;
    screen.booted();

    // Whatever ends this early drops the generator, which ends its ffmpeg.
    let mut streaming = pin!(stream(video, &generator, screen.progress()));
    let mut interrupt = pin!(interrupted());
    let summary = loop {
        tokio::select! {
            biased;
            failure = &mut interrupt => return Err(failure),
            Some(saved) = news.recv() => screen.saved(&saved?)?,
            summary = &mut streaming => break summary?,
        }
    };
    while let Ok(saved) = news.try_recv() {
        screen.saved(&saved?)?;
    }
    screen.done(&summary, &args.out)
}

/// Starts the generator where it is to run.
async fn place(
    generator: ThumbnailGenerator,
    _backend: Backend,
) -> Result<Addr<ThumbnailGenerator>, Failure> {
    Ok(generator.start())
}

/// Sends the video. Each answer is awaited, so that no more of it is read than the generator can take.
async fn stream(
    mut video: Video,
    generator: &Addr<ThumbnailGenerator>,
    progress: Progress,
) -> Result<Summary, Failure> {
    while let Some(chunk) = video.next_chunk().await? {
        let length = chunk.len();
        match generator.send(Chunk(chunk)).await?? {
            Taken::Streamed => progress.advance(length, false),
            Taken::Spooled => progress.advance(length, true),
            Taken::Enough => break,
        }
    }
    progress.all_sent();
    Ok(generator.send(Finish).await??)
}
