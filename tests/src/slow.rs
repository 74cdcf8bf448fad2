//! A consumer that is slower than those who send to it: memory stays flat on both sides, and others are served.

use std::{
    fmt, process,
    time::{Duration, Instant},
};

use flame_actor::{Pool, SendError};
use futures_util::FutureExt;

use crate::{
    Add, AddSlowly, Counter, process_id,
    support::{Findings, resident_bytes},
};

/// Growth of memory from the first third of the run on that is still flat: allocators breathe.
const FLAT: u64 = 16 << 20;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    took: Duration,
    told: u64,
    refused: u64,
    asked: u64,
    handled: u64,
    slowest: Duration,
    /// Resident bytes of parent and runner over time.
    memory: Vec<(u64, u64)>,
    problems: Vec<String>,
}

impl Findings for Report {
    fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory: Vec<_> =
            self.memory.iter().map(|(parent, runner)| (parent >> 20, runner >> 20)).collect();
        writeln!(
            f,
            "in {:.1} s: {} told, {} refused, {} asked, {} handled; the slowest answer of another actor took {:?}",
            self.took.as_secs_f64(),
            self.told,
            self.refused,
            self.asked,
            self.handled,
            self.slowest
        )?;
        write!(f, "memory of parent and runner, MiB over time: {memory:?}")
    }
}

/// Sends to a slow actor, in each of the three ways, as fast as it goes for this time.
pub async fn run(time: Duration) -> Report {
    let mut report = Report::default();
    let pool = Pool::builder("slow").max(1).timeout(None).start().unwrap();
    let slow = pool.place_child(Counter(0)).own_arbiter().await.unwrap();
    let quick = pool.place_child(Counter(0)).await.unwrap();
    let runner = pool.call(process_id::task()).await.unwrap();

    let start = Instant::now();
    let mut asked = Box::pin(slow.send(AddSlowly(1)));
    let every = (time / 60).max(Duration::from_millis(250));
    let mut sampled = start;
    while start.elapsed() < time {
        for _ in 0..200 {
            slow.do_send(AddSlowly(1));
            report.told += 1;
        }
        match slow.try_send(AddSlowly(1)) {
            Ok(()) => report.told += 1,
            Err(SendError::Full) => report.refused += 1,
            Err(error) => report.problems.push(format!("try_send: {error:?}")),
        }
        let answer = (&mut asked).now_or_never();
        if let Some(answer) = answer {
            match answer {
                Ok(handled) => report.handled = handled,
                Err(error) => report.problems.push(format!("send: {error:?}")),
            }
            report.asked += 1;
            asked = Box::pin(slow.send(AddSlowly(1)));
        }
        let asked_quick = Instant::now();
        if let Err(error) = quick.send(Add(1)).await {
            report.problems.push(format!("another actor does not answer: {error:?}"));
        }
        report.slowest = report.slowest.max(asked_quick.elapsed());
        if sampled.elapsed() >= every {
            sampled = Instant::now();
            report.memory.push((resident_bytes(process::id()), resident_bytes(runner)));
        }
        if report.problems.len() > 10 {
            break;
        }
    }
    report.took = start.elapsed();
    report.judge();
    report
}

impl Report {
    fn judge(&mut self) {
        if self.refused == 0 {
            self.problems.push("the consumer was not slow: try_send was never refused".into());
        }
        if self.handled == 0 || self.asked == 0 {
            self.problems.push("nothing was handled".into());
        }
        if self.slowest > Duration::from_secs(2) {
            self.problems.push(format!("another actor's answer took {:?}", self.slowest));
        }
        let third = self.memory.len() / 3;
        let (early, late) = self.memory.split_at(third.max(1).min(self.memory.len()));
        for (who, of) in [("parent", 0), ("runner", 1)] {
            let most = |samples: &[(u64, u64)]| {
                samples.iter().map(|sample| if of == 0 { sample.0 } else { sample.1 }).max().unwrap_or(0)
            };
            if most(late) > most(early) + FLAT {
                let (early, late) = (most(early) >> 20, most(late) >> 20);
                self.problems.push(format!("the {who}'s memory grew from {early} to {late} MiB"));
            }
        }
    }
}
