//! One start of an actor: from the queue to its address.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flame_transport::{AskError, codec};

use super::{
    Core,
    child::{Owned, Ownership},
    core::Seat,
    error::{PlaceFailure, WorkPhase},
    machine::{Event, RunnerSeq},
    orders::{self, Ending, Sent},
    runners::Boarding,
    wish::{Term, Wish},
};
use crate::{
    host::protocol::{ChildThread, Lifetime, Order, StartFailure},
    remote::{Charge, Encoded, Keeper, Remote, placed_port},
};

/// What is known of an actor that is to be started, whatever its value is by then.
pub(super) struct Start {
    pub(super) core: Arc<Core>,
    /// The number of its type.
    pub(super) actor: u32,
    pub(super) thread: ChildThread,
    pub(super) lifetime: Option<Duration>,
    pub(super) wish: Wish,
}

/// An actor that has started.
pub(super) struct Started {
    pub(super) boarding: Boarding,
    /// The port at which it takes messages, named once.
    pub(super) port: u32,
    /// The number that its runner knows it by.
    pub(super) child: u64,
}

/// Of an actor that may be started again.
pub(super) struct Supervision<'a> {
    pub(super) charge: Charge,
    /// When its lifetime is over.
    pub(super) end: Option<Instant>,
    /// Is told of each runner that the actor is handed to, and of the number that it has there.
    pub(super) handed: &'a (dyn Fn(&Boarding, u64) + Sync),
}

impl Start {
    /// Places an actor that is never started again, and connects `remote` to it.
    ///
    /// Dropped midway, it takes the actor back down.
    pub(super) async fn settle(
        &self,
        value: &Encoded,
        remote: &Arc<Remote>,
    ) -> Result<Ownership, PlaceFailure> {
        let Started { boarding, port, child } = self.place(value, None).await?;
        boarding.peer.adopt(port, remote);
        let node = boarding.peer.node().clone();
        Ok(Ownership::new(Owned::Once(boarding.peer, child), node))
    }

    /// Places the actor's value on a runner and starts it there.
    ///
    /// Dropped midway, it takes the actor back down.
    pub(super) async fn place(
        &self,
        value: &Encoded,
        supervision: Option<Supervision<'_>>,
    ) -> Result<Started, PlaceFailure> {
        let core = &self.core;
        let is_first = supervision.as_ref().is_none_or(|supervision| supervision.charge.incarnation.0 == 1);
        let of_pool = core.settings.timeout();
        let term = if is_first { self.wish.begin(of_pool) } else { self.wish.begin_again(of_pool) };
        let class = core.class(&self.wish);
        let unplaced = |failure| PlaceFailure::unplaced(failure, term);
        let mut seat = core.seat(core.request(&self.wish, &class, term)).await.map_err(unplaced)?;
        loop {
            if term.is_over() {
                return Err(PlaceFailure::timeout(term, WorkPhase::Queued, None));
            }
            let (unused, why) = match self.hand_over(value, supervision.as_ref(), term, seat).await? {
                Placed::Started(started) => return Ok(started),
                Placed::NotBegun(unused, why) => (unused, why),
            };
            let another = match unused {
                Some(unused) => core.seat_again(unused, why, term.deadline()).await,
                None => core.seat(core.request(&self.wish, &class, term)).await,
            };
            seat = another.map_err(unplaced)?;
        }
    }

    async fn hand_over(
        &self,
        value: &Encoded,
        supervision: Option<&Supervision<'_>>,
        term: Term,
        seat: Seat,
    ) -> Result<Placed, PlaceFailure> {
        let (runner, boarding) = (seat.runner, seat.boarding.clone());
        let node = seat.node().clone();
        let child = self.core.next_child();
        let order = seat.order(&self.order(child, supervision), value)?;
        // The slot is the child's before the order leaves: its end may be told before its start is.
        if let Err(seat) = self.core.runners(|runners| runners.seat_child(runner, child, seat)) {
            return Ok(Placed::NotBegun(Some(seat), Event::Lost));
        }
        if let Some(Supervision { charge, handed, .. }) = supervision {
            self.core.charge(runner, child, charge);
            handed(&boarding, child);
        }
        let berth =
            Berth { core: Some(Arc::clone(&self.core)), runner, child, is_timed: self.lifetime.is_some() };
        let asked = match orders::send(&boarding.peer, order, berth)? {
            Sent::Asked(asked) => asked,
            Sent::Unsent(unused) => return Ok(Placed::NotBegun(unused, Event::Lost)),
        };
        let outcome = match term.bound(asked).await {
            None => return Err(PlaceFailure::timeout(term, WorkPhase::Running, Some(node))),
            Some(Ending::NotBegun(unused)) => return Ok(Placed::NotBegun(unused, Event::Condemn)),
            Some(Ending::Came(outcome)) => outcome,
        };
        match outcome {
            Ok(reply) => match placed_port(&reply.body) {
                Some(port) => Ok(Placed::Started(Started { boarding, port, child })),
                None => Err(PlaceFailure::Answer { runner: node }),
            },
            Err(AskError::Refused { body }) => {
                let failure = codec::decode(&body)
                    .unwrap_or_else(|error: codec::DecodeError| StartFailure::Undecodable(error.to_string()));
                Err(PlaceFailure::from_start(failure, node))
            }
            Err(AskError::Dropped) => {
                let message = "it was given up without an answer".to_owned();
                Err(PlaceFailure::Panicked { runner: node, message })
            }
            Err(lost) => {
                let loss = self.core.loss_of(&boarding, lost.to_string(), term).await;
                Err(PlaceFailure::RunnerLost(loss))
            }
        }
    }

    fn order(&self, child: u64, supervision: Option<&Supervision<'_>>) -> Order {
        let lifetime = self.lifetime.map(|whole| {
            let end = supervision.and_then(|supervision| supervision.end);
            let left = end.map_or(whole, |end| end.saturating_duration_since(Instant::now()));
            Lifetime { whole, left }
        });
        let (actor, thread) = (self.actor, self.thread);
        Order::Place { actor, child, thread, lifetime, supervised: supervision.is_some() }
    }
}

/// What became of an order to place an actor.
enum Placed {
    Started(Started),
    /// The runner has not begun it and cannot, and what to tell the machine of that. Its seat, unless that went with the
    /// runner.
    NotBegun(Option<Seat>, fn(RunnerSeq) -> Event),
}

/// The slot of a child that has not started, given back when this is dropped.
struct Berth {
    /// `None` once the slot is the child's.
    core: Option<Arc<Core>>,
    runner: RunnerSeq,
    child: u64,
    /// Whether the child has a lifetime.
    is_timed: bool,
}

impl Berth {
    fn take(&mut self) -> Option<Seat> {
        let core = self.core.take()?;
        core.runners(|runners| runners.child_ended(self.runner, self.child))
    }
}

impl orders::Held for Berth {
    type Back = Option<Seat>;

    fn back(mut self) -> Option<Seat> {
        self.take()
    }

    /// A child that has started gives its slot back when it ends.
    fn end(mut self, outcome: &Result<Bytes, AskError>) -> Option<Keeper> {
        if outcome.is_ok() {
            self.core = None;
        }
        None
    }

    /// It may be in `started` when its lifetime is over.
    fn outlasts_its_time(&self) -> bool {
        self.is_timed
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        drop(self.take());
    }
}
