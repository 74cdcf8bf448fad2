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
    systems::{CALLER, System},
    workload::{Sample, Workload},
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
}

/// The systems, started, in one mode.
pub(crate) struct Duel {
    mode: Mode,
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

/// What the rounds of one workload have shown.
pub(crate) struct Outcome {
    pub(crate) workload: Workload,
    pub(crate) mode: Mode,
    /// Of each system, one sample a round.
    pub(crate) samples: Vec<(System, Vec<Sample>)>,
}

/// How long one system has the machine.
const SLOT: Duration = Duration::from_millis(60);

impl Duel {
    pub(crate) fn start(mode: Mode, systems: &[System]) -> Self {
        let players = systems.iter().map(|&system| Player::start(system, mode)).collect();
        Self { mode, players, _spinners: mode.spinners() }
    }

    pub(crate) fn run(&mut self, workload: Workload, rounds: usize) -> Outcome {
        let mut samples: Vec<_> = self.players.iter().map(|player| (player.system, Vec::new())).collect();
        // The first round warms up.
        for round in 0..=rounds {
            for (player, (_, samples)) in self.players.iter_mut().zip(&mut samples) {
                let sample = player.play(workload);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        Outcome { workload, mode: self.mode, samples }
    }
}

impl Player {
    pub(crate) fn start(system: System, mode: Mode) -> Self {
        let mut command = Command::new(env::current_exe().expect("this executable"));
        command.args([CALLER, system.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if mode == Mode::Pinned {
            cpus::pin(&mut command);
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
