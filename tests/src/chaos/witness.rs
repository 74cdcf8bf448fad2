//! Who hears what runs on the runners, and complains when it runs twice or out of order.

use std::collections::HashMap;

use actix::prelude::*;
use flame_actor::{RemoteRecipient, remote, task};
use serde::{Deserialize, Serialize};

/// A call's task has begun.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(super) struct Ran(pub(super) u64);

/// An actor has handled its nth message.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(super) struct Noted {
    actor: u64,
    n: u64,
}

/// Says that it runs, and gives its number back after this time.
#[task]
pub(super) async fn chore(call: u64, milliseconds: u64, witness: RemoteRecipient<Ran>) -> u64 {
    witness.do_send(Ran(call));
    tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
    call
}

/// Tells of each message that it gets.
#[derive(Serialize, Deserialize)]
pub(super) struct Scribe {
    pub(super) id: u64,
    pub(super) witness: RemoteRecipient<Noted>,
    pub(super) handled: u64,
}

impl Actor for Scribe {
    type Context = Context<Self>;
}

/// The nth message; the answer is how many were handled.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub(super) struct Note(pub(super) u64);

#[remote]
impl Handler<Note> for Scribe {
    type Result = u64;

    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) -> u64 {
        self.handled += 1;
        self.witness.do_send(Noted { actor: self.id, n });
        self.handled
    }
}

#[derive(Default)]
pub(super) struct Witness {
    ran: HashMap<u64, u32>,
    last: HashMap<u64, u64>,
    complaints: Vec<String>,
}

impl Actor for Witness {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(1 << 16);
    }
}

impl Handler<Ran> for Witness {
    type Result = ();

    fn handle(&mut self, Ran(call): Ran, _: &mut Context<Self>) {
        let times = self.ran.entry(call).or_default();
        *times += 1;
        if *times > 1 {
            self.complaints.push(format!("call {call} ran {times} times"));
        }
    }
}

impl Handler<Noted> for Witness {
    type Result = ();

    fn handle(&mut self, Noted { actor, n }: Noted, _: &mut Context<Self>) {
        let last = self.last.insert(actor, n);
        if last.is_some_and(|last| last >= n) {
            self.complaints.push(format!("actor {actor} handled {n} after {last:?}"));
        }
    }
}

/// What the witness has to say.
#[derive(Message)]
#[rtype(result = "Testimony")]
pub(super) struct Testify;

#[derive(MessageResponse)]
pub(super) struct Testimony {
    pub(super) ran: HashMap<u64, u32>,
    pub(super) complaints: Vec<String>,
}

impl Handler<Testify> for Witness {
    type Result = Testimony;

    fn handle(&mut self, _: Testify, _: &mut Context<Self>) -> Testimony {
        Testimony { ran: self.ran.clone(), complaints: self.complaints.clone() }
    }
}
