//! The caller's side: an actor that writes each thumbnail to the folder.

use std::path::{Path, PathBuf};

use actix::{Actor, Context, Handler, ResponseFuture};
use flame_examples::thumbnails::Thumbnail;
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// Handles a thumbnail by writing it to `folder`. It knows nothing of runners.
pub(crate) struct Collector {
    folder: PathBuf,
    news: mpsc::Sender<Result<Saved, Failure>>,
}

/// A thumbnail that is in the folder.
#[derive(Debug, Serialize)]
pub(crate) struct Saved {
    pub(crate) index: u32,
    #[serde(serialize_with = "as_text")]
    pub(crate) path: PathBuf,
    pub(crate) bytes: usize,
    pub(crate) runner: String,
    pub(crate) pid: u32,
}

impl Collector {
    /// `news` is told of each thumbnail.
    pub(crate) fn new(folder: PathBuf, news: mpsc::Sender<Result<Saved, Failure>>) -> Self {
        Self { folder, news }
    }
}

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<Thumbnail> for Collector {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, thumbnail: Thumbnail, _: &mut Context<Self>) -> Self::Result {
        let Thumbnail { index, image, runner, pid } = thumbnail;
        let path = self.folder.join(format!("{index:04}.png"));
        let news = self.news.clone();
        // Done, and so ready for the next one, when the file is written and the news is taken.
        Box::pin(async move {
            let saved = match tokio::fs::write(&path, &image).await {
                Ok(()) => Ok(Saved { index, path, bytes: image.len(), runner, pid }),
                Err(error) => Err(Failure::file(&path, error)),
            };
            let _ = news.send(saved).await;
        })
    }
}

/// A path that is not Unicode is shown as well as can be.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
