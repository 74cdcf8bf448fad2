//! Work that lasts until the test lets it go.

use actix::prelude::*;
use flame_actor::{RemoteRecipient, Task};
use tokio::sync::{mpsc, watch};

use super::soon;
use crate::{Arrived, Begun, hold};

/// Holds tasks at a point that the test sees, until it opens.
pub struct Gate {
    keeper: RemoteRecipient<Arrived>,
    arrived: mpsc::UnboundedReceiver<u32>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate, kept by an actor on this arbiter.
    #[must_use]
    pub fn new() -> Self {
        let (heard, arrived) = mpsc::unbounded_channel();
        let open = watch::Sender::new(false);
        let keeper = Keeper { heard, open: open.clone() }.start();
        Self { keeper: keeper.recipient().into(), arrived, open }
    }

    /// A task that waits at the gate; its output is the process that it ran in.
    #[must_use]
    pub fn task(&self) -> impl Task<Output = u32> + use<> {
        hold::task(self.keeper.clone())
    }

    /// Who tells the gate that something has come to it, for tasks of another kind.
    #[must_use]
    pub fn keeper(&self) -> RemoteRecipient<Arrived> {
        self.keeper.clone()
    }

    /// The process of the next task that has come to the gate.
    pub async fn arrival(&mut self) -> u32 {
        soon(self.arrived.recv()).await.unwrap()
    }

    /// The processes of the next so many tasks.
    pub async fn arrivals(&mut self, count: usize) -> Vec<u32> {
        let mut pids = Vec::new();
        while pids.len() < count {
            pids.push(self.arrival().await);
        }
        pids
    }

    /// Whether nobody has come whom the test has not seen.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Lets all go that have come and that are to come.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

struct Keeper {
    heard: mpsc::UnboundedSender<u32>,
    open: watch::Sender<bool>,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

impl Handler<Arrived> for Keeper {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Arrived(pid): Arrived, _: &mut Context<Self>) -> Self::Result {
        let _ = self.heard.send(pid);
        let mut open = self.open.subscribe();
        Box::pin(async move {
            let _ = open.wait_for(|open| *open).await;
        })
    }
}

/// Someone who hears that tasks have begun.
#[must_use]
pub fn begun() -> (RemoteRecipient<Begun>, mpsc::UnboundedReceiver<u32>) {
    let (heard, begun) = mpsc::unbounded_channel();
    (Ear(heard).start().recipient().into(), begun)
}

struct Ear(mpsc::UnboundedSender<u32>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Begun> for Ear {
    type Result = ();

    fn handle(&mut self, Begun(pid): Begun, _: &mut Context<Self>) {
        let _ = self.0.send(pid);
    }
}
