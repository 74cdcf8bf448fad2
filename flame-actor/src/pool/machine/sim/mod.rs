//! Random worlds for the machine: seeded sequences of requests, joins, losses, drains, resizes, late and repeated
//! events, judged after every step by an oracle that sees only what the pool's users and backends see.
//!
//! `FLAME_SIM_STEPS=1000000` runs more steps, `FLAME_SIM_SEED=n` one world. A failure prints its seed and the
//! shortest sequence of steps that still fails.

mod oracle;
mod world;

use std::time::Duration;

use self::world::World;
use crate::pool::{
    policy::{Spare, Spread},
    settings::{IdleShutdown, PoolOptions, PoolSettings},
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
        let (settings, steps) = scenario(seed);
        let mut world = World::new(&settings, seed);
        world.begin().unwrap();
        steps.iter().try_for_each(|&step| world.step(step)).unwrap();
        world.come_to_rest().unwrap();
        decisions += &world.trace.join("\n");
    }
    for decision in [
        "in_place: false",
        "in_place: true",
        "QueueFull",
        "Timeout { phase: Queued",
        "Timeout { phase: Booting",
        "failure: BootFailed",
        "PoolClosed",
        "attempt: 3",
        "Terminate",
        "AskIdle",
        "WantPermits",
        "ReturnPermits",
        "Lost {",
        "Closing {",
        "Reopened {",
        "Leaked",
        "reason: Idle",
        "reason: SingleUse",
        "reason: NotReusable",
        "reason: Resized",
        "reason: MakeRoom",
        "reason: Signalled",
        "reason: Condemned",
        "reason: PoolStops",
        "Stopped",
    ] {
        let times = decisions.matches(decision).count();
        assert!(times >= 5, "{decision:?} came {times} times in 400 worlds");
    }
}

#[test]
fn the_same_seed_gives_the_same_decisions() {
    let (settings, steps) = scenario(11);
    let trace = |_| {
        let mut world = World::new(&settings, 11);
        world.begin().unwrap();
        for &step in &steps {
            world.step(step).unwrap();
        }
        world.trace
    };
    assert_eq!(trace(0), trace(1));
}

/// One thing that happens. Numbers choose among what is there at the moment, modulo how much that is, so that any
/// part of a sequence of steps is a sequence too.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Wait {
        ms: u64,
    },
    /// The timer fires late: events come before the tick that was due.
    Oversleep {
        ms: u64,
    },
    Request {
        deadline: Option<u64>,
        key: Option<(bool, u8)>,
        class: u32,
        nested: Option<usize>,
    },
    Cancel(usize),
    Release {
        nth: usize,
        reusable: bool,
    },
    Requeue(usize),
    Join(usize),
    BootFails {
        nth: usize,
        gone: bool,
    },
    Lose(usize),
    LoseAndRequeue(usize),
    Gone(usize),
    Sigterm(usize),
    Condemn(usize),
    Stall(usize),
    Recover(usize),
    Answer {
        nth: usize,
        idle: bool,
    },
    Permit,
    Reclaim,
    Resize {
        min: u32,
        max: u32,
    },
    /// An event about something that has ended, or never was.
    Stale {
        kind: usize,
        id: u64,
    },
    Tick,
    Shutdown,
}

/// A small generator of random numbers (SplitMix64): worlds must not change with a library's version.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick(&mut self) -> usize {
        self.below(1000) as usize
    }
}

fn judge(seed: u64) {
    let (settings, steps) = scenario(seed);
    let Err((failed_at, complaint)) = run(&settings, seed, &steps) else { return };
    let shortest = shrink(&settings, seed, &steps[..steps.len().min(failed_at + 1)]);
    let (_, last_complaint) = run(&settings, seed, &shortest).unwrap_err();
    let story: Vec<String> = shortest.iter().map(|step| format!("  {step:?}")).collect();
    panic!(
        "seed {seed}: {complaint}\nshrunk to {} steps, which fail {last_complaint}\n{}\n{settings:?}",
        story.len(),
        story.join("\n")
    );
}

