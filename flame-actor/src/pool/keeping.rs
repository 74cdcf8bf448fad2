//! The keeper of a supervised child: it places one incarnation after the other, and sees each to its end.
//!
//! What happens to the child is decided by the machine in [`Supervised`]; the keeper does what takes its time, on the
//! parent's control thread, and tells the machine what came of it.

use std::{
    collections::VecDeque,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{
    child::{Owned, Ownership},
    core::Core,
    error::{PlaceFailure, RunnerLoss},
    machine::Failure,
    placing::{Outcome, abandoned, hand},
    runners::Boarding,
    starting::{Start, Started, Supervision},
};
use crate::{
    host::protocol::ToRunner,
    remote::{Charge, DownReason, Encoded, KeeperOrder, Peer, Remote, Supervised},
    supervise::{
        machine::{Event, Incarnation},
        policy::Policy,
    },
};

/// What a runner may take to end its work, and itself, when its lease has run out.
const MARGIN: Duration = Duration::from_secs(5);

/// Has a child kept from its first start, of which `done` hears, until it is gone for good. Returns its address.
pub(super) fn supervise(
    start: Start,
    policy: Policy,
    value: Encoded,
    kept: Arc<AtomicBool>,
    done: Outcome,
) -> Arc<Remote> {
    let supervised = Supervised::new(policy, value, start.core.link.max_message());
    let remote = Remote::supervised(Arc::clone(&supervised));
    let core = Arc::clone(&start.core);
    core.parent.threads.control().spawn(keep(start, supervised, kept, done));
    remote
}

async fn keep(start: Start, supervised: Arc<Supervised>, kept: Arc<AtomicBool>, done: Outcome) {
    let mut keeper = Keeper {
        end: None,
        start: Arc::new(start),
        supervised,
        kept,
        done: Some(done),
        place: Arc::default(),
        starting: None,
        witness: None,
    };
    keeper.run().await;
    keeper.leave();
}

struct Keeper {
    start: Arc<Start>,
    supervised: Arc<Supervised>,
    /// When the child's lifetime is over, from its first start.
    end: Option<Instant>,
    kept: Arc<AtomicBool>,
    /// Who waits for the first start.
    done: Option<Outcome>,
    /// Where the present incarnation is, or may be.
    place: Arc<Mutex<Option<Place>>>,
    starting: Option<Starting>,
    /// Sees the end of the present incarnation's runner.
    witness: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A runner that an incarnation was handed to, and its number there.
#[derive(Clone)]
struct Place {
    incarnation: Incarnation,
    boarding: Boarding,
    child: u64,
}

/// A start under way.
struct Starting {
    incarnation: Incarnation,
    outcome: Pin<Box<dyn Future<Output = Result<Started, PlaceFailure>> + Send>>,
}

impl Keeper {
    async fn run(&mut self) {
        loop {
            let (orders, wake) = self.supervised.orders();
            if !orders.is_empty() {
                self.carry_out(orders);
                continue;
            }
            if self.supervised.gone().is_some() {
                return;
            }
            if self.supervised.is_abandoned() {
                self.supervised.feed(Event::Stop { reason: DownReason::Stopped, grace: None });
            }
            tokio::select! {
                biased;
                () = self.supervised.changed() => {}
                outcome = started(&mut self.starting) => self.started(outcome),
                () = witnessed(&mut self.witness) => self.witness = None,
                () = unwanted(&mut self.done, &self.kept) => {
                    self.done = None;
                    self.supervised.feed(Event::Stop { reason: DownReason::Stopped, grace: None });
                }
                () = sleep_until(wake) => self.supervised.feed(Event::Tick),
            }
        }
    }

    fn carry_out(&mut self, orders: VecDeque<KeeperOrder>) {
        for order in orders {
            match order {
                KeeperOrder::Start { incarnation, from } => self.begin(incarnation, from),
                KeeperOrder::Cancel(incarnation) => {
                    self.starting = None;
                    let reason = DownReason::NotStarted { message: "it was not wanted any more".to_owned() };
                    let failed = Event::StartFailed { incarnation, reason, doubt: None, hopeless: true };
                    self.supervised.feed(failed);
                }
                KeeperOrder::Stop { incarnation, reason, grace } => {
                    let place = self.place().filter(|place| place.incarnation == incarnation);
                    if let Some(Place { boarding, child, .. }) = place {
                        let reason =
                            if let DownReason::Shutdown { reason } = reason { Some(reason) } else { None };
                        boarding.peer.signal(&ToRunner::Stop { child, reason, grace }.encode());
                    }
                }
                KeeperOrder::Report { reason, restarts, delay } => {
                    let pool = self.start.core.name();
                    tracing::warn!(target: "flame::pool", pool, %reason, restarts, ?delay, "a child has ended and is started again");
                }
            }
        }
    }

    fn begin(&mut self, incarnation: Incarnation, from: Arc<Encoded>) {
        self.leave();
        self.witness = None;
        if let Some(reason) = self.lifetime_over() {
            let failed = Event::StartFailed { incarnation, reason, doubt: None, hopeless: true };
            return self.supervised.feed(failed);
        }
        let charge = Charge { supervised: Arc::downgrade(&self.supervised), incarnation };
        let (start, place, end) = (Arc::clone(&self.start), Arc::clone(&self.place), self.end);
        let outcome = Box::pin(async move {
            let core = Arc::clone(&start.core);
            let handed = move |boarding: &Boarding, child| {
                let handed = Place { incarnation, boarding: boarding.clone(), child };
                let before = lock(&place).replace(handed);
                discharge(&core, before);
            };
            start.place(&from, Some(Supervision { charge, end, handed: &handed })).await
        });
        self.starting = Some(Starting { incarnation, outcome });
    }

    fn started(&mut self, (incarnation, outcome): (Incarnation, Result<Started, PlaceFailure>)) {
        self.starting = None;
        match outcome {
            Ok(Started { boarding, port, .. }) => {
                let node = boarding.peer.node().clone();
                self.end = self.end.or_else(|| Instant::now().checked_add(self.start.lifetime?));
                self.witness = Some(Box::pin(witness(
                    Arc::clone(&self.supervised),
                    incarnation,
                    boarding.clone(),
                    self.start.core.link.lease(),
                )));
                self.supervised.started(incarnation, &boarding.peer, port);
                if let Some(done) = self.done.take() {
                    let owned = Owned::Supervised(Arc::clone(&self.supervised));
                    hand(done, Ok(Ownership::new(owned, node)), &self.kept);
                }
            }
            Err(failure) => {
                let over = self.lifetime_over();
                let hopeless = over.is_some() || is_hopeless(&failure);
                let doubt = self.doubt(incarnation, &failure);
                let reason = over.unwrap_or_else(|| reason_of(&failure));
                self.supervised.feed(Event::StartFailed { incarnation, reason, doubt, hopeless });
                if let Some(done) = self.done.take() {
                    let _ = done.send(Err(failure));
                }
            }
        }
    }

    /// What there is to say when the child's lifetime is over.
    fn lifetime_over(&self) -> Option<DownReason> {
        let lifetime = self.start.lifetime?;
        self.end.filter(|end| *end <= Instant::now()).map(|_| DownReason::Deadline { lifetime })
    }

    /// Until when an incarnation may serve whose runner was lost while it was started, if it may.
    fn doubt(&mut self, incarnation: Incarnation, failure: &PlaceFailure) -> Option<Instant> {
        let PlaceFailure::RunnerLost(RunnerLoss { exit: None, .. }) = failure else { return None };
        let Place { boarding, .. } = self.place()?;
        let supervised = Arc::clone(&self.supervised);
        let until = lease_end(&boarding.peer, self.start.core.link.lease());
        self.witness = Some(Box::pin(async move {
            boarding.instance.exited().await;
            supervised.feed(Event::Gone(incarnation));
        }));
        Some(until)
    }

    fn place(&self) -> Option<Place> {
        lock(&self.place).clone()
    }

    /// Nothing more will be told of the present incarnation.
    fn leave(&self) {
        let place = lock(&self.place).take();
        discharge(&self.start.core, place);
    }
}

fn discharge(core: &Core, place: Option<Place>) {
    if let Some(Place { child, .. }) = place {
        core.runners(|runners| runners.discharge(child));
    }
}

/// Tells of the end of an incarnation's runner: first that it is silent, then what the backend says, if it says so soon,
/// then that it is gone.
async fn witness(supervised: Arc<Supervised>, incarnation: Incarnation, boarding: Boarding, lease: Duration) {
    let Some(link) = boarding.peer.link() else { return };
    let lost = link.ended().await;
    supervised.feed(Event::Silent(incarnation));
    let exit = tokio::time::timeout(Peer::WORD, boarding.instance.exited()).await.ok();
    let reason = boarding.peer.loss(&lost, exit);
    let until = lease_end(&boarding.peer, lease);
    supervised.feed(Event::NodeLost { incarnation, reason, until });
    boarding.instance.exited().await;
    supervised.feed(Event::Gone(incarnation));
}

/// When a lost runner has stopped for certain.
fn lease_end(peer: &Peer, lease: Duration) -> Instant {
    let heard = peer.link().map_or_else(Instant::now, flame_transport::Link::last_heard);
    let end = heard.checked_add(lease).and_then(|end| end.checked_add(MARGIN));
    end.unwrap_or_else(Instant::now)
}

/// Whether another attempt to start would be in vain.
fn is_hopeless(failure: &PlaceFailure) -> bool {
    matches!(
        failure,
        PlaceFailure::NotPlaced(Failure::PoolClosed)
            | PlaceFailure::Message(_)
            | PlaceFailure::NotRegistered { .. }
            | PlaceFailure::Answer { .. }
    )
}

fn reason_of(failure: &PlaceFailure) -> DownReason {
    match failure {
        PlaceFailure::Panicked { message, .. } => DownReason::Panicked { message: message.clone() },
        PlaceFailure::RunnerLost(loss) => {
            DownReason::NodeLost { message: loss.to_string(), exit: loss.exit.clone() }
        }
        other => DownReason::NotStarted { message: other.to_string() },
    }
}

async fn started(starting: &mut Option<Starting>) -> (Incarnation, Result<Started, PlaceFailure>) {
    match starting {
        Some(starting) => (starting.incarnation, starting.outcome.as_mut().await),
        None => pending().await,
    }
}

async fn witnessed(witness: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match witness {
        Some(witness) => witness.as_mut().await,
        None => pending().await,
    }
}

/// Resolves when nobody wants the child before it has started.
async fn unwanted(done: &mut Option<Outcome>, kept: &AtomicBool) {
    match done {
        Some(done) => abandoned(done, kept).await,
        None => pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
