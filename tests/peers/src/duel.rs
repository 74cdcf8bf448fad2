//! The two ends of a pipe to the benchmark.

use std::{
    io::{self, BufRead, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process, thread,
    time::Duration,
};

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::exchange::{self, Client, Sample};

/// The calling end: does what standard input says until that ends.
pub(crate) async fn obey(client: impl Client) {
    say("ready");
    let mut orders = lines();
    while let Some(order) = orders.recv().await {
        let (workload, milliseconds) = order.split_once(' ').expect("a workload and a time");
        let time = Duration::from_millis(milliseconds.parse().expect("milliseconds"));
        say(&play(&client, workload, time).await.to_string());
    }
}

/// The called end: serves the caller that comes with this ticket, until the benchmark ends.
pub(crate) async fn serve(ticket: &str) {
    say(ticket);
    let mut orders = lines();
    while orders.recv().await.is_some() {}
    process::exit(0);
}

/// A port that nobody listens on, for a peer that has to know its port before it listens.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address")
}

async fn play(client: &impl Client, workload: &str, time: Duration) -> Sample {
    match workload {
        "ask" => exchange::latency(client, time).await,
        "ask256" => exchange::asks(client, 256, time).await,
        "ask1024" => exchange::asks(client, 1024, time).await,
        "tell" => exchange::tells(client, time).await,
        "bulk" => exchange::bulk(client, time).await,
        _ => panic!("a peer does not play {workload}"),
    }
}

/// The lines of standard input. A thread of their own waits for them, so that the peer answers its heartbeats meanwhile;
/// it sleeps while anything is measured.
fn lines() -> UnboundedReceiver<String> {
    let (lines, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let line = line.expect("standard input");
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("standard output");
}
