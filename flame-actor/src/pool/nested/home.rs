//! The parent's side: what its runners commission.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use flame_transport::{Body, NodeId, Owed, codec};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    commission::{Commission, Nested},
    names,
};
use crate::{
    host::protocol::split,
    pool::{
        Core,
        child::Ownership,
        error::{CallError, PlaceFailure, encode_error},
        keeping,
        machine::{Failure, RunnerSeq},
        running::{Call, run},
        starting::Start,
    },
    registry::Registry,
    remote::{Encoded, Peer, Remote, answer_placed, discard, rebase},
    supervise::policy::Policy,
};

/// What one runner has commissioned.
pub(in crate::pool) struct Commissions {
    /// The runner's own pool.
    core: Weak<Core>,
    runner: RunnerSeq,
    children: Mutex<HashMap<u64, Stage>>,
}

/// How far a child of the runner's is.
enum Stage {
    Starting {
        detached: bool,
    },
    /// With a reference: the runner's own may be given back before it is heard why the child is to stop.
    Started(Ownership, Arc<Remote>),
}

/// A child that a runner wants placed.
struct Birth {
    start: Start,
    value: Encoded,
    policy: Policy,
    /// The runner's number for it.
    child: u64,
}

impl Commissions {
    pub(in crate::pool) fn of(core: Weak<Core>, runner: RunnerSeq) -> Arc<Self> {
        Arc::new(Self { core, runner, children: Mutex::default() })
    }

    /// Carries out what the runner asks for. To be called in the order in which it asks.
    pub(in crate::pool) fn take(self: &Arc<Self>, body: &Bytes, owed: Owed, from: &Arc<Peer>) {
        let Some((commission, inner)) = split::<Commission>(body) else {
            return owed.refuse(Body::Copy(&[]));
        };
        let pool = self.core.upgrade().and_then(|home| {
            let core = names::beside(&home, &commission.pool)?;
            let origin = Arc::ptr_eq(&home, &core).then_some(self.runner);
            Some((core, origin))
        });
        let Some((core, origin)) = pool else {
            discard(&inner, from);
            let failure = Failure::NoSuchPool { pool: commission.pool };
            return match commission.work {
                Nested::Call { .. } => refuse(owed, &CallError::NotPlaced(failure)),
                Nested::Place { .. } => refuse(owed, &PlaceFailure::NotPlaced(failure)),
            };
        };
        let node = from.node().clone();
        let body = match rebase(Body::Own(inner), from) {
            Ok(body) => body.into_encoded(),
            Err(_) => return refuse_work(owed, &commission.work, node, "its references are gone"),
        };
        let wish = match commission.wish(origin) {
            Ok(wish) => wish,
            Err(wrong) => return refuse_work(owed, &commission.work, node, &wrong.to_string()),
        };
        match commission.work {
            Nested::Call { task, retries, detached } => {
                let call = Call { task, body, wish, retries };
                from.spawn(make_call(core, call, detached, owed, Arc::clone(from)));
            }
            Nested::Place { actor, child, thread, policy, lifetime } => {
                self.children().insert(child, Stage::Starting { detached: false });
                let start = Start { core, actor, thread, lifetime, wish };
                let birth = Birth { start, value: body, policy, child };
                from.spawn(Arc::clone(self).place(birth, owed, Arc::clone(from)));
            }
        }
    }

    /// The runner stops a child.
    pub(in crate::pool) fn stop(&self, child: u64, reason: Option<String>, grace: Option<Duration>) {
        let stage = self.children().remove(&child);
        // One that is starting is let go when it has started.
        if let Some(Stage::Started(ownership, remote)) = stage {
            if reason.is_some() {
                remote.keep_until_end();
            }
            ownership.stop(reason, grace);
        }
    }

    /// The runner wants a child no more.
    fn let_go(&self, child: u64) {
        let gone = self.children().remove(&child);
        drop(gone);
    }

    /// The runner gives up ownership of a child, which lives on.
    pub(in crate::pool) fn detach(&self, child: u64) {
        let mut children = self.children();
        if let Some(Stage::Starting { detached }) = children.get_mut(&child) {
            *detached = true;
            return;
        }
        let started = children.remove(&child);
        drop(children);
        if let Some(Stage::Started(ownership, _)) = started {
            ownership.detach();
        }
    }

    /// The runner is lost: what it owned goes with it.
    pub(in crate::pool) fn lost(&self) {
        let children = std::mem::take(&mut *self.children());
        drop(children);
    }

    async fn place(self: Arc<Self>, birth: Birth, owed: Owed, from: Arc<Peer>) {
        let Birth { start, value, policy, child } = birth;
        let placing = async {
            if policy.is_supervision() {
                let (done, outcome) = oneshot::channel();
                let remote = keeping::supervise(start, policy, value, Arc::default(), done);
                let closed = |_| Err(PlaceFailure::NotPlaced(Failure::PoolClosed));
                return (remote, outcome.await.unwrap_or_else(closed));
            }
            let remote = Remote::unconnected();
            let settled = start.settle(&value, &remote).await;
            (remote, settled)
        };
        let (remote, outcome) = tokio::select! {
            biased;
            placed = placing => placed,
            () = owed.cancelled() => return self.let_go(child),
        };
        let ownership = match outcome {
            Ok(ownership) => ownership,
            Err(reason) => {
                self.let_go(child);
                return refuse(owed, &reason);
            }
        };
        let mut node = BytesMut::new();
        // A name of a node always fits.
        let _ = codec::encode(ownership.node(), &mut node, 1024);
        // Before the answer, behind which the runner may let it go.
        if !self.keep(child, ownership, &remote) {
            return;
        }
        match answer_placed(&remote, &from, &node) {
            Some(answer) => owed.reply(Body::Own(answer)),
            None => self.let_go(child),
        }
    }

    /// Keeps a child for the runner; false, and it is stopped, if that has let it go meanwhile.
    fn keep(&self, child: u64, ownership: Ownership, remote: &Arc<Remote>) -> bool {
        let mut children = self.children();
        match children.get_mut(&child) {
            Some(Stage::Starting { detached: true }) => {
                children.remove(&child);
                drop(children);
                ownership.detach();
                true
            }
            Some(stage) => {
                *stage = Stage::Started(ownership, Arc::clone(remote));
                true
            }
            None => false,
        }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<u64, Stage>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make_call(core: Arc<Core>, call: Call, detached: bool, owed: Owed, from: Arc<Peer>) {
    let task = call.task;
    let running = run(&core, call);
    let outcome = if detached {
        running.await
    } else {
        tokio::select! {
            biased;
            outcome = running => outcome,
            () = owed.cancelled() => return,
        }
    };
    match outcome {
        Ok(answer) => answer.hand_on(owed, &from),
        // Nobody waits for it any more.
        Err(error) if detached && owed.cancelled().now_or_never().is_some() => {
            let name = Registry::get().ok().and_then(|registry| registry.task_name(task));
            core.forget(name.unwrap_or("a task"), Err(error));
        }
        Err(error) => refuse(owed, &error),
    }
}

fn refuse_work(owed: Owed, work: &Nested, runner: NodeId, message: &str) {
    let message = message.to_owned();
    match work {
        Nested::Call { .. } => refuse(owed, &CallError::Refused { runner, message }),
        Nested::Place { .. } => refuse(owed, &PlaceFailure::Refused { runner, message }),
    }
}

fn refuse<E: Serialize>(owed: Owed, error: &E) {
    owed.refuse(Body::Own(encode_error(error)));
}
