//! The shell around the machine: feeds it what happens, and carries out what it says.
//!
//! An event may come from any thread. What it leads to is done on that thread if it is quick (a slot is handed over) and
//! by the pool's supervisor if it takes its time (a boot). A call that finds a free slot thus crosses no thread.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix::Recipient;
use bytes::Bytes;
use flame_transport::{AskError, LinkConfig, NodeId};
use tokio::sync::{oneshot, watch};

use super::{
    cap::{Membership, SharedCap, Shares},
    classes::{Class, Classes},
    errands::{Errand, Errands},
    error::{CallError, RunnerLoss},
    hooks::Hooks,
    idle_check::IdleCheck,
    machine::{Action, Event, Failure, Inspection, Machine, PoolEvent, Request, RequestId, RunnerSeq},
    orders,
    runners::{Boarding, Runners},
    settings::PoolSettings,
    wish::{Term, Wish},
};
use crate::{
    backend::{Backend, Resources},
    dead_letters,
    host::protocol::Order,
    node::{ParentError, ParentNode, Reception},
    outlet::Outlet,
    remote::{Charge, Encoded, Keeper, Peer, SendError, refers},
    supervise::machine::Event as Supervision,
};

/// One pool, shared by its handles, its supervisor and its work.
pub(super) struct Core {
    pub(super) settings: PoolSettings,
    classes: Classes,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) reception: Arc<Reception>,
    pub(super) link: LinkConfig,
    // Below what runs on its threads.
    pub(super) parent: Arc<ParentNode>,
    state: Mutex<State>,
    supervisor: OnceLock<Recipient<Errands>>,
    pub(super) cap: OnceLock<Membership>,
    pub(super) idle_check: Option<IdleCheck>,
    pub(super) hooks: Hooks,
    pub(super) events: Outlet<PoolEvent>,
    next_request: AtomicU64,
    next_child: AtomicU64,
    closing: AtomicBool,
    stopped: watch::Sender<bool>,
}

/// What a pool has beside its settings.
pub(super) struct Extras {
    pub(super) resources: Resources,
    pub(super) idle_check: Option<IdleCheck>,
    pub(super) cap: Option<SharedCap>,
    pub(super) hooks: Hooks,
}

struct State {
    machine: Machine,
    waiting: HashMap<RequestId, Waiter>,
    runners: Runners<Seat>,
    /// When the supervisor has been told to look again.
    told: Option<Instant>,
}

/// Who waits for a slot. A seat that comes too late gives itself back.
type Waiter = oneshot::Sender<Result<Seat, Failure>>;

/// A runner that has a slot for a request.
struct Granted {
    request: RequestId,
    runner: RunnerSeq,
    boarding: Boarding,
}

/// A slot of a runner, held until this is dropped.
pub(super) struct Seat {
    /// `None` once it was given up otherwise.
    core: Option<Arc<Core>>,
    request: RequestId,
    pub(super) runner: RunnerSeq,
    pub(super) boarding: Boarding,
}

impl Core {
    pub(super) fn new(
        settings: PoolSettings,
        backend: Arc<dyn Backend>,
        parent: Arc<ParentNode>,
        link: LinkConfig,
        extras: Extras,
    ) -> Result<Arc<Self>, ParentError> {
        let reception = parent.reception(backend.listen(), &link)?;
        let seed = parent.id.incarnation();
        let core = Arc::new(Self {
            state: Mutex::new(State {
                machine: Machine::new(settings.clone(), seed),
                waiting: HashMap::new(),
                runners: Runners::new(),
                told: None,
            }),
            settings,
            classes: Classes::new(extras.resources),
            backend,
            reception,
            link,
            parent,
            supervisor: OnceLock::new(),
            cap: OnceLock::new(),
            idle_check: extras.idle_check,
            hooks: extras.hooks,
            events: Outlet::new(),
            next_request: AtomicU64::new(1),
            next_child: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            stopped: watch::Sender::new(false),
        });
        if let Some(cap) = extras.cap {
            let pool: Weak<Self> = Arc::downgrade(&core);
            let _ = core.cap.set(cap.join(pool));
        }
        Ok(core)
    }