fn run(settings: &PoolSettings, seed: u64, steps: &[Step]) -> Result<(), (usize, String)> {
    let mut world = World::new(settings, seed);
    world.begin().map_err(|complaint| (0, format!("at the start: {complaint}")))?;
    for (index, &step) in steps.iter().enumerate() {
        world.step(step).map_err(|complaint| (index, format!("at {step:?}: {complaint}")))?;
    }
    world.come_to_rest().map_err(|complaint| (steps.len(), format!("at rest: {complaint}")))
}

/// Delta debugging: leaves out ever smaller pieces as long as what is left still fails.
fn shrink(settings: &PoolSettings, seed: u64, steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        while start < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(start..(start + piece).min(fewer.len()));
            if run(settings, seed, &fewer).is_err() {
                steps = fewer;
            } else {
                start += piece;
            }
        }
        piece /= 2;
    }
    steps
}

fn scenario(seed: u64) -> (PoolSettings, Vec<Step>) {
    let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let settings = settings(&mut random);
    let classes = if random.one_in(3) { 3 } else { 1 };
    let keyed = random.one_in(2);
    let steps = (0..STEPS_PER_WORLD).map(|_| step(&mut random, classes, keyed)).collect();
    (settings, steps)
}

fn settings(random: &mut Random) -> PoolSettings {
    let max = 1 + random.below(6) as u32;
    let single_use = random.one_in(5);
    let idle = Duration::from_millis(200 + random.below(5000));
    let mut options = PoolOptions::new("sim")
        .min(if random.one_in(2) { random.below(u64::from(max) + 1) as u32 } else { 0 })
        .max(max)
        .single_use(single_use)
        .boot_timeout(Duration::from_millis(500 + random.below(5000)))
        .shutdown_timeout(Duration::from_millis(300 + random.below(3000)))
        .terminate_timeout(Duration::from_millis(300 + random.below(2000)))
        .idle_shutdown(match random.below(5) {
            0 => IdleShutdown::Never,
            1 => IdleShutdown::AfterCheck(idle),
            _ => IdleShutdown::After(idle),
        })
        .min_idle_shutdown_after(random.one_in(4).then_some(idle * 2))
        .max_queue(random.below(30) as usize + 1)
        .shared_cap(random.one_in(4));
    if !single_use {
        options = options.max_concurrency(1 + random.below(4) as u32);
    }
    if random.one_in(4) {
        options = options.growth(Spare(1 + random.below(4) as u32));
    }
    if random.one_in(3) {
        options = options.placement(Spread);
    }
    options.validate().unwrap()
}

fn step(random: &mut Random, classes: u64, keyed: bool) -> Step {
    match random.below(100) {
        0..8 => Step::Wait { ms: random.below(400) },
        8..10 => {
            let max = 1 + random.below(7) as u32;
            Step::Resize { min: random.below(u64::from(max) + 1) as u32, max }
        }
        10..12 => Step::Wait { ms: random.below(8000) },
        12..14 => Step::Oversleep { ms: random.below(4000) },
        14..40 => Step::Request {
            deadline: (!random.one_in(4)).then(|| random.below(6000)),
            key: (keyed && random.one_in(2)).then(|| (random.one_in(2), random.below(4) as u8)),
            class: random.below(classes) as u32,
            nested: random.one_in(8).then(|| random.pick()),
        },
        40..44 => Step::Cancel(random.pick()),
        44..62 => Step::Release { nth: random.pick(), reusable: !random.one_in(12) },
        62..64 => Step::Requeue(random.pick()),
        64..75 => Step::Join(random.pick()),
        75..79 => Step::BootFails { nth: random.pick(), gone: random.one_in(2) },
        79..81 => Step::Lose(random.pick()),
        81..83 => Step::LoseAndRequeue(random.pick()),
        83..89 => Step::Gone(random.pick()),
        89 => Step::Sigterm(random.pick()),
        90 => Step::Condemn(random.pick()),
        91 => Step::Stall(random.pick()),
        92 => Step::Recover(random.pick()),
        93 => Step::Answer { nth: random.pick(), idle: !random.one_in(3) },
        94 => Step::Permit,
        95 => Step::Reclaim,
        96..98 => Step::Stale { kind: random.pick(), id: random.below(40) },
        98 => Step::Tick,
        _ if random.one_in(6) => Step::Shutdown,
        _ => Step::Permit,
    }
}

pub(crate) fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
