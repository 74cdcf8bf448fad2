//! What anything that can ask and tell is measured by. The peers, which `tests/peers` builds apart, include this file: so
//! it names nothing of this project.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};

/// What one slot has shown: the figure in the workload's unit, and the 99th percentile where it is a latency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) figure: f64,
    pub(crate) p99: Option<f64>,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.figure, self.p99.unwrap_or(f64::NAN))
    }
}

impl FromStr for Sample {
    type Err = std::num::ParseFloatError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let (figure, p99) = line.trim().split_once(' ').unwrap_or((line, "NaN"));
        let p99: f64 = p99.parse()?;
        Ok(Self { figure: figure.parse()?, p99: Some(p99).filter(|p99| p99.is_finite()) })
    }
}

/// One end of a system; the other end echoes asks and counts tells.
pub(crate) trait Client {
    /// Sends the payload and waits for its echo.
    async fn ask(&self, payload: &Bytes);

    /// Sends the payload once there is room for it.
    async fn tell(&self, payload: &Bytes);

    /// Waits until all tells are handled.
    async fn settle(&self);
}

/// One ask after the other, 64 B each way: the median, in microseconds.
pub(crate) async fn latency<C: Client>(client: &C, time: Duration) -> Sample {
    let payload = Bytes::from_static(&[7; 64]);
    let mut took = Vec::new();
    let start = Instant::now();
    let mut before = start;
    while before - start < time {
        client.ask(&payload).await;
        let now = Instant::now();
        took.push(now - before);
        before = now;
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1e6;
    Sample { figure: at(50), p99: Some(at(99)) }
}

/// `depth` asks in flight, 64 B each way: how many a second.
///
/// All are in one task. tokio lets a task take 128 answers at a time, and has it ask all the others for theirs in vain: with
/// thousands in flight that would be most of what is measured, in any system.
pub(crate) async fn asks<C: Client>(client: &C, depth: usize, time: Duration) -> Sample {
    tokio::task::unconstrained(asks_at_once(client, depth, time)).await
}

async fn asks_at_once<C: Client>(client: &C, depth: usize, time: Duration) -> Sample {
    let payload = Bytes::from_static(&[7; 64]);
    let start = Instant::now();
    let mut under_way: FuturesUnordered<_> = (0..depth).map(|_| client.ask(&payload)).collect();
    let mut count = 0_u64;
    while under_way.next().await.is_some() {
        count += 1;
        // Not more often: asking the time is not what is measured.
        if !count.is_multiple_of(64) || start.elapsed() < time {
            under_way.push(client.ask(&payload));
        } else {
            break;
        }
    }
    while under_way.next().await.is_some() {
        count += 1;
    }
    Sample { figure: count as f64 / start.elapsed().as_secs_f64(), p99: None }
}

/// One way, in order, 64 B, until the last is handled: how many a second.
pub(crate) async fn tells<C: Client>(client: &C, time: Duration) -> Sample {
    let (count, seconds) = one_way(client, &Bytes::from_static(&[7; 64]), 64, time).await;
    Sample { figure: count as f64 / seconds, p99: None }
}

/// One way, 64 KiB each: how many MiB a second.
pub(crate) async fn bulk<C: Client>(client: &C, time: Duration) -> Sample {
    sized(client, &Bytes::from(vec![7; 64 << 10]), time).await
}

/// One way, this payload over and over: how many MiB a second.
pub(crate) async fn sized<C: Client>(client: &C, payload: &Bytes, time: Duration) -> Sample {
    // As seldom as that a slow system does not go far beyond its time.
    let stride = (4096 / payload.len()).max(1) as u64;
    let (count, seconds) = one_way(client, payload, stride, time).await;
    Sample { figure: count as f64 * payload.len() as f64 / f64::from(1 << 20) / seconds, p99: None }
}

async fn one_way<C: Client>(client: &C, payload: &Bytes, stride: u64, time: Duration) -> (u64, f64) {
    let start = Instant::now();
    let mut count = 0;
    while !u64::is_multiple_of(count, stride) || count == 0 || start.elapsed() < time {
        client.tell(payload).await;
        count += 1;
    }
    client.settle().await;
    (count, start.elapsed().as_secs_f64())
}

/// Bounds what is under way where a system has no way to wait for room but an answer: every so often a message is an ask,
/// and only so many of those may be open.
pub(crate) struct Receipts<F> {
    sent: u64,
    open: VecDeque<F>,
}

impl<F: Future> Receipts<F> {
    const EVERY_BYTES: usize = 64 << 10;
    const OPEN: usize = 8;

    pub(crate) fn new() -> Self {
        Self { sent: 0, open: VecDeque::new() }
    }

    /// Whether the next message is to be an ask.
    pub(crate) fn is_due(&mut self, len: usize) -> bool {
        self.sent += 1;
        self.sent.is_multiple_of((Self::EVERY_BYTES / len.max(1)).max(1) as u64)
    }

    /// Keeps a receipt; gives back the one to wait for, if too many are open.
    pub(crate) fn keep(&mut self, receipt: F) -> Option<F> {
        self.open.push_back(receipt);
        if self.open.len() > Self::OPEN { self.open.pop_front() } else { None }
    }

    pub(crate) fn take(&mut self) -> VecDeque<F> {
        std::mem::take(&mut self.open)
    }
}
