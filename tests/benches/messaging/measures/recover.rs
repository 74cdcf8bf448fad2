//! A runner is killed, and its child comes back on another one.

use std::time::Instant;

use flame_actor::{Pool, Restart};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Row,
    resident::{Resident, Where},
    since,
};

pub(super) async fn run(rounds: usize) -> Vec<Row> {
    let mut took = Vec::new();
    for _ in 0..rounds {
        took.push(recover().await);
    }
    vec![Row::whole("flame", took)]
}

/// With a child of its own, as one that has been restarted lately waits before it is again.
async fn recover() -> f64 {
    let pool = Pool::builder("recover").max(2).start().expect("a pool");
    let child = pool.place_child(Resident).restart(Restart::Permanent).await.expect("a child");
    let before = child.send(Where).await.expect("an answer");
    let runner = i32::try_from(before).ok().and_then(Pid::from_raw).expect("a process id");
    let start = Instant::now();
    kill_process(runner, Signal::KILL).expect("a runner to kill");
    // What the killed runner had taken fails; what is sent once that is noticed waits for the next incarnation.
    while child.send(Where).await.ok().is_none_or(|process| process == before) {}
    let took = since(start);
    drop(child);
    pool.stop().await;
    took
}
