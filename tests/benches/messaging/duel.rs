//! Several systems at once, in turns.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;

use crate::{
    cpus::{self, Spinners},
    net,
    report::Outcome,
    systems::{CALLER, System},
    workload::{Entry, Sample, Workload},
};

/// Where the processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each process on a CPU of its own, which is kept awake.
    Pinned,
    /// Where the kernel puts them.
    Free,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Pinned, Self::Free];

    /// Keeps the CPUs awake if processes have CPUs of their own.
    pub(crate) fn spinners(self) -> Option<Spinners> {
        (self == Self::Pinned).then(Spinners::start)
    }

    /// Has `command` start its process where this mode wants it.
    pub(crate) fn place(self, command: &mut Command) {
        if self == Self::Pinned {
            cpus::pin(command);
        }
    }
}

/// The systems, started, in one mode.
pub(crate) struct Duel {
    mode: Mode,
    systems: Vec<System>,
    players: Vec<Player>,
    _spinners: Option<Spinners>,
}

/// The calling process of one system.
pub(crate) struct Player {
    system: System,
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// How long one system has the machine.
const SLOT: Duration = Duration::from_millis(60);

impl Duel {
    /// Starts the systems; `narrow` says whether their packets are those of a real network.
    pub(crate) fn start(mode: Mode, narrow: bool, systems: &[System]) -> Self {
        let players = systems.iter().map(|&system| Player::start(system, mode, narrow)).collect();
        Self { mode, systems: systems.to_vec(), players, _spinners: mode.spinners() }
    }

    pub(crate) fn run(&mut self, workload: Workload, rounds: usize) -> Outcome {
        let entries = workload.entries(&self.systems);
        let mut samples: Vec<_> = entries.iter().map(|entry| (entry.name.to_owned(), Vec::new())).collect();
        // The first round warms up.
        for round in 0..=rounds {
            for (entry, (_, samples)) in entries.iter().zip(&mut samples) {
                let sample = self.play(entry);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        Outcome { workload: workload.to_string(), unit: workload.unit().to_owned(), mode: self.mode, samples }
    }

    fn play(&mut self, entry: &Entry) -> Sample {
        let player = self.players.iter_mut().find(|player| player.system == entry.system);
        player.expect("a system that was started").play(entry.order)
    }
}

impl Player {
    pub(crate) fn start(system: System, mode: Mode, narrow: bool) -> Self {
        let mut command = Command::new(env::current_exe().expect("this executable"));
        command.args([CALLER, system.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        mode.place(&mut command);
        if narrow {
            net::narrow(&mut command);
        }
        let mut process = command.spawn().expect("a copy of this executable");
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let mut player = Self {
            system,
            process,
            orders: orders.expect("piped"),
            answers: BufReader::new(answers.expect("piped")),
        };
        assert_eq!(player.line().trim(), "ready", "{}", system.name());
        player
    }

    pub(crate) fn play(&mut self, workload: Workload) -> Sample {
        writeln!(self.orders, "{workload} {}", SLOT.as_millis()).expect("a system that listens");
        self.line().parse().expect("a sample")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a system that answers");
        line
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
