//! Calls of an empty task.

use bytes::Bytes;
use flame_actor::{Pool, task};

use crate::workload::Client;

#[task]
async fn nothing() {}

/// Calls where others ask.
pub(super) struct Calls<'a>(pub(super) &'a Pool);

impl Client for Calls<'_> {
    async fn ask(&self, _: &Bytes) {
        self.0.call(nothing::task()).await.expect("an output");
    }

    async fn tell(&self, payload: &Bytes) {
        self.ask(payload).await;
    }

    async fn settle(&self) {}
}