    /// The pool begins, with whoever sees to what takes its time.
    pub(super) fn start_with(self: &Arc<Self>, supervisor: Recipient<Errands>) {
        let _ = self.supervisor.set(supervisor);
        self.feed(Event::Tick);
    }

    pub(super) fn name(&self) -> &str {
        self.settings.name()
    }

    pub(super) fn inspect(&self) -> Inspection {
        self.state().machine.inspect(Instant::now())
    }

    /// Whether it takes new work.
    pub(super) fn is_open(&self) -> bool {
        !self.closing.load(Ordering::Acquire)
    }

    pub(super) fn shut_down(self: &Arc<Self>) {
        self.closing.store(true, Ordering::Release);
        self.feed(Event::Shutdown);
    }

    pub(super) async fn stopped(&self) {
        // The sender is in `self`.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// The class of what some work asks for.
    pub(super) fn class(&self, wish: &Wish) -> Class {
        self.classes.of(wish.resources.as_ref())
    }

    /// A request for a slot, with a number of its own.
    pub(super) fn request(&self, wish: &Wish, class: &Class, term: Term) -> Request {
        Request {
            deadline: term.deadline(),
            affinity: wish.affinity.clone(),
            class: class.number,
            origin: wish.origin,
            ..Request::new(RequestId(self.next_request.fetch_add(1, Ordering::Relaxed)))
        }
    }

    /// Tells once the pool has stopped.
    pub(super) fn watch_stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    pub(super) fn next_child(&self) -> u64 {
        self.next_child.fetch_add(1, Ordering::Relaxed)
    }

    /// Works on what is known of the runners.
    pub(super) fn runners<R>(&self, work: impl FnOnce(&mut Runners<Seat>) -> R) -> R {
        work(&mut self.state().runners)
    }

    /// A runner has to go, and its supervised children are placed elsewhere before, unless the pool goes as a whole.
    pub(super) fn move_children(&self, runner: RunnerSeq) {
        if !self.is_open() {
            return;
        }
        let charges = self.runners(|runners| runners.charges_on(runner));
        charges.iter().for_each(|charge| charge.feed(Supervision::Drain));
    }

    /// A supervised child is about to be started on a runner, which may have to go by now.
    pub(super) fn charge(&self, runner: RunnerSeq, child: u64, charge: &Charge) {
        let mut state = self.state();
        state.runners.charge(runner, child, charge.clone());
        let is_leaving = self.is_open() && state.machine.is_leaving(runner);
        drop(state);
        charge.feed(Supervision::Handed);
        if is_leaving {
            charge.feed(Supervision::Drain);
        }
    }

    /// Tells the machine what happened, and sees to what it says.
    pub(super) fn feed(self: &Arc<Self>, event: Event) {
        self.feed_with(event, Instant::now(), None);
    }

    /// As [`feed`](Self::feed), at the given time, and with the runner of a seat that is given up. Whether a runner was
    /// told to go.
    fn feed_with(self: &Arc<Self>, event: Event, now: Instant, vacated: Option<RunnerSeq>) -> bool {
        let mut errands = Vec::new();
        let mut handed = Vec::new();
        let mut state = self.state();
        let mut actions = Vec::new();
        match event {
            Event::Tick => state.told = None,
            Event::Draining(runner) => state.retire(runner, &mut errands),
            // So that it is there until it has drained, though nobody holds it any more.
            Event::Shutdown => errands.push(Errand::Drain(Arc::clone(self))),
            _ => {}
        }
        let is_release = matches!(event, Event::Release { .. });
        if let Some(runner) = vacated
            && state.runners.vacate(runner)
        {
            errands.push(Errand::Retire(runner));
        }
        for (runner, error, due) in state.runners.overdue_boots(now, self.settings.boot_timeout()) {
            // Just before the machine would give it up by itself, knowing less.
            let event = Event::BootFailed { runner, error, gone: false };
            state.machine.on(event, due - Duration::from_nanos(1), &mut actions);
        }
        state.machine.on(event, now, &mut actions);
        let retires = actions.iter().any(|action| matches!(action, Action::Retire(_)));
        let until = now.checked_add(self.settings.boot_timeout());
        // A slot that cannot be handed over goes back to the machine, which may have more to say.
        while !actions.is_empty() {
            let mut back = Vec::new();
            for action in std::mem::take(&mut actions) {
                state.sort(action, &self.classes, until, &mut errands, &mut handed, &mut back);
            }
            for event in back {
                state.machine.on(event, now, &mut actions);
            }
        }
        let wake = state.earlier_wake();
        // Most slots come and go without anything for the supervisor to do. It is told under the lock, so that it
        // hears of everything in the order in which the machine said it.
        if let Some(supervisor) = self.supervisor.get()
            && (wake.is_some() || !errands.is_empty())
        {
            supervisor.do_send(Errands { errands, wake });
        }
        drop(state);
        for (waiter, outcome) in handed {
            let seat = |granted: Granted| Seat {
                core: Some(Arc::clone(self)),
                request: granted.request,
                runner: granted.runner,
                boarding: granted.boarding,
            };
            let _ = waiter.send(outcome.map(seat));
        }
        if let (true, Some(cap)) = (is_release, self.cap.get()) {
            cap.offer();
        }
        retires
    }

    /// Waits for a slot until the request's deadline.
    ///
    /// Dropped midway, it gives up its place in the queue, or the slot.
    pub(super) async fn seat(self: &Arc<Self>, request: Request) -> Result<Seat, Failure> {
        let (id, deadline) = (request.id, request.deadline);
        self.granted(id, deadline, Event::Request(request)).await
    }

    /// Waits for another slot, in the old place of the queue: nothing has begun on the runner of this seat, and nothing can.
    /// The machine is told why before, so that it does not grant a slot there again.
    pub(super) async fn seat_again(
        self: &Arc<Self>,
        unused: Seat,
        why: fn(RunnerSeq) -> Event,
        deadline: Option<Instant>,
    ) -> Result<Seat, Failure> {
        let (id, runner) = unused.into_parts();
        self.feed_with(why(runner), Instant::now(), Some(runner));
        self.granted(id, deadline, Event::Requeue(id)).await
    }

    async fn granted(
        self: &Arc<Self>,
        id: RequestId,
        deadline: Option<Instant>,
        event: Event,
    ) -> Result<Seat, Failure> {
        let (sender, mut granted) = oneshot::channel();
        self.state().waiting.insert(id, sender);
        let place = Place { core: self, id };
        self.feed(event);
        let outcome = match deadline {
            None => (&mut granted).await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), &mut granted).await {
                Ok(outcome) => outcome,
                // The supervisor may be late; the machine knows what the request was waiting for.
                Err(_) => {
                    self.feed_with(Event::Tick, deadline.max(Instant::now()), None);
                    (&mut granted).await
                }
            },
        };
        std::mem::forget(place);
        match outcome {
            Ok(outcome) => outcome,
            // Dropped with the pool's state, and so with the pool.
            Err(_) => Err(Failure::PoolClosed),
        }
    }

    /// What is to be said of a runner whose link was lost: waits a moment for the backend's word, within the work's time.
    pub(super) async fn loss_of(&self, boarding: &Boarding, detail: String, term: Term) -> RunnerLoss {
        const WORD: Duration = Duration::from_secs(1);
        let word = WORD.min(term.left().unwrap_or(WORD));
        let exit = tokio::time::timeout(word, boarding.instance.exited()).await.ok();
        RunnerLoss { runner: boarding.peer.node().clone(), exit, detail }
    }

    /// Work whose outcome nobody waits for has ended.
    pub(super) fn forget(&self, task: &'static str, outcome: Result<(), CallError>) {
        if let Err(error) = outcome {
            tracing::warn!(target: "flame::dead_letter", pool = self.name(), task, %error, "a cast failed");
            dead_letters::publish(Some(task), error.runner(), &error);
            self.events.publish(|| PoolEvent::CastFailed { task, error: Arc::new(error) });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_stopped(&self) {
        self.stopped.send_replace(true);
    }
}

type Handed = (Waiter, Result<Granted, Failure>);

impl State {
    /// When the supervisor has to look again, if that is before what it was told.
    fn earlier_wake(&mut self) -> Option<Instant> {
        let wake = self.machine.next_wake().filter(|wake| self.told.is_none_or(|told| *wake < told))?;
        self.told = Some(wake);
        Some(wake)
    }

    /// Has a runner told to go as soon as nothing is there and nothing is on its way to it: it would overtake that.
    fn retire(&mut self, runner: RunnerSeq, errands: &mut Vec<Errand>) {
        if self.runners.retire(runner) {
            errands.push(Errand::Retire(runner));
        }
    }

    fn sort(
        &mut self,
        action: Action,
        classes: &Classes,
        boot_until: Option<Instant>,
        errands: &mut Vec<Errand>,
        handed: &mut Vec<Handed>,
        back: &mut Vec<Event>,
    ) {
        match action {
            Action::Grant { request, runner, .. } => {
                let waiter = self.waiting.remove(&request);
                match (waiter, self.runners.boarding(runner)) {
                    (Some(waiter), Some(boarding)) => {
                        self.runners.occupy(runner);
                        handed.push((waiter, Ok(Granted { request, runner, boarding })));
                    }
                    // The runner's loss is on its way to the machine.
                    (Some(waiter), None) => {
                        self.waiting.insert(request, waiter);
                        back.push(Event::Lost(runner));
                        back.push(Event::Requeue(request));
                    }
                    (None, _) => back.push(Event::Release { request, reusable: true }),
                }
            }
            Action::Fail { request, failure } => {
                if let Some(waiter) = self.waiting.remove(&request) {
                    handed.push((waiter, Err(failure)));
                }
            }
            Action::Boot { runner, class, attempt } => match classes.get(class) {
                Some(Class { resources, .. }) => {
                    errands.push(Errand::Boot { runner, attempt, resources, until: boot_until });
                }
                // Whoever asked for them has gone in this very moment.
                None => back.push(Event::Gone(runner)),
            },
            Action::Clear(runner) => errands.push(Errand::Clear(runner)),
            Action::Retire(runner) => self.retire(runner, errands),
            Action::Terminate(runner) => errands.push(Errand::Terminate(runner)),
            Action::Emit(event) => errands.push(Errand::Tell(event)),
            Action::Stopped => errands.push(Errand::Stopped),
            Action::AskIdle { runner, ask } => errands.push(Errand::AskIdle { runner, ask }),
            Action::WantPermits(permits) => {
                errands.push(Errand::WantPermits { permits, urgent: !self.waiting.is_empty() });
            }
            Action::ReturnPermits(permits) => errands.push(Errand::ReturnPermits(permits)),
        }
    }
}

/// A place in the queue, given up when this is dropped.
struct Place<'a> {
    core: &'a Arc<Core>,
    id: RequestId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waited = self.core.state().waiting.remove(&self.id).is_some();
        if waited {
            self.core.feed(Event::Cancel(self.id));
        }
        // Else the slot is on its way, and comes back when it finds nobody.
    }
}

