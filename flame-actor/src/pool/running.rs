//! One call: from the queue to its answer.

use std::sync::Arc;

use bytes::Bytes;
use flame_transport::{AskError, Body, Owed, codec};
use serde::de::DeserializeOwned;

use super::{
    Core,
    core::Seat,
    error::{CallError, RunnerLoss, WorkPhase, encode_error},
    machine::{Event, RunnerSeq},
    orders::{self, Ending, Reply, Sent},
    runners::Boarding,
    wish::{Term, Wish},
};
use crate::{
    host::protocol::{Order, StartFailure},
    remote::{self, Encoded, Keeper, Peer, decode_keeping, discard, rebase},
};

/// A call that is encoded and may be sent to any runner.
pub(super) struct Call {
    /// The task's number.
    pub(super) task: u32,
    /// Its arguments.
    pub(super) body: Encoded,
    pub(super) wish: Wish,
    /// How often it may be made again after it may have run.
    pub(super) retries: u32,
}

/// The output of a call, as it came over a link.
#[must_use = "what it refers to is held until it is decoded or discarded"]
pub(super) struct Answer {
    body: Bytes,
    peer: Arc<Peer>,
    /// Held until the last reference in it goes.
    keeper: Option<Keeper>,
}

impl Answer {
    pub(super) fn new(body: Bytes, peer: Arc<Peer>) -> Self {
        Self { body, peer, keeper: None }
    }

    /// Answers another node with it.
    pub(super) fn hand_on(self, owed: Owed, asker: &Arc<Peer>) {
        let runner = self.peer.node().clone();
        let refuse = |owed: Owed, message: &str| {
            let error = CallError::Output { runner: runner.clone(), message: message.to_owned() };
            owed.refuse(Body::Own(encode_error(&error)));
        };
        match rebase(Body::Own(self.body), &self.peer) {
            Ok(remote::Ready::Plain(body)) => owed.reply(body),
            Ok(remote::Ready::Referring(answer)) => match answer.for_link(asker) {
                Ok(sendable) => {
                    // The slot is held for the asker now.
                    if let Some(keeper) = &self.keeper {
                        sendable.keep(keeper);
                    }
                    owed.reply(Body::Own(sendable.body.clone()));
                    sendable.sent();
                }
                Err(_) => refuse(owed, "the caller is gone"),
            },
            Err(_) => refuse(owed, "its references are gone"),
        }
    }

    pub(super) fn decode<O: DeserializeOwned>(self) -> Result<O, CallError> {
        let Self { body, peer, keeper } = self;
        decode_keeping(&body, &peer, keeper)
            .map_err(|error| CallError::Output { runner: peer.node().clone(), message: error.to_string() })
    }

    /// Nobody wants it.
    pub(super) fn discard(self) {
        discard(&self.body, &self.peer);
    }
}

/// Runs a call on a runner. Dropped midway, it cancels it.
pub(super) async fn run(core: &Arc<Core>, call: Call) -> Result<Answer, CallError> {
    let term = call.wish.begin(core.settings.timeout());
    let class = core.class(&call.wish);
    let mut retries = call.retries;
    loop {
        let seat = core.seat(core.request(&call.wish, &class, term)).await;
        let seat = seat.map_err(|failure| CallError::unplaced(failure, term))?;
        match hand_over(core, &call, term, seat).await? {
            Outcome::Answered(answer) => return Ok(answer),
            Outcome::Lost(_) if retries > 0 => retries -= 1,
            Outcome::Lost(loss) => return Err(CallError::RunnerLost(loss)),
        }
    }
}

enum Outcome {
    Answered(Answer),
    /// The runner was lost while it had the call.
    Lost(RunnerLoss),
}

/// Hands a call over to the runner of a seat, or of the next one if that does not begin it, and waits for the answer.
async fn hand_over(core: &Arc<Core>, call: &Call, term: Term, mut seat: Seat) -> Result<Outcome, CallError> {
    loop {
        if term.is_over() {
            return Err(CallError::timeout(term, WorkPhase::Queued, None));
        }
        let (peer, boarding) = (Arc::clone(seat.peer()), seat.boarding.clone());
        let order = seat.order(&Order::Call { task: call.task, time: term.left() }, &call.body)?;
        let (unused, why): (Seat, fn(RunnerSeq) -> Event) = match orders::send(&peer, order, seat)? {
            Sent::Unsent(unused) => (unused, Event::Lost),
            Sent::Asked(asked) => match term.bound(asked).await {
                None => {
                    let runner = peer.node().clone();
                    return Err(CallError::timeout(term, WorkPhase::Running, Some(runner)));
                }
                Some(Ending::Came(outcome)) => return ended(core, &boarding, term, outcome).await,
                // Too late to be told from a call that was begun and could not be ended.
                Some(Ending::NotBegun(_)) if term.is_over() => {
                    let runner = peer.node().clone();
                    return Err(CallError::timeout(term, WorkPhase::Running, Some(runner)));
                }
                Some(Ending::NotBegun(unused)) => (unused, Event::Condemn),
            },
        };
        let another = core.seat_again(unused, why, term.deadline()).await;
        seat = another.map_err(|failure| CallError::unplaced(failure, term))?;
    }
}

/// What there is to say of a call that a runner has had.
async fn ended(
    core: &Core,
    boarding: &Boarding,
    term: Term,
    outcome: Result<Reply, AskError>,
) -> Result<Outcome, CallError> {
    let peer = &boarding.peer;
    let runner = peer.node().clone();
    match outcome {
        Ok(Reply { body, keeper }) => Ok(Outcome::Answered(Answer { body, peer: Arc::clone(peer), keeper })),
        Err(AskError::Refused { body }) => {
            let failure = codec::decode(&body)
                .unwrap_or_else(|error: codec::DecodeError| StartFailure::Undecodable(error.to_string()));
            Err(CallError::from_start(failure, runner, term))
        }
        // The runner lives, and what ran there has ended without a word.
        Err(AskError::Dropped) => {
            let message = "it was given up without an answer".to_owned();
            Err(CallError::Panicked { runner, message })
        }
        Err(lost) => Ok(Outcome::Lost(core.loss_of(boarding, lost.to_string(), term).await)),
    }
}
