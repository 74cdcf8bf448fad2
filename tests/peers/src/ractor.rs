//! ractor_cluster: an actor of another node, found by its process group; not encrypted.

use std::{cell::RefCell, net::SocketAddr};

use bytes::Bytes;
use ractor::{
    Actor, ActorProcessingErr, ActorRef, RpcReplyPort, cast,
    concurrency::{OneshotReceiver, oneshot},
    pg,
};
use ractor_cluster::{
    NodeEventSubscription, NodeServer, NodeServerMessage, RactorClusterMessage, client_connect,
    node::NodeServerSessionInformation,
};
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::{
    duel::{self, free_address, obey},
    exchange::{Client, Receipts},
};

const GROUP: &str = "echo";

/// ractor has `Vec<u8>` as its bytes: a message that holds one is not taken apart.
#[derive(RactorClusterMessage)]
enum Order {
    #[rpc]
    Ask(Vec<u8>, RpcReplyPort<Vec<u8>>),
    Tell(Vec<u8>),
}

/// Echoes and counts.
struct Echo;

impl Actor for Echo {
    type Msg = Order;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Order>,
        order: Order,
        told: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Ask(payload, reply) => reply.send(payload)?,
            Order::Tell(payload) => *told += payload.len() as u64,
        }
        Ok(())
    }
}

pub(crate) async fn serve() {
    let address = free_address();
    let _node = node("callee", address).await;
    let (echo, _) = Actor::spawn(None, Echo, ()).await.expect("an actor");
    pg::join(GROUP.to_owned(), vec![echo.get_cell()]);
    duel::serve(&address.to_string()).await;
}

pub(crate) async fn call(ticket: &str) {
    let node = node("caller", free_address()).await;
    let (ready, mut readied) = mpsc::unbounded_channel();
    let subscription = Box::new(Readiness(ready));
    cast!(node, NodeServerMessage::SubscribeToEvents { id: "bench".to_owned(), subscription })
        .expect("a node");
    client_connect(&node, ticket).await.expect("the callee");
    readied.recv().await.expect("a session");
    let echo = pg::get_members(&GROUP.to_owned()).pop().expect("the callee's actor").into();
    obey(Remote { echo, receipts: RefCell::new(Receipts::new()) }).await;
}

async fn node(name: &str, address: SocketAddr) -> ActorRef<NodeServerMessage> {
    let (cookie, host) = ("bench".to_owned(), "localhost".to_owned());
    let server = NodeServer::new(address.port(), cookie, name.to_owned(), host, None, None);
    Actor::spawn(None, server.with_listen_addr(address.ip()), ()).await.expect("a node").0
}

/// Says when a session with another node is ready: its actors are known from then on.
struct Readiness(UnboundedSender<()>);

impl NodeEventSubscription for Readiness {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {}

    fn node_session_disconnected(&self, _: NodeServerSessionInformation) {}

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, _: NodeServerSessionInformation) {
        let _ = self.0.send(());
    }
}

/// Nothing in ractor waits for room, so receipts do.
struct Remote {
    echo: ActorRef<Order>,
    receipts: RefCell<Receipts<OneshotReceiver<Vec<u8>>>>,
}

impl Remote {
    fn start(&self, payload: &Bytes) -> OneshotReceiver<Vec<u8>> {
        let (reply, answer) = oneshot();
        cast!(self.echo, Order::Ask(payload.to_vec(), reply.into())).expect("an actor");
        answer
    }
}

impl Client for Remote {
    async fn ask(&self, payload: &Bytes) {
        self.start(payload).await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        cast!(self.echo, Order::Tell(payload.to_vec())).expect("an actor");
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