impl Seat {
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.boarding.peer
    }

    pub(super) fn node(&self) -> &NodeId {
        self.boarding.peer.node()
    }

    /// An order about some work, for this seat's runner.
    pub(super) fn order(&self, order: &Order, body: &Encoded) -> Result<orders::Ready, SendError> {
        orders::Ready::new(order, body, self.peer())
    }

    fn into_parts(mut self) -> (RequestId, RunnerSeq) {
        self.core = None;
        (self.request, self.runner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            let event = Event::Release { request: self.request, reusable: true };
            core.feed_with(event, Instant::now(), Some(self.runner));
        }
    }
}

impl orders::Held for Seat {
    type Back = Self;

    fn back(self) -> Self {
        self
    }

    /// The slot is free when the runner has answered, also if nobody waits for that any more; but an output that refers to
    /// what is on the runner has it until that is let go.
    fn end(self, outcome: &Result<Bytes, AskError>) -> Option<Keeper> {
        outcome.as_ref().is_ok_and(|body| refers(body)).then(|| Arc::new(self) as Keeper)
    }
}

impl Shares for Core {
    fn permit(self: Arc<Self>) {
        self.feed(Event::Permit);
    }

    fn reclaim(self: Arc<Self>) -> bool {
        self.feed_with(Event::Reclaim, Instant::now(), None)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.events.close();
    }
}
