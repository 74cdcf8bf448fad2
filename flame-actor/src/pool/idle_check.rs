//! The check that an idle runner is asked before it is let go.

use std::{sync::Arc, time::Duration};

use super::{
    Core,
    machine::RunnerSeq,
    orders::{self, Ending, Ready, Sent},
};
use crate::{
    host::protocol::Order,
    remote::{Encoded, decode_answer},
};

/// A task that says whether its runner may go.
pub(super) struct IdleCheck {
    pub(super) task: u32,
    pub(super) body: Encoded,
}

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks a runner's check. One that cannot say keeps its runner.
pub(super) async fn ask(core: &Arc<Core>, runner: RunnerSeq) -> bool {
    match answer(core, runner).await {
        Ok(idle) => idle,
        Err(error) => {
            tracing::warn!(target: "flame::pool", pool = core.name(), %runner, error, "the idle check failed: the runner stays");
            false
        }
    }
}

async fn answer(core: &Arc<Core>, runner: RunnerSeq) -> Result<bool, String> {
    let lost = || "the runner is gone".to_owned();
    let check = core.idle_check.as_ref().ok_or("there is none")?;
    let peer = core.runners(|runners| runners.peer(runner)).ok_or_else(lost)?;
    let order = Order::Call { task: check.task, time: Some(LIMIT) };
    let order = Ready::new(&order, &check.body, &peer).map_err(|error| error.to_string())?;
    // It takes no slot: its runner may get work meanwhile, which makes the answer void.
    let sent = orders::send(&peer, order, ()).map_err(|error| error.to_string())?;
    let Sent::Asked(asked) = sent else { return Err(lost()) };
    let answer =
        tokio::time::timeout(LIMIT, asked).await.map_err(|_| format!("no answer within {LIMIT:?}"))?;
    let Ending::Came(answer) = answer else { return Err(lost()) };
    let reply = answer.map_err(|error| error.to_string())?;
    decode_answer(&reply.body, Some(&peer)).map_err(|error| error.to_string())
}
