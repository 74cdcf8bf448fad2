//! The actor that boots a pool's runners and ends them.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use bytes::Bytes;
use flame_transport::{Body, Inbox, Joined, LinkLost, Owed, codec};

use super::{
    boot_report::{BootCause, BootPhase, BootReport},
    core::Core,
    errands::{Errand, Errands},
    idle_check,
    machine::{BootFailure, Event, PoolEvent, RunnerSeq},
    nested::Commissions,
};
use crate::{
    backend::{Boot, BootError, BoxFuture, ExitReason, Instance, Resources, Ticket},
    host::protocol::{ToParent, ToRunner},
    node::names::Names,
    remote::{LED, PLAIN, Peer, PeerEvents, rebase},
    runner::logs,
    supervise::machine::Event as Supervision,
};

/// Supervises the runners of one pool, on the parent's control thread.
pub(super) struct Supervisor {
    core: Weak<Core>,
    /// The same, once it drains.
    draining: Option<Arc<Core>>,
    timer: Option<(Instant, SpawnHandle)>,
}

impl Supervisor {
    /// Starts the supervisor of a pool, and with it the pool.
    pub(super) fn start_for(core: &Arc<Core>) {
        let supervisor = Self { core: Arc::downgrade(core), draining: None, timer: None };
        let address = Self::start_in_arbiter(core.parent.threads.control(), |_| supervisor);
        core.start_with(address.recipient());
    }

    fn carry_out(&mut self, errand: Errand, core: &Arc<Core>, ctx: &mut Context<Self>) {
        match errand {
            Errand::Boot { runner, attempt, resources, until } => {
                tracing::debug!(target: "flame::pool", pool = core.name(), %runner, attempt, "booting a runner");
                ctx.spawn(boot(Arc::downgrade(core), runner, resources, until).into_actor(self));
            }
            Errand::Retire(runner) => {
                let peer = core.runners(|runners| runners.peer(runner));
                if let Some(peer) = peer {
                    peer.signal(&ToRunner::Retire.encode());
                }
            }
            Errand::Clear(runner) => core.move_children(runner),
            Errand::Terminate(runner) => {
                let Some((node, instance)) = core.runners(|runners| runners.condemn(runner)) else { return };
                core.reception.revoke(&node);
                if let Some(instance) = instance {
                    instance.terminate();
                }
            }
            Errand::AskIdle { runner, ask } => {
                let core = Arc::clone(core);
                let asking = async move {
                    let idle = idle_check::ask(&core, runner).await;
                    core.feed(Event::IdleAnswer { runner, ask, idle });
                };
                ctx.spawn(asking.into_actor(self));
            }
            Errand::WantPermits { permits, urgent } => {
                if let Some(cap) = core.cap.get() {
                    cap.want(permits, urgent);
                }
            }
            Errand::ReturnPermits(permits) => {
                if let Some(cap) = core.cap.get() {
                    cap.give_back(permits);
                }
            }
            Errand::Tell(event) => {
                report(&event, core.name());
                core.hooks.call(&event);
                core.events.publish(|| event);
            }
            Errand::Drain(core) => self.draining = Some(core),
            Errand::Stopped => {
                if let Some(cap) = core.cap.get() {
                    cap.leave();
                }
                core.events.close();
                core.set_stopped();
                ctx.stop();
            }
        }
    }

