//! A chat room: whoever is in it hears what is said there.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Duration,
};

use actix::prelude::*;
use flame_actor::remote;
use serde::{Deserialize, Serialize};

/// A room, which repeats its last lines to those who come late.
#[derive(Serialize, Deserialize)]
pub(crate) struct Room {
    topic: String,
    keep: usize,
    lines: VecDeque<Line>,
    #[serde(skip)]
    members: HashMap<String, Recipient<Line>>,
}

impl Room {
    pub(crate) fn new(topic: &str, keep: usize) -> Self {
        Self { topic: topic.to_owned(), keep, lines: VecDeque::new(), members: HashMap::new() }
    }

    fn forget_the_gone(&mut self) {
        self.members.retain(|_, member| member.connected());
    }
}

/// Enters the room under a name; the answer is what was said last.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<Vec<Line>, NameTaken>")]
pub(crate) struct Join {
    pub(crate) name: String,
    #[serde(with = "flame_actor::recipient")]
    pub(crate) member: Recipient<Line>,
}

/// Leaves the room.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Leave(pub(crate) String);

/// Says something; the answer is how many heard it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "usize")]
pub(crate) struct Say(pub(crate) Line);

/// The topic, and who is there.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "(String, Vec<String>)")]
pub(crate) struct Look;

/// What someone has said.
#[derive(Debug, Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Somebody in the room has that name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameTaken(pub(crate) String);

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is a {} in the room already", self.0)
    }
}

impl std::error::Error for NameTaken {}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(30), |room, _| room.forget_the_gone());
    }
}

#[remote]
impl Handler<Join> for Room {
    type Result = Result<Vec<Line>, NameTaken>;

    fn handle(&mut self, join: Join, _: &mut Self::Context) -> Self::Result {
        self.forget_the_gone();
        if self.members.contains_key(&join.name) {
            return Err(NameTaken(join.name));
        }
        self.members.insert(join.name, join.member);
        Ok(self.lines.iter().cloned().collect())
    }
}

#[remote]
impl Handler<Leave> for Room {
    type Result = ();

    fn handle(&mut self, Leave(name): Leave, _: &mut Self::Context) {
        self.members.remove(&name);
    }
}

#[remote]
impl Handler<Say> for Room {
    type Result = usize;

    fn handle(&mut self, Say(line): Say, _: &mut Self::Context) -> usize {
        let hearers = self.members.iter().filter(|(name, _)| **name != line.name);
        let heard = hearers.map(|(_, member)| member.do_send(line.clone())).count();
        self.lines.push_back(line);
        if self.lines.len() > self.keep {
            self.lines.pop_front();
        }
        heard
    }
}

#[remote]
impl Handler<Look> for Room {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let mut names: Vec<_> = self.members.keys().cloned().collect();
        names.sort();
        MessageResult((self.topic.clone(), names))
    }
}
