//! What handlers of another process answer with: errors of their own, and those of the documentation's chat room.

use std::{fs, io};

use actix::prelude::*;
use anyhow::Context as _;
use flame_actor::{Failure, remote, task};
use flame_tests::{process_id, support::soon, tests};
use serde::{Deserialize, Serialize};

use super::{
    chat_room::{Join, Leave, Line, Look, NameTaken, Room, Say},
    support::builder,
};

tests![
    a_handlers_io_error_reaches_the_caller_in_another_process,
    a_tasks_error_and_its_sources_reach_the_caller_in_another_process,
    the_documented_chat_room_serves_members_from_another_process,
];

/// Reads files of its runner's.
#[derive(Serialize, Deserialize)]
struct Reader;

impl Actor for Reader {
    type Context = Context<Self>;
}

/// The length of a file.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<(u64, u32), Failure>")]
struct Length(String);

#[remote(failure)]
impl Handler<Length> for Reader {
    type Result = io::Result<(u64, u32)>;

    fn handle(&mut self, Length(path): Length, _: &mut Context<Self>) -> Self::Result {
        Ok((fs::metadata(path)?.len(), std::process::id()))
    }
}

#[task(failure)]
async fn parse(text: String) -> anyhow::Result<u64> {
    text.trim().parse().context("no number")
}

async fn a_handlers_io_error_reaches_the_caller_in_another_process() {
    let pool = builder("reads").start().unwrap();
    let reader = pool.place_child(Reader).await.unwrap();
    let failure = soon(reader.send(Length("/no/such/file".into()))).await.unwrap().unwrap_err();
    let here = fs::metadata("/no/such/file").unwrap_err();
    assert_eq!(failure.message(), here.to_string());
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "twelve bytes").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let (length, process) = soon(reader.send(Length(path))).await.unwrap().unwrap();
    assert_eq!(length, 12);
    assert_ne!(process, std::process::id());
}

async fn a_tasks_error_and_its_sources_reach_the_caller_in_another_process() {
    let pool = builder("parses").start().unwrap();
    assert_ne!(pool.call(process_id::task()).await.unwrap(), std::process::id());
    assert_eq!(soon(pool.call(parse::task("42".into()))).await.unwrap(), Ok(42));
    let failure = soon(pool.call(parse::task("forty-two".into()))).await.unwrap().unwrap_err();
    assert_eq!(failure.chain().collect::<Vec<_>>(), ["no number", "invalid digit found in string"]);
}

/// Hears what is said in the room.
struct Member(tokio::sync::mpsc::UnboundedSender<Line>);

impl Actor for Member {
    type Context = Context<Self>;
}

impl Handler<Line> for Member {
    type Result = ();

    fn handle(&mut self, line: Line, _: &mut Context<Self>) {
        let _ = self.0.send(line);
    }
}

async fn the_documented_chat_room_serves_members_from_another_process() {
    let pool = builder("rooms").start().unwrap();
    let room = pool.place_child(Room::new("rust", 2)).await.unwrap();
    assert!(room.addr().as_local().is_none());
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let member = Member(heard).start().recipient();
    let join = || Join { name: "ann".to_owned(), member: member.clone() };
    let line = |text: &str| Line { name: "eve".to_owned(), text: text.to_owned() };
    assert_eq!(soon(room.send(Say(line("early")))).await.unwrap(), 0);
    assert_eq!(soon(room.send(join())).await.unwrap(), Ok(vec![line("early")]));
    assert_eq!(soon(room.send(join())).await.unwrap(), Err(NameTaken("ann".to_owned())));
    assert_eq!(soon(room.send(Say(line("hello")))).await.unwrap(), 1);
    assert_eq!(soon(hears.recv()).await, Some(line("hello")));
    assert_eq!(soon(room.send(Look)).await.unwrap(), ("rust".to_owned(), vec!["ann".to_owned()]));
    soon(room.send(Leave("ann".to_owned()))).await.unwrap();
    assert_eq!(soon(room.send(Say(line("late")))).await.unwrap(), 0);
}
