//! Actors and pools that the tests share.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use flame_actor::{
    Pool, PoolBuilder,
    backend::{Backend, Boot, BootError, BoxFuture, ExitReason, Instance, LocalBackend, Resources},
    remote,
};
use serde::{Deserialize, Serialize};

pub(crate) fn builder(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1).backend(LocalBackend::new())
}

pub(crate) fn pool(name: &str) -> Pool {
    builder(name).start().unwrap()
}

/// Nothing here takes anything near this long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// Looks again until it is so. What another node does comes with no event here.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s: {what}");
}

/// Remembers what it was told, in order.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Log(pub(crate) Vec<u64>);

impl Actor for Log {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) u64);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<u64>")]
pub(crate) struct Notes;

/// A note with some ballast.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Heavy(pub(crate) u64, pub(crate) bytes::Bytes);

#[remote]
impl Handler<Note> for Log {
    type Result = ();
    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

#[remote]
impl Handler<Heavy> for Log {
    type Result = ();
    fn handle(&mut self, Heavy(n, _): Heavy, _: &mut Context<Self>) {
        self.0.push(n);
    }
}

#[remote]
impl Handler<Notes> for Log {
    type Result = MessageResult<Notes>;
    fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.0.clone())
    }
}

/// Waits until a local log has these notes.
pub(crate) async fn until_notes(log: &Addr<Log>, wanted: &[u64]) {
    for _ in 0..2000 {
        if log.send(Notes).await.unwrap() == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?} and not {wanted:?}", log.send(Notes).await);
}

/// The in-process backend, which remembers what it was told and gives its instances away to be killed.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    /// What its runners print, which never join.
    mute: Option<&'static [&'static str]>,
    boots: Arc<Mutex<Vec<Resources>>>,
    instances: Arc<Mutex<Vec<Arc<dyn Instance>>>>,
}

/// An instance that prints something, and lives until it is killed.
#[derive(Debug)]
struct Mute {
    log: &'static [&'static str],
    end: tokio::sync::watch::Sender<bool>,
}

impl Instance for Mute {
    fn describe(&self) -> String {
        "mute".to_owned()
    }

    fn exited(&self) -> BoxFuture<ExitReason> {
        let mut end = self.end.subscribe();
        Box::pin(async move {
            let _ = end.wait_for(|end| *end).await;
            ExitReason::Exited { code: 0 }
        })
    }

    fn terminate(&self) {
        self.end.send_replace(true);
    }

    fn kill(&self) {
        self.terminate();
    }

    fn log_tail(&self) -> Vec<String> {
        self.log.iter().map(ToString::to_string).collect()
    }
}

impl Recorded {
    /// Its runners print this and never join.
    pub(crate) fn mute(log: &'static [&'static str]) -> Self {
        Self { mute: Some(log), ..Self::default() }
    }

    pub(crate) fn boots(&self) -> Vec<Resources> {
        self.boots.lock().unwrap().clone()
    }

    pub(crate) fn kill(&self, index: usize) {
        self.instances.lock().unwrap()[index].kill();
    }
}

impl Backend for Recorded {
    fn name(&self) -> &str {
        "recorded"
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        self.boots.lock().unwrap().push(boot.resources.clone());
        if let Some(log) = self.mute {
            let instance = Arc::new(Mute { log, end: tokio::sync::watch::Sender::new(false) });
            return Box::pin(async move { Ok(instance as Arc<dyn Instance>) });
        }
        let (booting, instances) = (LocalBackend::new().boot(boot), Arc::clone(&self.instances));
        Box::pin(async move {
            let instance = booting.await?;
            instances.lock().unwrap().push(Arc::clone(&instance));
            Ok(instance)
        })
    }
}
