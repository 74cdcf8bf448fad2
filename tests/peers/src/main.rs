//! Published ways to send messages between processes, each as a pair of processes that the messaging benchmark starts.
//!
//! ```sh
//! peers callee PEER           # prints the ticket that its caller needs, and serves until standard input ends
//! peers caller PEER TICKET    # prints "ready", then a sample for each "WORKLOAD MILLISECONDS" on standard input
//! ```
//!
//! What is measured is the benchmark's own code. Every process has one thread for its messages: with more of them each
//! of these peers is slower at such work. Payloads are passed as bytes wherever a peer has a way to do so.

mod duel;
#[path = "../../benches/messaging/exchange.rs"]
mod exchange;
mod kameo;
mod ractor;
mod tarpc;
mod telepathy;

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    actix::System::new().block_on(async {
        match arguments[..] {
            ["callee", "kameo"] => kameo::serve().await,
            ["callee", "ractor"] => ractor::serve().await,
            ["callee", "tarpc"] => tarpc::serve().await,
            ["callee", "telepathy"] => telepathy::serve().await,
            ["caller", "kameo", ticket] => kameo::call(ticket).await,
            ["caller", "ractor", ticket] => ractor::call(ticket).await,
            ["caller", "tarpc", ticket] => tarpc::call(ticket).await,
            ["caller", "telepathy", ticket] => telepathy::call(ticket).await,
            _ => panic!("peers callee PEER, or peers caller PEER TICKET; not {arguments:?}"),
        }
    });
}
