//! kameo: a remote actor over libp2p, by TCP with noise: encrypted, and both ends known by their keys.

use std::{cell::RefCell, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use kameo::{
    Actor, RemoteActor, Reply,
    actor::{RemoteActorRef, Spawn},
    message::{Context, Message},
    remote::{self, messaging},
    remote_message,
};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, core::upgrade::Version, noise, swarm::SwarmEvent, tcp, yamux};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    duel::{self, obey},
    exchange::{Client, Receipts},
};

/// As many requests as any workload has under way: each is a stream, and by default fewer may be open.
const STREAMS: usize = 4096;
/// Longer than any workload of another system takes.
const IDLE: Duration = Duration::from_secs(3600);

/// Echoes and counts.
#[derive(Actor, RemoteActor)]
struct Echo {
    told: u64,
}

#[derive(Serialize, Deserialize)]
struct Ask(Bytes);

#[derive(Serialize, Deserialize)]
struct Tell(Bytes);

#[derive(Reply, Serialize, Deserialize)]
struct Answer(Bytes);

#[remote_message]
impl Message<Ask> for Echo {
    type Reply = Answer;

    async fn handle(&mut self, Ask(payload): Ask, _: &mut Context<Self, Answer>) -> Answer {
        Answer(payload)
    }
}

#[remote_message]
impl Message<Tell> for Echo {
    type Reply = ();

    async fn handle(&mut self, Tell(payload): Tell, _: &mut Context<Self, ()>) {
        self.told += payload.len() as u64;
    }
}

/// How the caller gets to the actor.
#[derive(Serialize, Deserialize)]
struct Ticket {
    address: Multiaddr,
    /// A remote reference, as MessagePack: kameo does not read its own in JSON, and only where a swarm is.
    echo: Vec<u8>,
}

pub(crate) async fn serve() {
    let mut swarm = swarm();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("a port");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let address = address.with_p2p(*swarm.local_peer_id()).expect("an address without a peer");
    let local = Echo::spawn(Echo { told: 0 });
    let echo = rmp_serde::to_vec(&local.into_remote_ref().await).expect("MessagePack");
    spawn_local(drive(swarm));
    duel::serve(&serde_json::to_string(&Ticket { address, echo }).expect("JSON")).await;
}

pub(crate) async fn call(ticket: &str) {
    let Ticket { address, echo } = serde_json::from_str(ticket).expect("a ticket");
    let mut swarm = swarm();
    swarm.dial(address).expect("an address");
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => break,
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("the callee: {error}"),
            _ => {}
        }
    }
    spawn_local(drive(swarm));
    let echo = rmp_serde::from_slice(&echo).expect("a reference");
    obey(Remote { echo, receipts: RefCell::new(Receipts::new()) }).await;
}

/// As `kameo::remote::bootstrap` makes one, but with room for all requests, streams that do not wait for the agreement on
/// their protocol, and without a search for peers on the local network.
fn swarm() -> Swarm<remote::Behaviour> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("noise")
        .with_behaviour(|key| {
            let config = messaging::Config::default().with_max_concurrent_streams(STREAMS);
            remote::Behaviour::new(key.public().to_peer_id(), config)
        })
        .expect("a behaviour")
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE)
                .with_max_negotiating_inbound_streams(STREAMS)
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
        })
        .build();
    swarm.behaviour().init_global();
    swarm
}

async fn drive(mut swarm: Swarm<remote::Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

struct Remote {
    echo: RemoteActorRef<Echo>,
    receipts: RefCell<Receipts<JoinHandle<()>>>,
}

impl Client for Remote {
    async fn ask(&self, payload: &Bytes) {
        self.echo.ask(&Ask(payload.clone())).send().await.expect("an answer");
    }

    /// Each message is a stream, so only those that wait for one another keep their order. Nobody asks large ones to.
    async fn tell(&self, payload: &Bytes) {
        if payload.len() < LARGE {
            return self.echo.tell(&Tell(payload.clone())).send_ack().await.expect("a receipt");
        }
        let (echo, payload) = (self.echo.clone(), Tell(payload.clone()));
        let told = spawn_local(async move { echo.tell(&payload).send_ack().await.expect("a receipt") });
        let overdue = self.receipts.borrow_mut().keep(told);
        if let Some(receipt) = overdue {
            receipt.await.expect("a receipt");
        }
    }

    async fn settle(&self) {
        let open = self.receipts.borrow_mut().take();
        for receipt in open {
            receipt.await.expect("a receipt");
        }
        self.ask(&Bytes::new()).await;
    }
}

const LARGE: usize = 64 << 10;
