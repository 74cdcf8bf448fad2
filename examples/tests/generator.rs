//! The promises of `ThumbnailGenerator`, with a real ffmpeg.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, Context, Handler, Message, ResponseFuture};
use bytes::Bytes;
use flame_examples::thumbnails::{
    CHUNKS_AHEAD, Chunk, Finish, Summary, Taken, Thumbnail, ThumbnailError, ThumbnailGenerator,
};
use support::{clip, ffmpeg_is_gone, ffmpeg_runs, ffmpegs, reference};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Hands on each thumbnail, and has handled it when the gate is open.
struct Caller {
    thumbnails: mpsc::UnboundedSender<Thumbnail>,
    gate: watch::Receiver<bool>,
}

impl Actor for Caller {
    type Context = Context<Self>;
}

impl Handler<Thumbnail> for Caller {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, thumbnail: Thumbnail, _: &mut Context<Self>) -> Self::Result {
        self.thumbnails.send(thumbnail).unwrap();
        let mut gate = self.gate.clone();
        Box::pin(async move {
            let _ = gate.wait_for(|open| *open).await;
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Caller {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

/// A generator, its caller, and what the caller got.
struct Scene {
    generator: Addr<ThumbnailGenerator>,
    caller: Addr<Caller>,
    thumbnails: mpsc::UnboundedReceiver<Thumbnail>,
    gate: watch::Sender<bool>,
}

impl Scene {
    fn new(every: &str) -> Self {
        let (sender, thumbnails) = mpsc::unbounded_channel();
        let (gate, open) = watch::channel(true);
        let caller = Caller { thumbnails: sender, gate: open }.start();
        let every = every.parse().unwrap();
        let generator = ThumbnailGenerator::new(caller.clone().recipient(), every).start();
        Self { generator, caller, thumbnails, gate }
    }

    async fn chunk(&self, bytes: impl Into<Bytes>) -> Result<Taken, ThumbnailError> {
        self.generator.send(Chunk(bytes.into())).await.unwrap()
    }

    /// Sends a whole video, and stops early if told so; gives the last answer.
    async fn video(&self, video: &[u8], chunk: usize) -> Taken {
        let mut last = Taken::Streamed;
        for bytes in video.chunks(chunk) {
            last = self.chunk(bytes.to_vec()).await.unwrap();
            if last == Taken::Enough {
                break;
            }
        }
        last
    }

    async fn finish(&self) -> Result<Summary, ThumbnailError> {
        self.generator.send(Finish).await.unwrap()
    }

    /// The images so far, whose numbers must be right.
    fn images(&mut self) -> Vec<Bytes> {
        let thumbnails: Vec<_> = std::iter::from_fn(|| self.thumbnails.try_recv().ok()).collect();
        for (expected, thumbnail) in (1..).zip(&thumbnails) {
            assert_eq!(thumbnail.index, expected);
            assert_eq!(thumbnail.pid, std::process::id());
        }
        thumbnails.into_iter().map(|thumbnail| thumbnail.image).collect()
    }
}

const FASTSTART: &str = "-c:v mpeg4 -movflags +faststart";

fn small_clip(folder: &TempDir, name: &str, encoding: &str) -> Vec<u8> {
    let video = clip(folder.path(), name, "testsrc2=size=160x90:rate=10:duration=6", encoding);
    std::fs::read(video).unwrap()
}

async fn assert_same_as_ffmpeg(video: &Path, every: &str, chunk: usize, spooled: bool) {
    let name = video.display();
    let mut scene = Scene::new(every);
    scene.video(&std::fs::read(video).unwrap(), chunk).await;
    let summary = scene.finish().await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let (images, expected) = (scene.images(), reference(video, every));
    assert!(images == expected, "{name}: {} images, not {}", images.len(), expected.len());
    assert_eq!(summary.thumbnails as usize, expected.len(), "{name}");
    assert_eq!(summary.spooled, spooled, "{name}");
}

#[actix::test]
async fn thumbnails_are_byte_for_byte_those_that_ffmpeg_makes_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let short = "testsrc2=size=160x90:rate=25:duration=6";
    let odd = "testsrc2=size=161x91:rate=30000/1001:duration=6";
    let uneven = "testsrc2=size=160x90:rate=25:duration=6,select='gt(mod(n,7),2)+lt(t,2)'";
    let sound = "-f lavfi -i sine=duration=6 -shortest";
    let h264 = "-c:v libx264 -preset ultrafast -pix_fmt";
    for (name, source, encoding, spooled) in [
        ("h264.mp4", short, format!("{sound} {h264} yuv420p -movflags +faststart"), false),
        ("at_end.mp4", short, format!("{sound} {h264} yuv420p"), true),
        ("ten_bits.mp4", short, format!("{h264} yuv420p10le -movflags +faststart"), false),
        ("odd_size.mp4", odd, format!("{h264} yuv444p -movflags +faststart"), false),
        ("uneven.mp4", uneven, format!("-vsync vfr {h264} yuv420p -movflags +faststart"), false),
        ("fragments.mp4", short, "-c:v mpeg4 -movflags +frag_keyframe+empty_moov".into(), false),
        ("quicktime.mov", short, format!("{sound} -c:v mpeg4"), true),
        ("matroska.mkv", short, format!("{sound} -c:v mpeg4"), false),
        (
            "see_through.webm",
            short,
            "-pix_fmt yuva420p -c:v libvpx -auto-alt-ref 0 -deadline realtime".into(),
            false,
        ),
        ("transport.ts", short, format!("{sound} -c:v mpeg2video"), false),
        ("avi.avi", short, format!("{sound} -c:v mpeg4"), false),
        ("gif.gif", short, String::new(), true),
        ("mxf.mxf", "testsrc2=size=352x288:rate=25:duration=6", "-c:v mpeg2video".into(), true),
    ] {
        let video = clip(folder.path(), name, source, &encoding);
        assert_same_as_ffmpeg(&video, "1", 100_000, spooled).await;
        assert_same_as_ffmpeg(&video, "0.4", 9_999, spooled).await;
    }

    let turned = folder.path().join("turned.mp4");
    let upright = folder.path().join("h264.mp4");
    let arguments = "-c copy -metadata:s:v rotate=90 -movflags +faststart".split_whitespace();
    support::ffmpeg(["-i", upright.to_str().unwrap()].into_iter().chain(arguments).chain(turned.to_str()));
    assert_same_as_ffmpeg(&turned, "1", 100_000, false).await;
}

#[actix::test]
async fn a_large_mp4_with_its_index_at_the_end_works() {
    let folder = tempfile::tempdir().unwrap();
    let noise = "testsrc2=size=640x480:rate=25:duration=8,noise=alls=100:allf=t";
    let video = clip(folder.path(), "large.mp4", noise, "-c:v mjpeg -q:v 1 -pix_fmt yuvj420p");
    let size = std::fs::metadata(&video).unwrap().len();
    assert!(size > 40_000_000, "only {size} bytes");
    assert_same_as_ffmpeg(&video, "1", 256 << 10, true).await;
}

#[actix::test]
async fn chunks_keep_their_order_when_several_are_on_their_way() {
    let folder = tempfile::tempdir().unwrap();
    let video = small_clip(&folder, "clip.mp4", FASTSTART);
    let mut scene = Scene::new("1");
    for batch in video.chunks(1000).collect::<Vec<_>>().chunks(CHUNKS_AHEAD) {
        let sent: Vec<_> =
            batch.iter().map(|bytes| scene.generator.send(Chunk(bytes.to_vec().into()))).collect();
        for answer in sent {
            assert_eq!(answer.await.unwrap(), Ok(Taken::Streamed));
        }
    }
    assert_eq!(scene.finish().await.unwrap().thumbnails, 6);
    assert!(scene.images() == reference(&folder.path().join("clip.mp4"), "1"));
}

#[actix::test]
async fn a_slow_caller_slows_the_sender_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Large images, so that few of them fill what lies between the caller and the video.
    let noise = "testsrc2=size=640x360:rate=10:duration=12,noise=alls=60:allf=t";
    let path = clip(folder.path(), "long.mkv", noise, "-c:v mjpeg -q:v 2");
    let video = std::fs::read(&path).unwrap();
    let mut scene = Scene::new("0.1");

    scene.gate.send(false).unwrap();
    let mut taken = 0;
    let mut rest = video.chunks(64 << 10);
    let mut stuck = None;
    for bytes in rest.by_ref() {
        let mut answer = Box::pin(scene.generator.send(Chunk(bytes.to_vec().into())));
        match timeout(Duration::from_secs(2), &mut answer).await {
            Ok(answer) => assert_eq!(answer.unwrap(), Ok(Taken::Streamed)),
            Err(_) => {
                stuck = Some(answer);
                break;
            }
        }
        taken += bytes.len();
    }
    let stuck = stuck.expect("a caller that handles nothing stops the sender");
    assert!(taken < video.len() / 2, "took {taken} bytes of {}", video.len());
    assert_eq!(scene.thumbnails.len(), 1, "only one thumbnail is sent until it is handled");

    scene.gate.send(true).unwrap();
    assert_eq!(stuck.await.unwrap(), Ok(Taken::Streamed));
    for bytes in rest {
        assert_eq!(scene.chunk(bytes.to_vec()).await, Ok(Taken::Streamed));
    }
    scene.finish().await.unwrap();
    assert!(scene.images() == reference(&path, "0.1"));
}

#[actix::test]
async fn a_sender_that_waits_for_no_answer_is_refused_beyond_the_bound() {
    let scene = Scene::new("1");
    let sent: Vec<_> =
        (0..=CHUNKS_AHEAD).map(|_| scene.generator.send(Chunk(Bytes::from_static(b"x")))).collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    let refused = Err(ThumbnailError::TooFarAhead { limit: CHUNKS_AHEAD });
    assert_eq!(answers.pop(), Some(refused));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[actix::test]
async fn what_is_no_video_fails_in_the_words_of_ffmpeg() {
    let scene = Scene::new("1");
    let noise: Vec<u8> = (0..5_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    scene.video(&noise, 100_000).await;
    let Err(ThumbnailError::Ffmpeg { said, .. }) = scene.finish().await else { panic!("it worked") };
    assert!(said.contains("Invalid data found"), "{said}");

    let silence = Scene::new("1").finish().await;
    assert!(matches!(silence, Err(ThumbnailError::Ffmpeg { .. })), "{silence:?}");
}

#[actix::test]
async fn a_video_too_short_for_an_image_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new("100");
    scene.video(&small_clip(&folder, "clip.mp4", FASTSTART), 10_000).await;
    assert!(matches!(scene.finish().await, Err(ThumbnailError::NoImage { .. })));
}

#[actix::test]
async fn bytes_behind_the_last_picture_are_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = small_clip(&folder, "clip.mp4", FASTSTART);
    video.extend(40_000_000u32.to_be_bytes());
    video.extend(b"free");
    video.resize(video.len() + 40_000_000 - 8, 0);
    let mut scene = Scene::new("1");
    scene.video(&video, 200_000).await;
    assert_eq!(scene.finish().await.unwrap().thumbnails, 6);
    assert!(scene.images() == reference(&folder.path().join("clip.mp4"), "1"));
}

#[actix::test]
async fn ffmpeg_ends_with_the_actor() {
    let folder = tempfile::tempdir().unwrap();
    let video = small_clip(&folder, "clip.mp4", FASTSTART);

    // In the middle of the video.
    let scene = Scene::new("0.703125");
    scene.video(&video[..video.len() / 2], 10_000).await;
    ffmpeg_runs("0.703125").await;
    drop(scene.generator);
    ffmpeg_is_gone("0.703125").await;

    // After it, when ffmpeg waits for its caller.
    let mut scene = Scene::new("0.015625");
    scene.gate.send(false).unwrap();
    let chunk = scene.generator.send(Chunk(video.into()));
    let finish = scene.generator.send(Finish);
    scene.thumbnails.recv().await.unwrap();
    drop(scene.generator);
    assert_eq!(finish.await.unwrap(), Err(ThumbnailError::Stopped));
    chunk.await.unwrap().unwrap();
    ffmpeg_is_gone("0.015625").await;
}

#[actix::test]
async fn the_end_of_the_caller_ends_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let video = small_clip(&folder, "clip.mp4", FASTSTART);
    let scene = Scene::new("0.828125");
    scene.caller.send(Stop).await.unwrap();
    scene.video(&video, 10_000).await;
    assert_eq!(scene.finish().await, Err(ThumbnailError::CallerGone));
    ffmpeg_is_gone("0.828125").await;
}

#[actix::test]
async fn a_killed_ffmpeg_is_reported_with_its_signal() {
    let folder = tempfile::tempdir().unwrap();
    let video = small_clip(&folder, "clip.mp4", FASTSTART);
    let scene = Scene::new("0.578125");
    scene.video(&video[..video.len() / 2], 10_000).await;
    let pid = ffmpeg_runs("0.578125").await.to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    support::eventually("it is dead", || ffmpegs("0.578125").is_empty().then_some(())).await;
    assert_eq!(scene.video(&video[video.len() / 2..], 1_000).await, Taken::Enough);
    let Err(ThumbnailError::Ffmpeg { status, .. }) = scene.finish().await else { panic!("it worked") };
    assert!(status.contains("signal: 9"), "{status}");
}

#[actix::test]
async fn a_generator_finishes_once() {
    let scene = Scene::new("1");
    assert!(scene.finish().await.is_err());
    assert_eq!(scene.finish().await, Err(ThumbnailError::FinishedTwice));
    assert_eq!(scene.chunk("more").await, Ok(Taken::Enough));
}
