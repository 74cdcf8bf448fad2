//! The thumbnail generator under a restart policy, on a runner that is killed in the middle of a video.
//!
//! Runners are copies of this executable, so its `main` begins with the role line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod support;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use actix::{Actor, Context, Handler, System};
use flame_actor::{Child, LinkConfig, Pool, Restart, SendError};
use flame_examples::thumbnails::{Chunk, Finish, MAX_IMAGE_BYTES, Thumbnail, ThumbnailGenerator};
use libtest_mimic::{Arguments, Trial};
use tokio::sync::mpsc;

use support::{ffmpeg_is_gone, ffmpeg_runs, reference};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample.mp4");

fn main() -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        System::new().block_on(runner.serve());
        return ExitCode::SUCCESS;
    }
    let name = "after_a_kill_in_the_middle_of_a_video_the_caller_is_told_and_the_next_video_works";
    let trial = Trial::test(name, || {
        System::new().block_on(after_a_kill_in_the_middle_of_a_video());
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Keeps the thumbnails.
struct Caller(mpsc::UnboundedSender<Thumbnail>);

impl Actor for Caller {
    type Context = Context<Self>;
}

impl Handler<Thumbnail> for Caller {
    type Result = ();

    fn handle(&mut self, thumbnail: Thumbnail, _: &mut Context<Self>) {
        self.0.send(thumbnail).unwrap();
    }
}

async fn after_a_kill_in_the_middle_of_a_video() {
    const EVERY: &str = "2.015625";
    let (sender, mut thumbnails) = mpsc::unbounded_channel();
    let caller = Caller(sender).start();
    let link = LinkConfig::default().with_max_message(MAX_IMAGE_BYTES + 4096);
    let pool = Pool::builder("supervised").max(1).link(link).start().unwrap();
    let generator = ThumbnailGenerator::new(caller.recipient(), EVERY.parse().unwrap());
    let generator = pool.place_child(generator).restart(Restart::Permanent).await.unwrap();
    let video = std::fs::read(SAMPLE).unwrap();

    stream(&generator, &video[..video.len() / 2]).await.unwrap();
    let ffmpeg = ffmpeg_runs(EVERY).await;
    let runner = runner_of(ffmpeg);
    // ffmpeg takes no more, so that the caller waits for it when the runner is killed.
    kill("-STOP", ffmpeg);
    // As much as the link takes: what has not left waits for the next incarnation.
    let ask = generator.send(Chunk(vec![0; 1 << 20].into()));
    kill("-KILL", runner);
    let told = tokio::time::timeout(Duration::from_secs(10), ask).await.unwrap();
    assert!(matches!(told, Err(SendError::NodeLost { .. })), "{told:?}");
    ffmpeg_is_gone(EVERY).await;
    while thumbnails.try_recv().is_ok() {}

    // The same address, the next video.
    stream(&generator, &video).await.unwrap();
    let summary = generator.send(Finish).await.unwrap().unwrap();
    let images: Vec<_> = std::iter::from_fn(|| thumbnails.try_recv().ok()).collect();
    assert_eq!(images.len(), summary.thumbnails as usize);
    assert!(images.iter().all(|image| image.pid != runner));
    let images: Vec<_> = images.into_iter().map(|thumbnail| thumbnail.image.to_vec()).collect();
    assert_eq!(images, reference(Path::new(SAMPLE), EVERY));
    drop(generator);
    tokio::time::timeout(Duration::from_secs(20), pool.stop()).await.unwrap();
}

async fn stream(generator: &Child<ThumbnailGenerator>, video: &[u8]) -> Result<(), SendError> {
    for chunk in video.chunks(64 * 1024) {
        generator.send(Chunk(chunk.to_vec().into())).await?.unwrap();
    }
    Ok(())
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// The process that a process was started by.
fn runner_of(ffmpeg: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{ffmpeg}/stat")).unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    behind_name.split_whitespace().nth(1).unwrap().parse().unwrap()
}
