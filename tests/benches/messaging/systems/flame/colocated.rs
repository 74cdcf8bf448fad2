//! The actor on the thread of its runner's link, and its caller on that of the parent's links.

use std::time::Duration;

use flame_actor::Pool;
use tokio::sync::oneshot;

use super::{super::obey_by, Echo, Placed};
use crate::{
    net,
    workload::{self, Sample, Workload},
};

pub(in crate::systems) async fn call() {
    let pool = Pool::builder("echo").max(1).link(net::link()).start().expect("a pool");
    let child = pool.place_child(Echo::default()).colocated().await.expect("a child");
    let mut idle = Some(Placed::new(child.addr()));
    obey_by(async |workload, time| {
        let (sample, placed) = run_beside(&pool, idle.take().expect("back again"), workload, time).await;
        idle = Some(placed);
        sample
    })
    .await;
    drop((idle, child));
    pool.stop().await;
}

async fn run_beside(pool: &Pool, placed: Placed, workload: Workload, time: Duration) -> (Sample, Placed) {
    let (done, sample) = oneshot::channel();
    pool.link_arbiter().spawn_fn(move || {
        actix::spawn(async move {
            let sample = workload::run(&placed, workload, time).await;
            let _ = done.send((sample, placed));
        });
    });
    sample.await.expect("a sample")
}
