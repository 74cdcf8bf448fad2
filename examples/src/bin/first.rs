//! The README's first app: a counter that lives on a runner, and a function that is called there.

use actix::prelude::*;
use flame_actor::{Pool, remote, task};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Counter {
    total: u64,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.total += n;
        self.total
    }
}

#[task]
async fn process_id() -> u32 {
    std::process::id()
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(runner) = flame_actor::runner() {
        runner.serve().await;
        return Ok(());
    }
    let pool = Pool::builder("numbers").max(2).start()?;
    let counter = pool.place_child(Counter { total: 40 }).await?;
    println!("{} says {}", counter.runner(), counter.send(Add(2)).await?);
    println!(
        "this is process {}, the runner is {}",
        std::process::id(),
        pool.call(process_id::task()).await?
    );
    // Dropping a child stops it; a pool waits for what it still has.
    drop(counter);
    pool.stop().await;
    Ok(())
}
