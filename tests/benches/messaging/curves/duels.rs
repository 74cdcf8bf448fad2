//! Systems that bear more and more, in turns.

use super::{Curve, Line};
use crate::{
    duel::{Mode, Player},
    systems::System,
    workload::Workload,
};

const SYSTEMS: [System; 3] = [System::Flame, System::Quinn, System::Tcp];

const IN_FLIGHT: [usize; 7] = [1, 4, 16, 64, 256, 1024, 4096];
/// The last is as much as a message may have by default, with room for what is not payload.
const SIZES: [usize; 6] = [16, 256, 4 << 10, 64 << 10, 1 << 20, (16 << 20) - 64];

/// The curves over what is in flight, and over the size of a message.
pub(super) fn run(mode: Mode, rounds: usize) -> [Curve; 2] {
    let mut players = SYSTEMS.map(|system| (system, Player::start(system, mode)));
    let _spinners = mode.spinners();
    let mut bear = |loads: &[usize], workload: fn(usize) -> Workload| {
        let mut lines =
            SYSTEMS.map(|system| Line { system: system.name(), figures: vec![Vec::new(); loads.len()] });
        // The first round warms up.
        for round in 0..=rounds {
            for (n, &amount) in loads.iter().enumerate() {
                for ((_, player), line) in players.iter_mut().zip(&mut lines) {
                    let sample = player.play(workload(amount));
                    if round > 0 {
                        line.figures[n].push(sample.figure);
                    }
                }
            }
        }
        lines.into()
    };
    let in_flight = Curve {
        name: "in-flight",
        title: "Asks of 64 B each way, by how many are in flight",
        load: "asks in flight",
        write: |depth| depth.to_string(),
        unit: "asks/s",
        loads: IN_FLIGHT.into(),
        lines: bear(&IN_FLIGHT, Workload::InFlight),
    };
    let size = Curve {
        name: "size",
        title: "One way with back-pressure, by the size of a message",
        load: "size of a message",
        write: bytes,
        unit: "MiB/s",
        loads: SIZES.into(),
        lines: bear(&SIZES, Workload::Sized),
    };
    [in_flight, size]
}

fn bytes(size: usize) -> String {
    match size.next_power_of_two() {
        size @ ..1024 => format!("{size} B"),
        size @ ..1_048_576 => format!("{} KiB", size >> 10),
        size => format!("{} MiB", size >> 20),
    }
}
