//! One parent that uses more and more runners of its machine.

use std::{cell::Cell, time::Duration};

use bytes::Bytes;
use flame_actor::Pool;
use futures_util::future;

use super::{Curve, Line};
use crate::{
    exchange::{self, Client},
    systems::flame::{Echo, Placed},
};

const RUNNERS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// How many asks each runner has in flight.
const EACH: usize = 64;
/// Runners get the machine in turn, so all need longer than one.
const SLOT: Duration = Duration::from_millis(120);

/// The curve over how many runners are used. All of them are there all the time.
pub(super) fn run(rounds: usize) -> Curve {
    let figures = actix::System::new().block_on(async {
        let most = *RUNNERS.iter().max().expect("some");
        let pool = Pool::builder("runners").max(most as u32).start().expect("a pool");
        let children = future::try_join_all((0..most).map(|_| pool.place_child(Echo::default())));
        let children = children.await.expect("children");
        let placed: Vec<_> = children.iter().map(|child| Placed::new(child.addr())).collect();
        let mut figures = vec![Vec::new(); RUNNERS.len()];
        // The first round warms up.
        for round in 0..=rounds {
            for (figures, &runners) in figures.iter_mut().zip(&RUNNERS) {
                let spread = Spread { placed: &placed[..runners], next: Cell::new(0) };
                let sample = exchange::asks(&spread, EACH * runners, SLOT).await;
                if round > 0 {
                    figures.push(sample.figure);
                }
            }
        }
        drop(children);
        pool.stop().await;
        figures
    });
    Curve {
        name: "runners",
        title: "Asks of 64 B each way, 64 in flight to each runner, by how many runners are used",
        load: "runners on this machine",
        write: |runners| runners.to_string(),
        unit: "asks/s",
        loads: RUNNERS.into(),
        lines: vec![Line { system: "flame", figures }],
    }
}

/// Asks them in turn.
struct Spread<'a> {
    placed: &'a [Placed],
    next: Cell<usize>,
}

impl Spread<'_> {
    fn next(&self) -> &Placed {
        &self.placed[self.next.replace((self.next.get() + 1) % self.placed.len())]
    }
}

impl Client for Spread<'_> {
    async fn ask(&self, payload: &Bytes) {
        self.next().ask(payload).await;
    }

    async fn tell(&self, payload: &Bytes) {
        self.next().tell(payload).await;
    }

    async fn settle(&self) {
        for placed in self.placed {
            placed.settle().await;
        }
    }
}
