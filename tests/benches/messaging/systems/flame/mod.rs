//! This project: actors that were placed on a runner, which is a process.

mod call;
mod colocated;
mod echo;
mod fanin;
mod many;
mod stream;

use std::time::Duration;

use flame_actor::Pool;
use tokio::sync::OnceCell;

pub(super) use colocated::call as call_colocated;
pub(crate) use echo::{Ask, Echo, Placed, Tell};

use super::obey_by;
use crate::{
    exchange, net,
    workload::{self, Sample, Workload},
};

pub(super) async fn call() {
    let slots = many::ACTORS + fanin::TELLERS + 100;
    let pool = Pool::builder("echo").max(1).max_concurrency(slots).link(net::link()).start().expect("a pool");
    let child = pool.place_child(Echo::default()).await.expect("a child");
    let echo = Placed::new(child.addr());
    let (fanin, many) = (OnceCell::new(), OnceCell::new());
    let flame = Flame { pool: pool.clone(), echo, fanin, many };
    obey_by(async |workload, time| flame.play(workload, time).await).await;
    drop((flame, child));
    pool.stop().await;
}

/// All on one runner.
struct Flame {
    pool: Pool,
    echo: Placed,
    fanin: OnceCell<fanin::Fanin>,
    many: OnceCell<many::Many>,
}

impl Flame {
    async fn play(&self, workload: Workload, time: Duration) -> Sample {
        match workload {
            Workload::Stream => stream::run(&self.pool, time).await,
            Workload::Fanin => {
                self.fanin.get_or_init(|| fanin::Fanin::place(&self.pool)).await.run(time).await
            }
            Workload::Call => exchange::latency(&call::Calls(&self.pool), time).await,
            Workload::Many => {
                let many = self.many.get_or_init(|| many::Many::place(&self.pool)).await;
                exchange::asks(many, 256, time).await
            }
            _ => workload::run(&self.echo, workload, time).await,
        }
    }
}
