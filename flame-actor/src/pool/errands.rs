//! What takes its time: the pool leaves it to its supervisor.

use std::{sync::Arc, time::Instant};

use actix::Message;

use super::{
    core::Core,
    machine::{PoolEvent, RunnerSeq},
};
use crate::backend::Resources;

/// What the pool's machine wants done, and when it wants to look again.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Errands {
    pub(super) errands: Vec<Errand>,
    pub(super) wake: Option<Instant>,
}

pub(super) enum Errand {
    Boot {
        runner: RunnerSeq,
        attempt: u32,
        resources: Arc<Resources>,
        until: Option<Instant>,
    },
    AskIdle {
        runner: RunnerSeq,
        ask: u64,
    },
    /// A runner has to go, and its supervised children before it.
    Clear(RunnerSeq),
    Retire(RunnerSeq),
    Terminate(RunnerSeq),
    WantPermits {
        permits: u32,
        urgent: bool,
    },
    ReturnPermits(u32),
    Tell(PoolEvent),
    /// The pool is to stop; it has to be there until it has.
    Drain(Arc<Core>),
    Stopped,
}
