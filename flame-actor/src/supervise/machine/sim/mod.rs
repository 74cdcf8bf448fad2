//! Random worlds for the machine: a child on nodes that are killed and paused, over links that delay and lose one way,
//! judged by an oracle that sees only what the child's senders and watchers see, and the nodes' clocks.
//!
//! `FLAME_SIM_STEPS=1000000` runs more steps, `FLAME_SIM_SEED=n` one world. A failure prints its seed and the
//! shortest sequence of steps that still fails.

mod oracle;
mod world;

use std::time::Duration;

use self::world::World;
use crate::{
    pool::machine::sim::{Random, number_from_env},
    supervise::policy::{Between, Policy, Restart},
};

const STEPS_PER_WORLD: usize = 250;

#[test]
fn the_oracle_agrees_with_every_step_of_random_worlds() {
    if let Some(seed) = number_from_env("FLAME_SIM_SEED") {
        return judge(seed);
    }
    let steps = number_from_env("FLAME_SIM_STEPS").unwrap_or(100_000);
    for seed in 0..steps.div_ceil(STEPS_PER_WORLD as u64) {
        judge(seed);
    }
}

#[test]
fn the_worlds_reach_every_kind_of_decision() {
    let mut decisions = String::new();
    for seed in 0..400 {
        let (policy, steps) = scenario(seed);
        let mut world = World::new(policy, seed).unwrap();
        steps.iter().try_for_each(|&step| world.step(step)).unwrap();
        world.come_to_rest().unwrap();
        decisions += &world.trace.join("\n");
    }
    for decision in [
        "Start {",
        "Cancel(",
        "Stop {",
        "HandOver(",
        "Deliver {",
        "refusal: Full",
        "refusal: Restarting",
        "refusal: Gone",
        "Notify {",
        "reason: Stopped",
        "reason: Panicked",
        "reason: NodeLost",
        "reason: NotStarted",
        "reason: Shutdown",
        "reason: Deadline",
        "restarts: 1, delay: 0ns",
        "restarts: 3, delay: 200ms",
        "lease ran out",
        "snapshot awaited",
        "zombie",
        "returned",
    ] {
        let times = decisions.matches(decision).count();
        assert!(times >= 5, "{decision:?} came {times} times in 400 worlds");
    }
}

#[test]
fn the_same_seed_gives_the_same_decisions() {
    let trace = |_| {
        let (policy, steps) = scenario(11);
        let mut world = World::new(policy, 11).unwrap();
        steps.iter().try_for_each(|&step| world.step(step)).unwrap();
        world.trace
    };
    assert_eq!(trace(0), trace(1));
}

/// One thing that happens. Numbers choose among what is there at the moment, modulo how much that is, so that any part
/// of a sequence of steps is a sequence too.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Wait {
        ms: u64,
    },
    /// The machine's timer fires late.
    Oversleep {
        ms: u64,
    },
    Send {
        sender: usize,
    },
    Watch,
    Unwatch(usize),
    Kill(usize),
    Pause(usize),
    Resume(usize),
    /// The parent loses its link to a node, which does not know.
    Break(usize),
    /// For so long nothing gets from the node to the parent, or the other way.
    Cut {
        nth: usize,
        up: bool,
        ms: u64,
    },
    Delay {
        ms: u64,
    },
    Panic,
    StopsItself,
    Lifetime,
    Publish,
    Drain,
    /// The next start is refused by its runner.
    Refuse,
    /// From here on the backend sees no exits.
    GoBlind,
    OwnerStops,
    /// An event about an incarnation that has ended, or never was.
    Stale {
        kind: usize,
        id: u64,
    },
}

fn judge(seed: u64) {
    let (policy, steps) = scenario(seed);
    let Err((failed_at, complaint)) = run(policy, seed, &steps) else { return };
    let shortest = shrink(policy, seed, &steps[..steps.len().min(failed_at + 1)]);
    let (_, last_complaint) = run(policy, seed, &shortest).unwrap_err();
    let story: Vec<String> = shortest.iter().map(|step| format!("  {step:?}")).collect();
    panic!(
        "seed {seed}: {complaint}\nshrunk to {} steps, which fail {last_complaint}\n{}\n{policy:?}",
        story.len(),
        story.join("\n")
    );
}

fn run(policy: Policy, seed: u64, steps: &[Step]) -> Result<(), (usize, String)> {
    let mut world = World::new(policy, seed).map_err(|complaint| (0, complaint))?;
    for (index, &step) in steps.iter().enumerate() {
        world.step(step).map_err(|complaint| (index, format!("at {step:?}: {complaint}")))?;
    }
    world.come_to_rest().map_err(|complaint| (steps.len(), format!("at rest: {complaint}")))
}

/// Delta debugging: leaves out ever smaller pieces as long as what is left still fails.
fn shrink(policy: Policy, seed: u64, steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        while start < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(start..(start + piece).min(fewer.len()));
            if run(policy, seed, &fewer).is_err() {
                steps = fewer;
            } else {
                start += piece;
            }
        }
        piece /= 2;
    }
    steps
}

fn scenario(seed: u64) -> (Policy, Vec<Step>) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let policy = Policy {
        restart: match random.below(6) {
            0 => Restart::Temporary,
            1 | 2 => Restart::Transient,
            _ => Restart::Permanent,
        },
        // Most worlds are to live on.
        intensity: match random.below(4) {
            0 => (3, Duration::from_secs(5)),
            1 => (random.below(3) as u32, Duration::from_secs(20)),
            _ => (1000, Duration::from_secs(5)),
        },
        between: match random.below(4) {
            0 => Between::Refuse,
            1 => Between::Queue(random.below(6) as usize),
            _ => Between::default(),
        },
    };
    let ends = random.below(4) == 0;
    let steps = (0..STEPS_PER_WORLD).map(|_| step(&mut random, ends)).collect();
    (policy, steps)
}

fn step(random: &mut Random, ends: bool) -> Step {
    let nth = random.below(1000) as usize;
    match random.below(100) {
        0..20 => Step::Wait { ms: random.below(300) },
        20..24 => Step::Wait { ms: random.below(6000) },
        24..26 => Step::Oversleep { ms: random.below(3000) },
        26..58 => Step::Send { sender: random.below(3) as usize },
        58..61 => Step::Watch,
        61 => Step::Unwatch(nth),
        62..65 => Step::Kill(nth),
        65..69 => Step::Pause(nth),
        69..74 => Step::Resume(nth),
        74..80 => Step::Cut { nth, up: random.below(2) == 0, ms: random.below(7000) },
        80..82 => Step::Delay { ms: random.below(300) },
        82..84 => Step::Panic,
        84 => Step::Break(nth),
        85 => Step::StopsItself,
        86..92 => Step::Publish,
        92..94 => Step::Drain,
        94 => Step::Refuse,
        95 if random.below(4) == 0 => Step::GoBlind,
        96 if ends && random.below(4) == 0 => Step::OwnerStops,
        97 if ends && random.below(4) == 0 => Step::Lifetime,
        _ => Step::Stale { kind: nth, id: random.below(6) },
    }
}
