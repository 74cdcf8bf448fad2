//! An actor that says which process it is in.

use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Resident;

impl Actor for Resident {
    type Context = Context<Self>;
}

/// The id of the process.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
pub(super) struct Where;

#[remote]
impl Handler<Where> for Resident {
    type Result = u32;

    fn handle(&mut self, _: Where, _: &mut Context<Self>) -> u32 {
        std::process::id()
    }
}
