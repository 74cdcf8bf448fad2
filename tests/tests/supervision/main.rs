//! The promises of watch, restart and linking over child processes that are killed, paused and told to go.
//!
//! Runners are copies of this executable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that is wrong about its own lists fails")]

mod linking;
mod moving;
mod restarting;
mod steps;
mod watching;

use std::{process::ExitCode, time::Duration};

use flame_actor::{LinkConfig, Pool, PoolBuilder, backend::ProcessBackend};
use flame_tests::{
    scribe::{Act, Deed},
    support::soon,
};
use tokio::sync::mpsc::UnboundedReceiver;

fn main() -> ExitCode {
    flame_tests::support::main(
        flame_tests::support::apps,
        [steps::tests(), restarting::tests(), moving::tests(), linking::tests(), watching::tests()],
    )
}

/// A pool whose links notice a silence within three seconds, and not sooner: these machines are slow at times.
fn builder(name: &str) -> PoolBuilder {
    let link = LinkConfig::default()
        .with_ping_interval(Duration::from_millis(200))
        .with_lease(Duration::from_secs(3))
        .with_idle_timeout(Duration::from_secs(4));
    let backend = ProcessBackend::new().grace(Duration::from_millis(300));
    Pool::builder(name).max(3).link(link).backend(backend)
}

/// The process in which the scribe starts next, and how much it has written by then.
async fn start(deeds: &mut UnboundedReceiver<Deed>) -> (u32, usize) {
    loop {
        if let Deed { pid, act: Act::Started(written), .. } = soon(deeds.recv()).await.unwrap() {
            return (pid, written);
        }
    }
}

/// Waits until the scribe does this.
async fn until_it(deeds: &mut UnboundedReceiver<Deed>, what: Act) -> u32 {
    loop {
        let Deed { pid, act, .. } = soon(deeds.recv()).await.unwrap();
        if act == what {
            return pid;
        }
    }
}
