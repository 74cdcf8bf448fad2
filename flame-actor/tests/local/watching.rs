//! Death watch: one word for each who watches, whenever and from wherever.

use std::time::Duration;

use actix::prelude::*;
use flame_actor::{
    Down, DownReason, Pool, RemoteAddr, RemoteRecipient, WatchId,
    backend::{Backend, Boot, BootError, BoxFuture, Instance},
    remote,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::support::{Heavy, Log, Note, Notes, builder, pool, soon, until};

/// Ends in the way that it is told to.
#[derive(Serialize, Deserialize)]
struct Mortal;

impl Actor for Mortal {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
enum End {
    Stop,
    Panic(String),
    Block(Duration),
}

#[remote]
impl Handler<End> for Mortal {
    type Result = ();
    fn handle(&mut self, end: End, ctx: &mut Context<Self>) {
        match end {
            End::Stop => ctx.stop(),
            End::Panic(words) => panic!("{words}"),
            End::Block(time) => std::thread::sleep(time),
        }
    }
}

/// Passes on what it hears of ends.
struct Widow(mpsc::UnboundedSender<Down>);

impl Actor for Widow {
    type Context = Context<Self>;
}

impl Handler<Down> for Widow {
    type Result = ();
    fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        let _ = self.0.send(down);
    }
}

#[actix::test]
async fn each_watcher_hears_once_as_a_future_and_as_a_message() {
    let pool = pool("watch-each");
    let mortal = pool.place_child(Mortal).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let widow = Widow(sender).start();
    let watches = [mortal.watch(), mortal.watch()];
    let ids: Vec<WatchId> = (0..2).map(|_| mortal.watch_with(widow.clone().recipient())).collect();
    mortal.do_send(End::Stop);
    for watch in watches {
        let id = watch.id();
        let down = soon(watch).await;
        assert_eq!((down.watch, down.reason), (id, DownReason::Stopped));
    }
    let mut told = vec![soon(heard.recv()).await.unwrap().watch, soon(heard.recv()).await.unwrap().watch];
    told.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(told, ids);
    // Whatever else comes of the end has come by the time that the slot is free.
    until("the slot is free", || pool.inspect().runners.iter().all(|runner| runner.held == 0)).await;
    assert!(heard.try_recv().is_err(), "heard twice");
}

#[actix::test]
async fn a_watch_placed_after_the_death_hears_how_it_was() {
    let pool = pool("watch-late");
    let mortal = pool.place_child(Mortal).await.unwrap();
    mortal.do_send(End::Panic("at noon".into()));
    let panicked = DownReason::Panicked { message: "at noon".into() };
    assert_eq!(soon(mortal.watch()).await.reason, panicked);
    // By now the death is old news.
    assert!(soon(mortal.send(End::Stop)).await.is_err());
    assert_eq!(soon(mortal.watch()).await.reason, panicked);
}

#[actix::test]
async fn a_panic_is_told_with_its_message_however_long() {
    let pool = pool("watch-panic");
    let mortal = pool.place_child(Mortal).await.unwrap();
    let watch = mortal.watch();
    mortal.do_send(End::Panic("x".repeat(40_000)));
    let DownReason::Panicked { message } = soon(watch).await.reason else { panic!("another reason") };
    assert!(message.starts_with("xxx") && message.len() > 8000);
    // The notice to the pool fits into a signal too.
    until("the slot is free", || pool.inspect().runners.iter().all(|runner| runner.held == 0)).await;
}

#[actix::test]
async fn an_actor_that_never_was_is_told_as_such() {
    #[derive(Debug)]
    struct Nothing;
    impl Backend for Nothing {
        fn name(&self) -> &str {
            "nothing"
        }
        fn boot(&self, _: Boot) -> BoxFuture<Result<std::sync::Arc<dyn Instance>, BootError>> {
            Box::pin(async { Err(BootError::other(std::io::Error::other("no room"))) })
        }
    }
    let pool = Pool::builder("watch-never").timeout(Duration::from_secs(2)).backend(Nothing).start().unwrap();
    let mortal = pool.place_child(Mortal).addr();
    let reason = soon(mortal.watch()).await.reason;
    assert!(matches!(reason, DownReason::NotStarted { .. }), "{reason:?}");
    let late = soon(mortal.watch()).await.reason;
    assert_eq!(late, reason);
}

#[actix::test]
async fn a_watch_placed_before_the_start_holds_beyond_it() {
    let pool = pool("watch-early");
    let mortal = pool.place_child(Mortal).addr();
    let watch = mortal.watch();
    mortal.do_send(End::Stop);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
}

#[actix::test]
async fn the_word_of_a_death_overtakes_a_full_lane() {
    let pool = pool("watch-full");
    let (mortal, log) =
        (pool.place_child(Mortal).await.unwrap(), pool.place_child(Log::default()).await.unwrap());
    let watch = mortal.watch();
    // The runner's one link is full of what nobody takes yet.
    mortal.send(End::Block(Duration::from_millis(1))).await.unwrap();
    let ballast = bytes::Bytes::from(vec![7; 64 * 1024]);
    for n in 0..12 {
        log.do_send(Heavy(n, ballast.clone()));
    }
    mortal.do_send(End::Block(Duration::from_millis(300)));
    for n in 0..1000 {
        if mortal.try_send(End::Block(Duration::ZERO)).is_err() {
            assert!(n > 0);
            break;
        }
    }
    let runner = mortal.addr();
    drop(mortal);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    drop(runner);
}

#[actix::test]
async fn a_watch_keeps_no_actor_alive() {
    let pool = pool("watch-weak");
    let log = pool.place_child(Log::default()).await.unwrap().detach();
    log.send(Note(1)).await.unwrap();
    let watch = log.watch();
    drop(log);
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
}

#[actix::test]
async fn an_actor_of_this_node_can_be_watched() {
    let local = Log::default().start();
    let address = RemoteAddr::from(local.clone());
    let (sender, mut heard) = mpsc::unbounded_channel();
    let id = address.watch_with(Widow(sender).start().recipient());
    let watch = address.watch();
    drop((local, address));
    assert_eq!(soon(watch).await.reason, DownReason::Stopped);
    assert_eq!(soon(heard.recv()).await.unwrap().watch, id);
}

/// Watches from its runner.
#[derive(Serialize, Deserialize)]
struct Watcher;

impl Actor for Watcher {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Follow<A: Actor<Context = Context<A>>> {
    whom: RemoteAddr<A>,
    tell: RemoteRecipient<Heard>,
}

#[derive(Message, Serialize, Deserialize, Debug, PartialEq)]
#[rtype(result = "()")]
struct Heard(DownReason);

#[remote(Watcher: Follow<Log>, Watcher: Follow<Mortal>)]
impl<A: Actor<Context = Context<A>>> Handler<Follow<A>> for Watcher {
    type Result = ();
    fn handle(&mut self, Follow { whom, tell }: Follow<A>, ctx: &mut Context<Self>) {
        let watch = whom.watch();
        ctx.spawn(async move { tell.do_send(Heard(watch.await.reason)) }.into_actor(self));
    }
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Heard> for Ear {
    type Result = ();
    fn handle(&mut self, heard: Heard, _: &mut Context<Self>) {
        let _ = self.0.send(heard);
    }
}

#[actix::test]
async fn a_runner_can_watch_an_actor_of_its_parent_and_one_of_another_runner() {
    let pool = builder("watch-from").max(2).max_concurrency(1).start().unwrap();
    let watcher = pool.place_child(Watcher).await.unwrap();
    let mortal = pool.place_child(Mortal).await.unwrap();
    assert_ne!(watcher.runner(), mortal.runner());
    let (sender, mut heard) = mpsc::unbounded_channel();
    let ear: Recipient<Heard> = Ear(sender).start().recipient();
    let local = Log::default().start();

    let tell = RemoteRecipient::from(ear);
    watcher.send(Follow { whom: local.clone().into(), tell: tell.clone() }).await.unwrap();
    watcher.send(Follow { whom: mortal.addr(), tell }).await.unwrap();
    local.send(Notes).await.unwrap();
    drop(local);
    assert_eq!(soon(heard.recv()).await, Some(Heard(DownReason::Stopped)));
    mortal.do_send(End::Panic("far away".into()));
    let panicked = DownReason::Panicked { message: "far away".into() };
    assert_eq!(soon(heard.recv()).await, Some(Heard(panicked)));
}

#[actix::test]
async fn a_watch_whose_address_is_dropped_at_once_hears_how_the_actor_ended() {
    let pool = pool("watch-and-drop");
    let watcher = pool.place_child(Watcher).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let tell = RemoteRecipient::from(Ear(sender).start().recipient::<Heard>());
    // The watch and the word that the only address is gone race each other.
    for _ in 0..20 {
        let followed = (0..50).map(|_| {
            let whom = Log::default().start().into();
            watcher.send(Follow { whom, tell: tell.clone() })
        });
        for followed in followed.collect::<Vec<_>>() {
            soon(followed).await.unwrap();
        }
        for _ in 0..50 {
            assert_eq!(soon(heard.recv()).await, Some(Heard(DownReason::Stopped)));
        }
    }
}
