//! Errors that are no serde types travel as `Failure`, whatever a handler or task answers with.

use std::{error::Error, fmt, io};

use actix::prelude::*;
use anyhow::Context as _;
use flame_actor::{Failure, remote, task};
use serde::{Deserialize, Serialize};

use crate::support::{pool, soon};

#[derive(Default, Serialize, Deserialize)]
struct Disk {
    reads: u64,
}

impl Actor for Disk {
    type Context = Context<Self>;
}

macro_rules! message {
    ($name:ident) => {
        #[derive(Message, Serialize, Deserialize)]
        #[rtype(result = "Result<u64, Failure>")]
        struct $name(u64);
    };
}

message!(Plain);
message!(Later);
message!(WithActor);
message!(Atomic);
message!(Any);
message!(Text);

fn read(n: u64) -> io::Result<u64> {
    if n == 0 { Err(io::Error::other("nothing there")) } else { Ok(n) }
}

#[remote(failure)]
impl Handler<Plain> for Disk {
    type Result = io::Result<u64>;
    fn handle(&mut self, Plain(n): Plain, _: &mut Context<Self>) -> io::Result<u64> {
        self.reads += 1;
        if n > 100 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = read(n)?;
        Ok(n + self.reads)
    }
}

#[remote(failure)]
impl Handler<Later> for Disk {
    type Result = ResponseFuture<io::Result<u64>>;
    fn handle(&mut self, Later(n): Later, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move { read(n) })
    }
}

#[remote(failure)]
impl Handler<WithActor> for Disk {
    type Result = ResponseActFuture<Self, io::Result<u64>>;
    fn handle(&mut self, WithActor(n): WithActor, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move { read(n) }.into_actor(self).map(|n, disk, _| n.map(|n| n + disk.reads)))
    }
}

#[remote(failure)]
impl Handler<Atomic> for Disk {
    type Result = AtomicResponse<Self, io::Result<u64>>;
    fn handle(&mut self, Atomic(n): Atomic, _: &mut Context<Self>) -> Self::Result {
        AtomicResponse::new(Box::pin(async move { read(n) }.into_actor(self)))
    }
}

#[remote(failure)]
impl Handler<Any> for Disk {
    type Result = anyhow::Result<u64>;
    fn handle(&mut self, Any(n): Any, _: &mut Context<Self>) -> anyhow::Result<u64> {
        read(n).with_context(|| format!("cannot read sector {n}"))
    }
}

#[remote(failure)]
impl Handler<Text> for Disk {
    type Result = Result<u64, String>;
    fn handle(&mut self, Text(n): Text, _: &mut Context<Self>) -> Self::Result {
        read(n).map_err(|error| format!("as a text: {error}"))
    }
}

#[task(failure)]
async fn parse(text: String) -> anyhow::Result<u64> {
    text.trim().parse().context("no number")
}

#[task(failure, u8, i64)]
fn parse_as<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

#[actix::test]
async fn every_kind_of_response_travels_with_its_own_error() {
    let pool = pool("failures");
    let disk = pool.place_child(Disk::default()).await.unwrap();
    macro_rules! check {
        ($($message:ident, $good:expr, $bad:expr;)*) => {$(
            assert_eq!(soon(disk.send($message(7))).await.unwrap().unwrap(), $good);
            assert_eq!(soon(disk.send($message(0))).await.unwrap().unwrap_err().to_string(), $bad);
        )*};
    }
    check! {
        Plain, 8, "nothing there";
        Later, 7, "nothing there";
        WithActor, 9, "nothing there";
        Atomic, 7, "nothing there";
        Any, 7, "cannot read sector 0: nothing there";
        Text, 7, "as a text: nothing there";
    }
    let full = soon(disk.send(Plain(101))).await.unwrap().unwrap_err();
    assert_eq!(
        full,
        io::Error::from(io::ErrorKind::StorageFull).into(),
        "a `return` in the body means what it meant"
    );
}

#[actix::test]
async fn local_senders_get_the_same_answer() {
    let disk = Disk::default().start();
    assert_eq!(disk.send(Plain(0)).await.unwrap(), Err("nothing there".into()));
    assert_eq!(disk.send(Atomic(0)).await.unwrap(), Err("nothing there".into()));
    let plain: Recipient<Later> = disk.recipient();
    assert_eq!(plain.send(Later(3)).await.unwrap(), Ok(3));
}

#[actix::test]
async fn a_tasks_own_error_travels_and_in_place_it_stays() {
    let pool = pool("parses");
    assert_eq!(soon(pool.call(parse::task("42".into()))).await.unwrap(), Ok(42));
    let failure = soon(pool.call(parse::task("forty-two".into()))).await.unwrap().unwrap_err();
    assert_eq!(failure.chain().collect::<Vec<_>>(), ["no number", "invalid digit found in string"]);
    assert!(parse("x".into()).await.unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
    let failure = soon(pool.call(parse_as::<u8>::task("300".into()))).await.unwrap().unwrap_err();
    assert_eq!(failure.message(), parse_as::<u8>("300").unwrap_err().to_string());
    assert_eq!(soon(pool.call(parse_as::<i64>::task("300".into()))).await.unwrap(), Ok(300));
}

/// An error with this many sources.
#[derive(Debug)]
struct Nested(usize, Option<Box<Nested>>);

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}

impl Error for Nested {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn nested(depth: usize) -> Nested {
    Nested(depth, (depth > 0).then(|| Box::new(nested(depth - 1))))
}

#[test]
fn a_failure_keeps_the_words_of_its_sources_in_order_and_not_without_end() {
    let failure = Failure::from(nested(2));
    assert_eq!(failure.to_string(), "error 2: error 1: error 0");
    assert_eq!(format!("{failure:?}"), "error 2\n\nCaused by:\n    error 1\n    error 0");
    assert_eq!(Failure::from(nested(1000)).chain().count(), 1 + Failure::MAX_CHAIN);
}

#[test]
fn a_failure_becomes_an_error_with_sources_again() {
    fn boxed() -> Result<(), Box<dyn Error>> {
        let outcome: Result<(), Failure> = Err(nested(2).into());
        Ok(outcome.map_err(Failure::into_error)?)
    }
    let error = boxed().unwrap_err();
    assert_eq!(error.to_string(), "error 2");
    assert_eq!(error.source().unwrap().source().unwrap().to_string(), "error 0");
    let error = anyhow::Error::from(Failure::from(nested(2)).into_error());
    assert_eq!(format!("{error:#}"), "error 2: error 1: error 0");
}
