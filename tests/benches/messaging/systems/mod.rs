//! What is compared. Each system is a process that calls and, but for actix alone, one that is called.

mod actix_alone;
mod flame;
mod frames;
mod mux;
mod quinn;
mod tcp;

use std::{
    io::{self, BufRead, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;

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
}

impl System {
    pub(crate) const ALL: [Self; 5] =
        [Self::Flame, Self::FlameColocated, Self::Quinn, Self::Tcp, Self::Actix];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flame => "flame",
            Self::FlameColocated => "flame-colocated",
            Self::Quinn => "quinn",
            Self::Tcp => "tcp",
            Self::Actix => "actix",
        }
    }

    fn named(name: &str) -> Self {
        *Self::ALL.iter().find(|system| system.name() == name).expect("a system")
    }
}

/// The calling process of a system: takes orders on standard input until it ends.
pub(crate) fn call(system: &str) {
    cpus::take_place(cpus::CALLER);
    actix::System::new().block_on(async {
        match System::named(system) {
            System::Flame => flame::call().await,
            System::FlameColocated => flame::call_colocated().await,
            System::Quinn => quinn::call().await,
            System::Tcp => tcp::call().await,
            System::Actix => actix_alone::call().await,
        }
    });
}

/// The called process of a system that has no way of its own to start one.
pub(crate) fn serve(system: &str) {
    cpus::take_place(cpus::CALLEE);
    actix::System::new().block_on(async {
        match System::named(system) {
            System::Quinn => quinn::serve().await,
            System::Tcp => tcp::serve().await,
            System::Flame | System::FlameColocated | System::Actix => {}
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
        let workload = Workload::from_str(workload, false).expect("a workload");
        let time = Duration::from_millis(milliseconds.parse().expect("milliseconds"));
        say(&run(workload, time).await.to_string());
    }
}

fn say(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("standard output");
}

/// The other process of a raw system; ended when this is dropped.
struct Callee(Child);

impl Callee {
    /// Starts it and gives back the first line that it prints.
    fn start(system: System) -> (Self, String) {
        let executable = std::env::current_exe().expect("this executable");
        let mut process = Command::new(executable)
            .args([CALLEE, system.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a copy of this executable");
        let mut line = String::new();
        io::BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        (Self(process), line.trim().to_owned())
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