    fn wake_at(&mut self, wake: Option<Instant>, ctx: &mut Context<Self>) {
        let set = self.timer.as_ref().map(|(at, _)| *at);
        // A timer that fires too early is harmless, so only an earlier one replaces it.
        let Some(at) = wake.filter(|at| set.is_none_or(|set| *at < set)) else { return };
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let timer = ctx.run_later(at.saturating_duration_since(Instant::now()), |this, _| {
            this.timer = None;
            if let Some(core) = this.core.upgrade() {
                core.feed(Event::Tick);
            }
        });
        self.timer = Some((at, timer));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Handler<Errands> for Supervisor {
    type Result = ();

    fn handle(&mut self, Errands { errands, wake }: Errands, ctx: &mut Context<Self>) {
        let Some(core) = self.core.upgrade() else { return };
        for errand in errands {
            self.carry_out(errand, &core, ctx);
        }
        self.wake_at(wake, ctx);
    }
}

/// How long the goodbye of a runner may take that has gone by itself.
const GOODBYE: Duration = Duration::from_secs(1);

/// Boots a runner and sees it to its end.
async fn boot(core: Weak<Core>, runner: RunnerSeq, resources: Arc<Resources>, until: Option<Instant>) {
    let Some(instance) = create(&core, runner, resources, until).await else { return };
    let mut exited = instance.exited();
    let exit = tokio::select! {
        biased;
        error = instance.broken() => {
            if let Some(core) = core.upgrade() {
                broken(&core, runner, &*instance, error);
            }
            exited.await
        }
        exit = &mut exited => exit,
    };
    let peer = core.upgrade().and_then(|core| core.runners(|runners| runners.peer(runner)));
    // One in this process that leaves a thread behind has gone in no known way, and says goodbye all the same.
    let went_by_itself = exit.is_success() || matches!(exit, ExitReason::Unknown { .. });
    if let (true, Some(link)) = (went_by_itself, peer.as_ref().and_then(|peer| peer.link())) {
        // It has sent all that it had to say, and then its goodbye. They are here, and may not have been heard yet.
        let _ = tokio::time::timeout(GOODBYE, link.ended()).await;
    }
    let Some(core) = core.upgrade() else { return };
    ended(&core, runner, &*instance, &exit);
}

/// Has the backend make an instance; `None` if it made none.
async fn create(
    core: &Weak<Core>,
    runner: RunnerSeq,
    resources: Arc<Resources>,
    until: Option<Instant>,
) -> Option<Arc<dyn Instance>> {
    let pool = core.upgrade()?;
    let failed = |pool: &Arc<Core>, phase, cause| {
        let error = BootFailure(Arc::new(BootReport { phase, cause, log: Vec::new() }));
        pool.feed(Event::BootFailed { runner, error, gone: true });
    };
    let (timeout, name) = (pool.settings.boot_timeout(), format!("{}-{runner}", pool.name()));
    let invited = pool.reception.invite(&name, timeout, |_| {
        let core = Weak::clone(core);
        Box::new(move |joined| on_join(&core, runner, joined))
    });
    let invitation = match invited {
        Ok(invitation) => invitation,
        Err(error) => {
            failed(&pool, BootPhase::Inviting, BootCause::Invite(error));
            return None;
        }
    };
    let node = invitation.node.clone();
    pool.runners(|runners| runners.boot(runner, node.clone(), Arc::clone(&resources), until));
    let ticket = Ticket::new(invitation, pool.name(), pool.link.clone());
    let mut order = Boot::new(node.clone(), pool.name(), ticket, Instant::now() + timeout);
    order.drain = pool.settings.shutdown_timeout();
    order.resources = Resources::clone(&resources);
    let booting = pool.backend.boot(order);
    drop(pool);
    let booted = booting.await;
    let pool = core.upgrade()?;
    match booted {
        Ok(instance) => {
            if pool.runners(|runners| runners.created(runner, &instance)) {
                instance.terminate();
            }
            aboard(&pool, runner);
            Some(instance)
        }
        Err(error) => {
            pool.reception.revoke(&node);
            drop(pool.runners(|runners| runners.forget(runner)));
            failed(&pool, BootPhase::Creating, BootCause::Backend(error));
            None
        }
    }
}

/// A runner has joined; on the network thread.
fn on_join(core: &Weak<Core>, runner: RunnerSeq, joined: Joined) {
    let Some(pool) = core.upgrade() else { return };
    let threads = &pool.parent.threads;
    let commissions = Commissions::of(Weak::clone(core), runner);
    let events = RunnerEvents { core: Weak::clone(core), runner, commissions: Arc::clone(&commissions) };
    let (peer, inbox) = Peer::start(joined, threads.control().clone(), threads.network(), Arc::new(events));
    let ear = Ear {
        core: Weak::clone(core),
        runner,
        peer: Arc::clone(&peer),
        names: Arc::clone(&pool.parent.names),
        commissions,
        pool: pool.name().to_owned(),
    };
    peer.spawn(ear.listen(inbox));
    pool.runners(|runners| runners.joined(runner, &peer));
    aboard(&pool, runner);
}

/// Takes what a runner says on the main port.
struct Ear {
    core: Weak<Core>,
    runner: RunnerSeq,
    peer: Arc<Peer>,
    names: Arc<Names>,
    commissions: Arc<Commissions>,
    pool: String,
}

impl Ear {
    async fn listen(self, mut inbox: Inbox) {
        let Some(link) = self.peer.link() else { return };
        let answers = link.answers();
        loop {
            let message = std::future::poll_fn(|cx| {
                inbox.poll_next(cx).map(|message| {
                    message.map(|message| (Bytes::copy_from_slice(message.body), message.question))
                })
            });
            match message.await {
                Some((body, Some(question))) => self.answer(&body, answers.owe(question)),
                Some((body, None)) => self.hear(&body),
                None => return,
            }
        }
    }

    fn answer(&self, body: &Bytes, owed: Owed) {
        match body.split_first() {
            Some((&PLAIN, wish)) => self.names.answer_from_afar(wish, owed, &self.peer),
            Some((&LED, _)) => self.commissions.take(body, owed, &self.peer),
            _ => self.wonder(),
        }
    }

    fn hear(&self, body: &[u8]) {
        match codec::decode(body) {
            Ok(ToParent::Log(lines)) => logs::relay(lines, self.peer.node().name(), &self.pool),
            Ok(ToParent::LetGo { child, reason, grace }) => self.commissions.stop(child, reason, grace),
            Ok(ToParent::Detach { child }) => self.commissions.detach(child),
            Ok(ToParent::Snapshot { child, body }) => self.snapshot(child, body),
            _ => self.wonder(),
        }
    }

    fn snapshot(&self, child: u64, body: Bytes) {
        let Ok(from) = rebase(Body::Own(body), &self.peer) else { return self.wonder() };
        let from = from.into_encoded();
        let core = self.core.upgrade();
        let charge = core.and_then(|core| core.runners(|runners| runners.charge_of(self.runner, child)));
        if let Some(charge) = charge {
            charge.feed(|incarnation| Supervision::Snapshot { incarnation, from });
        }
    }

    fn wonder(&self) {
        let runner = self.peer.node().name();
        tracing::warn!(target: "flame::pool", runner, "a runner says what cannot be understood");
    }
}

/// A boot that its backend gives up before its time is over.
fn broken(core: &Arc<Core>, runner: RunnerSeq, instance: &dyn Instance, error: BootError) {
    if core.runners(|runners| runners.peer(runner)).is_some() {
        return;
    }
    if let Some((node, _)) = core.runners(|runners| runners.condemn(runner)) {
        core.reception.revoke(&node);
        let (cause, log) = (BootCause::Backend(error), instance.log_tail());
        let report = BootReport { phase: BootPhase::Joining, cause, log };
        core.feed(Event::BootFailed { runner, error: BootFailure(Arc::new(report)), gone: false });
    }
}

fn ended(core: &Arc<Core>, runner: RunnerSeq, instance: &dyn Instance, exit: &ExitReason) {
    let peer = core.runners(|runners| runners.peer(runner));
    match peer {
        Some(peer) => peer.exited(exit),
        None => {
            if let Some((node, _)) = core.runners(|runners| runners.condemn(runner)) {
                let cause = BootCause::Ended { exit: exit.clone(), refusal: core.reception.refusal(&node) };
                core.reception.revoke(&node);
                let report = BootReport { phase: BootPhase::Joining, cause, log: instance.log_tail() };
                core.feed(Event::BootFailed { runner, error: BootFailure(Arc::new(report)), gone: true });
            }
        }
    }
    let seats = core.runners(|runners| runners.forget(runner));
    core.feed(Event::Gone(runner));
    drop(seats);
}

/// Tells the machine of a runner once both its link and its instance are there; they come in any order.
fn aboard(core: &Arc<Core>, runner: RunnerSeq) {
    if let Some(boarding) = core.runners(|runners| runners.boarding(runner)) {
        boarding.instance.joined();
        core.feed(Event::Joined(runner));
    }
}

/// What a pool hears of one runner.
struct RunnerEvents {
    core: Weak<Core>,
    runner: RunnerSeq,
    commissions: Arc<Commissions>,
}

impl PeerEvents for RunnerEvents {
    fn signal(&self, body: &[u8]) {
        let Some(core) = self.core.upgrade() else { return };
        match codec::decode(body) {
            Ok(ToParent::Ended { child, reason, snapshots }) => {
                tracing::debug!(target: "flame::pool", runner = %self.runner, child, %reason, "a child has ended");
                let (seat, charge) = core.runners(|runners| {
                    (runners.child_ended(self.runner, child), runners.charge_of(self.runner, child))
                });
                // The slot first: the next incarnation may take it.
                drop(seat);
                if let Some(charge) = charge {
                    charge.feed(|incarnation| Supervision::Ended { incarnation, reason, snapshots });
                }
            }
            Ok(ToParent::Draining) => core.feed(Event::Draining(self.runner)),
            Ok(ToParent::Overdue) => core.feed(Event::Condemn(self.runner)),
            Ok(ToParent::Stalled) => core.feed(Event::Stalled(self.runner)),
            Ok(ToParent::Recovered) => core.feed(Event::Recovered(self.runner)),
            // Said on the main port, behind what they are about.
            Ok(
                ToParent::Log(_)
                | ToParent::LetGo { .. }
                | ToParent::Detach { .. }
                | ToParent::Snapshot { .. },
            ) => {}
            Err(error) => {
                tracing::warn!(target: "flame::pool", %error, "a notice of a runner cannot be decoded")
            }
        }
    }

    fn exit(&self) -> Option<BoxFuture<ExitReason>> {
        let instance = self.core.upgrade()?.runners(|runners| runners.instance(self.runner))?;
        Some(Box::pin(async move { instance.exited().await }))
    }

    fn losing(&self) {
        // Before the slots come back, of calls too: they must not be given to anyone.
        if let Some(core) = self.core.upgrade() {
            core.feed(Event::Lost(self.runner));
        }
    }

    fn lost(&self, reason: &LinkLost) {
        let Some(core) = self.core.upgrade() else { return };
        tracing::debug!(target: "flame::pool", runner = %self.runner, %reason, "the link to a runner ended");
        let seats = core.runners(|runners| runners.lost(self.runner));
        drop(seats);
        self.commissions.lost();
    }
}

fn report(event: &PoolEvent, pool: &str) {
    match event {
        PoolEvent::BootFailed { runner, error, failures, retry_in } => {
            tracing::warn!(target: "flame::pool", pool, %runner, %error, failures, ?retry_in, "a boot failed");
        }
        PoolEvent::Lost { runner, held } => {
            tracing::warn!(target: "flame::pool", pool, %runner, held, "a runner is lost");
        }
        PoolEvent::Leaked { runner, .. } => {
            tracing::error!(target: "flame::pool", pool, %runner, "a runner was terminated and is not confirmed gone: look at it");
        }
        PoolEvent::PolicyPanicked => {
            tracing::error!(target: "flame::pool", pool, "a policy panicked; the default one stands in")
        }
        other => tracing::debug!(target: "flame::pool", pool, event = ?other),
    }
}
