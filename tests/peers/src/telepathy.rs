//! actix-telepathy: a remote actor by its name; not encrypted. It has no answers, so a message is answered by another one.

use std::{cell::RefCell, net::SocketAddr, rc::Rc};

use actix::prelude::*;
use actix_broker::BrokerSubscribe;
use actix_telepathy::{
    Cluster, ClusterLog, CustomSerialization, CustomSerializationError, NetworkInterface, NodeEvent,
    RemoteActor, RemoteAddr, RemoteMessage, RemoteWrapper,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::sync::oneshot;

use crate::{
    duel::{self, free_address, obey},
    exchange::{Client, Receipts},
};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
enum Order {
    /// Where the answers go.
    Hello(RemoteAddr),
    Ask(usize, Bytes),
    Tell(Bytes),
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Answer(usize, Bytes);

/// MessagePack, in place of the default, flexbuffers.
struct MessagePack;

impl CustomSerialization for MessagePack {
    fn serialize<T: ?Sized + Serialize>(&self, value: &T) -> Result<Vec<u8>, CustomSerializationError> {
        rmp_serde::to_vec(value).map_err(|_| CustomSerializationError)
    }

    fn deserialize<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, CustomSerializationError> {
        rmp_serde::from_slice(bytes).map_err(|_| CustomSerializationError)
    }
}

impl RemoteMessage for Order {
    type Serializer = MessagePack;
    const IDENTIFIER: &'static str = "Order";

    fn get_serializer(&self) -> Box<MessagePack> {
        Box::new(MessagePack)
    }

    fn generate_serializer() -> Box<MessagePack> {
        Box::new(MessagePack)
    }

    fn set_source(&mut self, source: Addr<NetworkInterface>) {
        if let Self::Hello(answers) = self {
            answers.set_network_interface(source);
        }
    }
}

impl RemoteMessage for Answer {
    type Serializer = MessagePack;
    const IDENTIFIER: &'static str = "Answer";

    fn get_serializer(&self) -> Box<MessagePack> {
        Box::new(MessagePack)
    }

    fn generate_serializer() -> Box<MessagePack> {
        Box::new(MessagePack)
    }

    fn set_source(&mut self, _: Addr<NetworkInterface>) {}
}

/// Echoes and counts.
#[derive(Default, RemoteActor)]
#[remote_messages(Order)]
struct Echo {
    answers: Option<RemoteAddr>,
    told: u64,
}

impl Actor for Echo {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.register(context.address().recipient());
    }
}

impl Handler<Order> for Echo {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Context<Self>) {
        match order {
            Order::Hello(answers) => self.answers = Some(answers),
            Order::Ask(number, payload) => {
                self.answers.as_ref().expect("a caller").do_send(Answer(number, payload));
            }
            Order::Tell(payload) => self.told += payload.len() as u64,
        }
    }
}

pub(crate) async fn serve() {
    let address = free_address();
    Echo::default().start();
    start_cluster(address, vec![]).await;
    duel::serve(&address.to_string()).await;
}

pub(crate) async fn call(ticket: &str) {
    let (address, callee) = (free_address(), ticket.parse().expect("an address"));
    let waiting = Rc::default();
    let (found, echo) = oneshot::channel();
    Answers { waiting: Rc::clone(&waiting), found: Some(found) }.start();
    start_cluster(address, vec![callee]).await;
    let echo = echo.await.expect("the callee");
    echo.do_send(Order::Hello(RemoteAddr::new_from_id(address, Answers::ACTOR_ID)));
    obey(Remote { echo, waiting, receipts: RefCell::new(Receipts::new()) }).await;
}

/// Starts this node and waits until it listens.
async fn start_cluster(address: SocketAddr, seeds: Vec<SocketAddr>) {
    let cluster = Cluster::new(address, seeds);
    // It handles this, of which nothing comes, after it has started.
    cluster.send(NodeEvent::MemberDown(address)).await.expect("a cluster");
}

type Waiting = Rc<RefCell<Slab<oneshot::Sender<Bytes>>>>;

/// Takes the answers to the caller, and tells it of the callee.
#[derive(RemoteActor)]
#[remote_messages(Answer)]
struct Answers {
    waiting: Waiting,
    found: Option<oneshot::Sender<RemoteAddr>>,
}

impl Actor for Answers {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.register(context.address().recipient());
        self.subscribe_system_async::<ClusterLog>(context);
    }
}

impl Handler<Answer> for Answers {
    type Result = ();

    fn handle(&mut self, Answer(number, payload): Answer, _: &mut Context<Self>) {
        let _ = self.waiting.borrow_mut().remove(number).send(payload);
    }
}

impl Handler<ClusterLog> for Answers {
    type Result = ();

    fn handle(&mut self, event: ClusterLog, _: &mut Context<Self>) {
        if let ClusterLog::NewMember(node) = event
            && let Some(found) = self.found.take()
        {
            let _ = found.send(node.get_remote_addr(Echo::ACTOR_ID.to_owned()));
        }
    }
}

/// The one thing in telepathy that waits does so for the writer alone, so receipts wait for the callee.
struct Remote {
    echo: RemoteAddr,
    waiting: Waiting,
    receipts: RefCell<Receipts<oneshot::Receiver<Bytes>>>,
}

impl Remote {
    fn start(&self, payload: &Bytes) -> oneshot::Receiver<Bytes> {
        let (sender, answer) = oneshot::channel();
        let number = self.waiting.borrow_mut().insert(sender);
        self.echo.do_send(Order::Ask(number, payload.clone()));
        answer
    }
}

impl Client for Remote {
    async fn ask(&self, payload: &Bytes) {
        self.start(payload).await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        self.echo.do_send(Order::Tell(payload.clone()));
        if !self.receipts.borrow_mut().is_due(payload.len()) {
            return;
        }
        let overdue = self.receipts.borrow_mut().keep(self.start(&Bytes::new()));
        if let Some(receipt) = overdue {
            receipt.await.expect("an answer");
        }
    }

    async fn settle(&self) {
        self.receipts.borrow_mut().take();
        self.ask(&Bytes::new()).await;
    }
}
