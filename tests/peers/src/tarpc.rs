//! tarpc: calls over TCP with bincode; not encrypted. It has no message without an answer.

use std::{cell::RefCell, net::SocketAddr};

use bytes::Bytes;
use futures_util::StreamExt;
use tarpc::{
    client, context,
    serde_transport::{self, Transport},
    server::{self, Channel},
    tokio_serde::formats::Bincode,
    tokio_util::codec::{Framed, LengthDelimitedCodec},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
};

use crate::{
    duel::{self, obey},
    exchange::{Client, Receipts},
};

/// As many requests as any workload has under way: by default fewer fit.
const REQUESTS: usize = 4096;

#[tarpc::service]
trait Echo {
    async fn ask(payload: Bytes) -> Bytes;
    async fn tell(payload: Bytes);
}

#[derive(Clone)]
struct EchoServer;

impl Echo for EchoServer {
    async fn ask(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }

    async fn tell(self, _: context::Context, payload: Bytes) {
        std::hint::black_box(payload);
    }
}

pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    spawn_local(async move {
        let (stream, _) = listener.accept().await.expect("the caller");
        let config = server::Config { pending_response_buffer: REQUESTS };
        let requests = config.channel(transport(stream)).execute(EchoServer.serve());
        requests
            .for_each(|handling| async {
                tokio::spawn(handling);
            })
            .await;
    });
    duel::serve(&address.to_string()).await;
}

pub(crate) async fn call(ticket: &str) {
    let address: SocketAddr = ticket.parse().expect("an address");
    let stream = TcpStream::connect(address).await.expect("the callee");
    let mut config = client::Config::default();
    config.max_in_flight_requests = REQUESTS;
    config.pending_request_buffer = REQUESTS;
    let echo = EchoClient::new(config, transport(stream)).spawn();
    obey(Remote { echo, receipts: RefCell::new(Receipts::new()) }).await;
}

fn transport<Item, SinkItem>(
    stream: TcpStream,
) -> Transport<TcpStream, Item, SinkItem, Bincode<Item, SinkItem>>
where
    Item: for<'de> serde::Deserialize<'de>,
    SinkItem: serde::Serialize,
{
    stream.set_nodelay(true).expect("an option");
    serde_transport::new(Framed::new(stream, LengthDelimitedCodec::new()), Bincode::default())
}

struct Remote {
    echo: EchoClient,
    receipts: RefCell<Receipts<JoinHandle<()>>>,
}

impl Client for Remote {
    async fn ask(&self, payload: &Bytes) {
        self.echo.ask(context::current(), payload.clone()).await.expect("an answer");
    }

    /// Only for large payloads, each of which is due for a receipt.
    async fn tell(&self, payload: &Bytes) {
        let (echo, payload) = (self.echo.clone(), payload.clone());
        let told = spawn_local(async move {
            echo.tell(context::current(), payload).await.expect("an answer");
        });
        let overdue = self.receipts.borrow_mut().keep(told);
        if let Some(receipt) = overdue {
            receipt.await.expect("an answer");
        }
    }

    async fn settle(&self) {
        let open = self.receipts.borrow_mut().take();
        for receipt in open {
            receipt.await.expect("an answer");
        }
    }
}
