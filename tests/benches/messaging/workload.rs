//! What is measured.

use std::{fmt, time::Duration};

use clap::ValueEnum;

use crate::exchange;
pub(crate) use crate::exchange::{Client, Receipts, Sample};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// One ask after the other, 64 B each way: how long one takes.
    Ask,
    /// 256 asks in flight: how many a second.
    Ask256,
    /// 1024 asks in flight: how many a second.
    Ask1024,
    /// One way, in order, 64 B, until the last is handled: how many a second.
    Tell,
    /// One way, 64 KiB each, with back-pressure: how many bytes a second.
    Bulk,
}

impl Workload {
    pub(crate) const ALL: [Self; 5] = [Self::Ask, Self::Ask256, Self::Ask1024, Self::Tell, Self::Bulk];

    /// What its figure is.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Ask => "us",
            Self::Ask256 | Self::Ask1024 => "asks/s",
            Self::Tell => "tells/s",
            Self::Bulk => "MiB/s",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
    }
}

/// Runs a workload for about `time`.
pub(crate) async fn run<C: Client>(client: &C, workload: Workload, time: Duration) -> Sample {
    match workload {
        Workload::Ask => exchange::latency(client, time).await,
        Workload::Ask256 => exchange::asks(client, 256, time).await,
        Workload::Ask1024 => exchange::asks(client, 1024, time).await,
        Workload::Tell => exchange::tells(client, time).await,
        Workload::Bulk => exchange::bulk(client, time).await,
    }
}
