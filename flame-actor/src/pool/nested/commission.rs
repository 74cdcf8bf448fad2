//! What a runner asks of its parent, and the answer.
//!
//! A commission is framed as an order is (see `host::protocol`): itself, then the body of the work. It is answered as the runner
//! that does the work answers, or with the [`CallError`](crate::CallError) or [`PlaceFailure`](crate::PlaceFailure) that the same work would
//! fail with in the parent.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    backend::{InvalidResources, Resources},
    host::protocol::ChildThread,
    pool::{
        machine::{Affinity, RunnerSeq},
        wish::{Time, Wish},
    },
    supervise::policy::Policy,
};

/// Work for one of the parent's pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commission {
    pub(super) pool: String,
    pub(super) work: Nested,
    limit: Limit,
    /// The time that is left to the work which asks for this.
    left: Option<Duration>,
    /// A key, and whether it is required.
    key: Option<(String, bool)>,
    resources: Option<Share>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Nested {
    Call {
        /// The task's number.
        task: u32,
        retries: u32,
        /// It goes on when nobody waits for it any more.
        detached: bool,
    },
    Place {
        /// The number of the actor's type.
        actor: u32,
        /// The runner's number for the child.
        child: u64,
        thread: ChildThread,
        policy: Policy,
        lifetime: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Limit {
    OfPool,
    Never,
    Within(Duration),
}

/// Resources, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    cpu: Option<u32>,
    memory: Option<u64>,
    gpus: Option<u32>,
    others: Vec<(String, String)>,
}

impl Commission {
    pub(super) fn new(pool: &str, work: Nested, wish: &Wish) -> Self {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        Self {
            pool: pool.to_owned(),
            work,
            limit: match wish.time {
                Time::OfPool => Limit::OfPool,
                Time::Within(None) => Limit::Never,
                Time::Within(Some(limit)) => Limit::Within(limit),
                Time::Until(at) => Limit::Within(left(at)),
            },
            left: wish.inherited.map(left),
            key: wish.affinity.as_ref().map(|affinity| {
                (affinity.key().as_str().to_owned(), matches!(affinity, Affinity::Require(_)))
            }),
            resources: wish.resources.as_ref().map(Share::of),
        }
    }

    /// The same wish again, from the runner `origin` if that is one of the pool's own.
    pub(super) fn wish(&self, origin: Option<RunnerSeq>) -> Result<Wish, InvalidResources> {
        let key = |(key, required): &(String, bool)| {
            let key = key.clone().into();
            if *required { Affinity::Require(key) } else { Affinity::Prefer(key) }
        };
        Ok(Wish {
            time: match self.limit {
                Limit::OfPool => Time::OfPool,
                Limit::Never => Time::Within(None),
                Limit::Within(limit) => Time::Within(Some(limit)),
            },
            inherited: self.left.and_then(|left| Instant::now().checked_add(left)),
            affinity: self.key.as_ref().map(key),
            resources: self.resources.clone().map(Share::checked).transpose()?,
            origin,
        })
    }
}

impl Share {
    fn of(resources: &Resources) -> Self {
        let others = resources.others().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            cpu: resources.cpu(),
            memory: resources.memory(),
            gpus: resources.gpus(),
            others: others.collect(),
        }
    }

    fn checked(self) -> Result<Resources, InvalidResources> {
        let mut builder = Resources::builder();
        builder = self.cpu.into_iter().fold(builder, |builder, cpu| builder.cpu(cpu));
        builder = self.memory.into_iter().fold(builder, |builder, memory| builder.memory(memory));
        builder = self.gpus.into_iter().fold(builder, |builder, gpus| builder.gpus(gpus));
        let others = self.others.into_iter();
        others.fold(builder, |builder, (name, value)| builder.other(name, value)).build()
    }
}
