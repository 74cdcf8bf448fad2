//! The threads that a node runs on.
//!
//! A node has a *network* thread, which runs its links and nothing else but what asks to run beside them, so that nothing
//! that the user's other code does can hold up a ping; and a *control* thread, an arbiter of an actix `System` of its own, which runs its pools and decodes what
//! comes for its actors. Both are the node's own, whatever runtime the app uses and however many nodes are in the
//! process.

mod build;
pub(crate) mod names;
mod parent;

use std::{io, thread};

use actix::{Arbiter, ArbiterHandle, System};
use tokio::{runtime::Handle, sync::oneshot};

pub(crate) use build::this_build;
pub use parent::{Parent, ParentError};
pub(crate) use parent::{ParentNode, Reception};

/// A node's threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    network: Handle,
    link_arbiter: ArbiterHandle,
    control: ArbiterHandle,
    system: System,
    stop_network: Option<oneshot::Sender<()>>,
    arbiters: Vec<ArbiterHandle>,
}

impl Threads {
    /// Starts the threads of a node, and beside the control thread's `arbiters` more for its work. `name` is for
    /// people and the debugger.
    pub(crate) fn start(name: &str, arbiters: usize) -> io::Result<Self> {
        let (control, system, arbiters) = start_control(name, arbiters)?;
        let (network, link_arbiter, stop_network) = start_network(name, system.clone())?;
        Ok(Self { network, link_arbiter, control, system, stop_network: Some(stop_network), arbiters })
    }

    pub(crate) fn network(&self) -> &Handle {
        &self.network
    }

    /// The network thread as an arbiter, for actors that promise not to hold it up.
    pub(crate) fn link_arbiter(&self) -> &ArbiterHandle {
        &self.link_arbiter
    }

    pub(crate) fn control(&self) -> &ArbiterHandle {
        &self.control
    }

    /// The arbiters for work.
    pub(crate) fn arbiters(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        self.system.stop();
        drop(self.stop_network.take());
    }
}

/// Starts the network thread, whose actors belong to the node's `system`.
fn start_network(name: &str, system: System) -> io::Result<(Handle, ArbiterHandle, oneshot::Sender<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    thread::Builder::new().name(format!("{name}-net")).spawn(move || {
        // A system of its own, so that none of the user's code that stops its system stops the links before their goodbye.
        let links = System::with_tokio_rt(|| runtime);
        let _ = send.send(System::current().arbiter().clone());
        System::set_current(system);
        // Ends when the sender is dropped.
        let _ = links.block_on(stopped);
    })?;
    let arbiter = receive.recv().map_err(|_| io::Error::other("the network thread did not start"))?;
    Ok((handle, arbiter, stop))
}

fn start_control(name: &str, arbiters: usize) -> io::Result<(ArbiterHandle, System, Vec<ArbiterHandle>)> {
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    thread::Builder::new().name(format!("{name}-control")).spawn(move || {
        let runner = System::new();
        let work = (0..arbiters).map(|_| Arbiter::new().handle()).collect();
        let system = System::current();
        let _ = send.send((system.arbiter().clone(), system, work));
        // Ends when the system is stopped: by the node, or by the user's code that runs in it.
        if let Err(error) = runner.run() {
            tracing::error!(%error, "the control thread ended with an error");
        }
    })?;
    receive.recv().map_err(|_| io::Error::other("the control thread did not start"))
}
