//! Makes thumbnails of a video on a runner, while the video is still being read.
//!
//! The interesting line is `pool.place_child(generator)` in [`work`], where `generator.start()` would do without a pool; the rest is an ordinary program around an ordinary actor.

mod cli;
mod collector;
mod failure;
mod screen;
mod video;

use std::io::stderr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actix::Actor;
use flame_actor::{LinkConfig, Pool, RemoteAddr, backend::LocalBackend};
use flame_examples::program;
use flame_examples::thumbnails::{Chunk, Finish, MAX_IMAGE_BYTES, Summary, Taken, ThumbnailGenerator};
use tokio::sync::mpsc;

use crate::cli::{Args, Backend};
use crate::collector::{Collector, Saved};
use crate::failure::Failure;
use crate::screen::{Progress, Screen};
use crate::video::Video;

#[actix::main]
async fn main() -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        runner.serve().await;
        return ExitCode::SUCCESS;
    }
    log_if_asked();
    let args = match program::arguments::<Args>() {
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

    let pool = pool(args.backend)?;
    let outcome = tokio::select! {
        biased;
        stopped = program::stopped() => Err(stopped.into()),
        outcome = work(&pool, generator, video, &mut news, &mut screen) => outcome,
    };
    // The generator was dropped, which ends its ffmpeg; now the runner goes too.
    let _ = tokio::time::timeout(GOODBYE, pool.stop()).await;
    screen.done(&outcome?, &args.out)?;
    if args.stay {
        program::stopped().await;
    }
    Ok(())
}

/// How long the runner may take to end; after that it ends with this process.
const GOODBYE: Duration = Duration::from_secs(3);

/// A pool for the generator.
fn pool(backend: Backend) -> Result<Pool, Failure> {
    // A message takes the largest image and its frame.
    let link = LinkConfig::default().with_max_message(MAX_IMAGE_BYTES + 4096);
    let pool = Pool::builder("thumbs").max(1).idle_shutdown_after(Duration::from_secs(10)).link(link);
    Ok(match backend {
        Backend::Process => pool.start(),
        Backend::Local => pool.backend(LocalBackend::new()).start(),
        // A pod may have to wait for its node, or for its image.
        #[cfg(feature = "k8s")]
        Backend::K8s => {
            pool.timeout(Duration::from_secs(180)).backend(flame_k8s::KubernetesBackend::new()).start()
        }
    }?)
}

/// Places the generator, streams the video to it, and shows each thumbnail as it is saved.
async fn work(
    pool: &Pool,
    generator: ThumbnailGenerator,
    video: Video,
    news: &mut mpsc::Receiver<Result<Saved, Failure>>,
    screen: &mut Screen,
) -> Result<Summary, Failure> {
    let generator = pool.place_child(generator).await.map_err(|error| Failure::Place(error.reason))?;
    screen.booted();
    let mut streaming = pin!(stream(video, &generator, screen.progress()));
    let summary = loop {
        tokio::select! {
            biased;
            Some(saved) = news.recv() => screen.saved(&saved?)?,
            summary = &mut streaming => break summary?,
        }
    };
    while let Ok(saved) = news.try_recv() {
        screen.saved(&saved?)?;
    }
    Ok(summary)
}

/// Sends the video. Each answer is awaited, so that no more of it is read than the generator can take.
async fn stream(
    mut video: Video,
    generator: &RemoteAddr<ThumbnailGenerator>,
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

/// With RUST_LOG set, the log goes to stderr: this process's and the runner's.
fn log_if_asked() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    }
}
