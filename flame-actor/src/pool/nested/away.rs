//! The runner's side: a pool of the parent's.

use std::{sync::Arc, time::Duration};

use actix::ArbiterHandle;
use bytes::Bytes;
use flame_transport::{AskError, NodeId, codec};
use serde::de::DeserializeOwned;

use super::commission::{Commission, Nested};
use crate::{
    dead_letters,
    host::{Host, protocol::ChildThread},
    pool::{
        child::{Owned, Ownership},
        error::{CallError, PlaceFailure, RunnerLoss},
        machine::Failure,
        orders::{self, Ending, Sent},
        running::{Answer, Call},
        wish::Wish,
    },
    remote::{Encoded, Peer, Remote, SendError, placed},
    supervise::policy::Policy,
};

/// A pool of the parent's, as one of its runners sees it.
pub(in crate::pool) struct Away {
    name: Arc<str>,
    host: Arc<Host>,
}

/// An actor that the parent is to place, whatever its value is.
pub(in crate::pool) struct PlaceAway {
    /// The number of its type.
    pub(in crate::pool) actor: u32,
    pub(in crate::pool) thread: ChildThread,
    pub(in crate::pool) policy: Policy,
    pub(in crate::pool) lifetime: Option<Duration>,
    pub(in crate::pool) wish: Wish,
}

/// Why a commission has no answer.
enum Unanswered {
    /// It was not sent.
    Unsent(SendError),
    /// There is no parent any more.
    NoParent,
    /// The parent was lost while it had the commission.
    Lost(AskError),
    /// The parent's word.
    Refused(Bytes),
}

impl Away {
    pub(super) fn new(name: &str, host: Arc<Host>) -> Self {
        Self { name: name.into(), host }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn max_message(&self) -> usize {
        /// Of a link with its defaults. Nothing is sent without a link, whatever its length.
        const USUAL: usize = 16 * 1024 * 1024;
        self.host.parent().map_or(USUAL, |parent| parent.max_message())
    }

    pub(super) fn link_arbiter(&self) -> &ArbiterHandle {
        self.host.link_arbiter()
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a parent this runner ends, and so does the work.
        if let Some(parent) = self.host.parent() {
            parent.spawn(work);
        }
    }

    /// Has the parent make a call. Dropped midway, it cancels that, unless it is `detached`.
    pub(in crate::pool) async fn call(&self, call: Call, detached: bool) -> Result<Answer, CallError> {
        let work = Nested::Call { task: call.task, retries: call.retries, detached };
        match self.ask(work, &call.wish, &call.body).await {
            Ok((body, parent)) => Ok(Answer::new(body, parent)),
            Err(Unanswered::Unsent(error)) => Err(error.into()),
            Err(Unanswered::NoParent) => Err(CallError::NotPlaced(Failure::PoolClosed)),
            Err(Unanswered::Lost(lost)) => Err(CallError::RunnerLost(self.loss(&lost))),
            Err(Unanswered::Refused(body)) => Err(decode(&body)
                .unwrap_or_else(|message| CallError::Refused { runner: self.host.node().clone(), message })),
        }
    }

    /// Has the parent place an actor, and connects `remote` to it. Dropped midway, it takes the actor back down.
    pub(in crate::pool) async fn place(
        &self,
        order: &PlaceAway,
        value: &Encoded,
        remote: &Arc<Remote>,
    ) -> Result<Ownership, PlaceFailure> {
        let PlaceAway { actor, thread, policy, lifetime, ref wish } = *order;
        let child = self.host.next_commission();
        let parent = self.host.parent().ok_or(PlaceFailure::NotPlaced(Failure::PoolClosed))?;
        // From here on, what is dropped lets the child go.
        let mut ownership = Ownership::new(Owned::Commissioned(parent, child), self.host.node().clone());
        let work = Nested::Place { actor, child, thread, policy, lifetime };
        match self.ask(work, wish, value).await {
            Ok((body, parent)) => {
                let placed = placed(&body).and_then(|(port, node)| Some((port, codec::decode(node).ok()?)));
                let (port, node) =
                    placed.ok_or_else(|| PlaceFailure::Answer { runner: self.host.node().clone() })?;
                ownership.is_on(node);
                parent.adopt(port, remote);
                Ok(ownership)
            }
            Err(Unanswered::Unsent(error)) => Err(error.into()),
            Err(Unanswered::NoParent) => Err(PlaceFailure::NotPlaced(Failure::PoolClosed)),
            Err(Unanswered::Lost(lost)) => Err(PlaceFailure::RunnerLost(self.loss(&lost))),
            Err(Unanswered::Refused(body)) => Err(decode(&body).unwrap_or_else(|message| {
                PlaceFailure::Refused { runner: self.host.node().clone(), message }
            })),
        }
    }

    pub(super) fn forget(&self, task: &'static str, outcome: Result<(), CallError>) {
        if let Err(error) = outcome {
            tracing::warn!(target: "flame::dead_letter", pool = self.name(), task, %error, "a cast failed");
            dead_letters::publish(Some(task), error.runner(), &error);
        }
    }

    async fn ask(&self, work: Nested, wish: &Wish, body: &Encoded) -> Result<(Bytes, Arc<Peer>), Unanswered> {
        let parent = self.host.parent().ok_or(Unanswered::NoParent)?;
        let commission = Commission::new(&self.name, work, wish);
        let order = orders::Ready::new(&commission, body, &parent).map_err(Unanswered::Unsent)?;
        let asked = match orders::send(&parent, order, ()).map_err(Unanswered::Unsent)? {
            Sent::Asked(asked) => asked,
            Sent::Unsent(()) => return Err(Unanswered::NoParent),
        };
        match asked.await {
            Ending::Came(Ok(reply)) => Ok((reply.body, parent)),
            Ending::Came(Err(AskError::Refused { body })) => Err(Unanswered::Refused(body)),
            Ending::Came(Err(lost)) => Err(Unanswered::Lost(lost)),
            Ending::NotBegun(()) => Err(Unanswered::NoParent),
        }
    }

    /// This runner is lost to its parent, and so is what it has asked for.
    fn loss(&self, lost: &AskError) -> RunnerLoss {
        let runner: NodeId = self.host.node().clone();
        RunnerLoss { runner, exit: None, detail: format!("the link to its parent: {lost}") }
    }
}

fn decode<E: DeserializeOwned>(body: &[u8]) -> Result<E, String> {
    codec::decode(body)
        .map_err(|error| format!("its parent refuses it, for a reason that cannot be read: {error}"))
}
