//! An actor that tells what happens to it, for tests of supervision.

use std::{path::PathBuf, thread, time::Duration};

use actix::prelude::*;
use flame_actor::{RemoteRecipient, publish_snapshot, remote};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Writes down what it is told, and reports all of its life to a witness.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scribe {
    /// Where it reports to: a reference in the spec of a child.
    pub witness: RemoteRecipient<Deed>,
    /// What it has written.
    pub written: Vec<u64>,
    /// Whether it refuses to stop.
    pub stubborn: bool,
    /// The file that has to be there before its start is over.
    pub awaits: Option<PathBuf>,
}

/// Something that a scribe did.
#[derive(Debug, Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Deed {
    /// The process that it is in.
    pub pid: u32,
    /// When it did it, in nanoseconds of the clock that all processes of this machine share.
    pub at: u64,
    /// What it did.
    pub act: Act,
}

/// What a scribe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// It starts with so much written already.
    Started(usize),
    /// It handles a message of a sender.
    Wrote(u64, u64),
    /// It is asked to stop.
    Stopping,
    /// It has stopped.
    Stopped,
}

impl Scribe {
    /// A scribe that has written nothing, and what it reports.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Deed>) {
        let (heard, deeds) = mpsc::unbounded_channel();
        let witness = Witness(heard).start().recipient().into();
        (Self { witness, written: Vec::new(), stubborn: false, awaits: None }, deeds)
    }

    fn report(&self, act: Act) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let at = (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64;
        self.witness.do_send(Deed { pid: std::process::id(), at, act });
    }
}

impl Actor for Scribe {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.report(Act::Started(self.written.len()));
        while self.awaits.as_ref().is_some_and(|file| !file.exists()) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.report(Act::Stopping);
        if self.stubborn { Running::Continue } else { Running::Stop }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.report(Act::Stopped);
    }
}

/// Writes a number of a sender down; the answer is the process.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
pub struct Write {
    /// Who sends it.
    pub sender: u64,
    /// Its number there.
    pub number: u64,
}

#[remote]
impl Handler<Write> for Scribe {
    type Result = u32;

    fn handle(&mut self, Write { sender, number }: Write, _: &mut Context<Self>) -> u32 {
        self.written.push(number);
        self.report(Act::Wrote(sender, number));
        std::process::id()
    }
}

/// The same, reported to somebody else.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
pub struct WriteTo {
    /// Who hears of it, and nobody else.
    pub reader: RemoteRecipient<Deed>,
    /// What is written, of no sender.
    pub number: u64,
}

#[remote]
impl Handler<WriteTo> for Scribe {
    type Result = u32;

    fn handle(&mut self, WriteTo { reader, number }: WriteTo, _: &mut Context<Self>) -> u32 {
        reader.do_send(Deed { pid: std::process::id(), at: 0, act: Act::Wrote(0, number) });
        std::process::id()
    }
}

/// What a scribe does to itself.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub enum Do {
    /// It publishes what it has written.
    Publish,
    /// It stops.
    Stop,
    /// It panics with these words.
    Panic(String),
    /// It keeps its thread for so long.
    Block(Duration),
    /// From here on it refuses to stop.
    Resist,
    /// It handles nothing more.
    Halt,
}

#[remote]
impl Handler<Do> for Scribe {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Context<Self>) {
        match what {
            Do::Publish => publish_snapshot(self).unwrap(),
            Do::Stop => ctx.stop(),
            Do::Panic(words) => panic!("{words}"),
            Do::Block(time) => std::thread::sleep(time),
            Do::Resist => self.stubborn = true,
            Do::Halt => ctx.wait(std::future::pending().into_actor(self)),
        }
    }
}

struct Witness(mpsc::UnboundedSender<Deed>);

impl Actor for Witness {
    type Context = Context<Self>;
}

impl Handler<Deed> for Witness {
    type Result = ();

    fn handle(&mut self, deed: Deed, _: &mut Context<Self>) {
        let _ = self.0.send(deed);
    }
}
