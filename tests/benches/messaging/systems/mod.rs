//! What is compared. Each system is a process that calls and, but for actix alone, one that is called.

mod actix_alone;
pub(crate) mod flame;
mod frames;
mod mux;
pub(crate) mod peers;
mod quinn;
mod tcp;

use std::{
    io::{self, BufRead, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    cpus,
    workload::{self, Client, Sample, Workload},
};

/// The argument that makes this executable the calling process of a system.
pub(crate) const CALLER: &str = "caller";
/// The argument that makes it the other one.
pub(crate) const CALLEE: &str = "callee";

/// A way to get messages from one process to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// This project: a placed actor, apart from the network thread.
    Flame,
    /// The same, the actor and its caller on the threads of their links.
    FlameColocated,
    /// A QUIC stream, with the same encryption and tuning: the limit.
    Quinn,
    /// A TCP connection, not encrypted.
    Tcp,
    /// actix, within one process.
    Actix,
    /// ractor_cluster, not encrypted.
    Ractor,
    /// actix-telepathy, not encrypted.
    Telepathy,
    /// kameo, remote; encrypted.
    Kameo,
    /// tarpc, not encrypted.
    Tarpc,
}

impl System {
    pub(crate) const ALL: [Self; 5] =
        [Self::Flame, Self::FlameColocated, Self::Quinn, Self::Tcp, Self::Actix];
    /// What others have published; built apart.
    pub(crate) const PEERS: [Self; 4] = [Self::Ractor, Self::Telepathy, Self::Kameo, Self::Tarpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flame => "flame",
            Self::FlameColocated => "flame-colocated",
            Self::Quinn => "quinn",
            Self::Tcp => "tcp",
            Self::Actix => "actix",
            Self::Ractor => "ractor",
            Self::Telepathy => "telepathy",
            Self::Kameo => "kameo",
            Self::Tarpc => "tarpc",
        }
    }

    /// Whether it has a way to do this.
    pub(crate) fn plays(self, workload: Workload) -> bool {
        match self {
            Self::Flame | Self::FlameColocated | Self::Quinn | Self::Tcp | Self::Actix => true,
            Self::Ractor | Self::Telepathy | Self::Kameo | Self::Tarpc => peers::play(self, workload),
        }
    }

    fn named(name: &str) -> Self {
        *Self::ALL.iter().chain(&Self::PEERS).find(|system| system.name() == name).expect("a system")
    }
}

/// The calling process of a system: takes orders on standard input until it ends.
pub(crate) fn call(system: &str) {
    cpus::take_place(cpus::CALLER);
    let system = System::named(system);
    actix::System::new().block_on(async {
        match system {
            System::Flame => flame::call().await,
            System::FlameColocated => flame::call_colocated().await,
            System::Quinn => quinn::call().await,
            System::Tcp => tcp::call().await,
            System::Actix => actix_alone::call().await,
            System::Ractor | System::Telepathy | System::Kameo | System::Tarpc => peers::call(system),
        }
    });
}

/// The called process of a system that has no way of its own to start one.
pub(crate) fn serve(system: &str) {
    cpus::take_place(cpus::CALLEE);
    // The caller may be killed, which no QUIC connection without a time limit would hear of.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let system = System::named(system);
    actix::System::new().block_on(async {
        match system {
            System::Quinn => quinn::serve().await,
            System::Tcp => tcp::serve().await,
            System::Flame | System::FlameColocated | System::Actix => {}
            System::Ractor | System::Telepathy | System::Kameo | System::Tarpc => peers::serve(system),
        }
    });
}

/// Does what standard input says.
async fn obey(client: impl Client) {
    obey_by(async |workload, time| workload::run(&client, workload, time).await).await;
}

/// The same, by a way of one's own.
async fn obey_by(mut run: impl AsyncFnMut(Workload, Duration) -> Sample) {
    say("ready");
    // Nothing else is to be done meanwhile, so waiting for the next line may hold this thread.
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input");
        let (workload, milliseconds) = line.split_once(' ').expect("a workload and a time");
        let workload = workload.parse().expect("a workload");
        let time = Duration::from_millis(milliseconds.parse().expect("milliseconds"));
        say(&run(workload, time).await.to_string());
    }
}

fn say(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("standard output");
}

/// Copies of this executable that were spawned bare, each with a bare connection over which it has answered once: the least
/// that boots of as many runners can take. They end when this is dropped.
pub(crate) async fn bare(copies: usize) -> impl Sized {
    let callees: Vec<_> = (0..copies).map(|_| Callee::spawn(System::Quinn)).collect();
    let mut connected = Vec::new();
    for callee in callees {
        let (callee, mux) = quinn::connect(callee).await;
        mux.ask(&Bytes::new()).await;
        connected.push((callee, mux));
    }
    connected
}

/// The other process of a raw system; ended when this is dropped.
struct Callee {
    process: Child,
    lines: io::BufReader<ChildStdout>,
}

impl Callee {
    fn spawn(system: System) -> Self {
        let executable = std::env::current_exe().expect("this executable");
        let mut process = Command::new(executable)
            .args([CALLEE, system.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a copy of this executable");
        let lines = io::BufReader::new(process.stdout.take().expect("piped"));
        Self { process, lines }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
