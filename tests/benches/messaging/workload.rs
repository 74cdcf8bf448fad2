//! What is measured, and who is held against whom.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use clap::ValueEnum;

pub(crate) use crate::exchange::{Client, Receipts, Sample};
use crate::{exchange, systems::System};

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
    /// The same through a byte stream.
    Stream,
    /// 64 remote actors tell one local actor, 64 B: how many a second.
    Fanin,
    /// A warm call of an empty task: how long one takes.
    Call,
    /// 256 asks in flight, spread over 10,000 actors of one runner: how many a second.
    Many,
    /// As `ask256`, in packets of a real network.
    #[value(name = "ask256-1452")]
    Ask256Narrow,
    /// As `tell`, in packets of a real network.
    #[value(name = "tell-1452")]
    TellNarrow,
    /// As `bulk`, in packets of a real network.
    #[value(name = "bulk-1452")]
    BulkNarrow,
    /// A child is placed on an empty pool: how long until its first reply, and each part of it.
    Cold,
    /// A pool grows from none to 8 runners: how long until all have replied.
    Scale,
    /// A runner is killed: how long until its `Permanent` child answers again.
    Recover,
    /// The bytes of a small tell and of a small ask on the wire, beyond their payloads.
    Wire,
    /// The memory of an idle link, of a placed actor and of a pending call, on either side.
    Memory,
    /// So many asks in flight, 64 B each way: how many a second.
    #[value(skip)]
    InFlight(usize),
    /// One way, with back-pressure, so many bytes each: how many bytes a second.
    #[value(skip)]
    Sized(usize),
}

/// One who takes part in a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// What the result is called by.
    pub(crate) name: &'static str,
    pub(crate) system: System,
    /// What the system does.
    pub(crate) order: Workload,
}

const IN_FLIGHT: &str = "in-flight-";
const SIZED: &str = "sized-";

impl Workload {
    /// In this order, as the 10,000 actors stay once they are there.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// What its figure is.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Ask | Self::Call => "us",
            Self::Ask256 | Self::Ask1024 | Self::Many | Self::Ask256Narrow | Self::InFlight(_) => "asks/s",
            Self::Tell | Self::Fanin | Self::TellNarrow => "tells/s",
            Self::Bulk | Self::Stream | Self::BulkNarrow | Self::Sized(_) => "MiB/s",
            Self::Cold | Self::Scale | Self::Recover => "ms",
            Self::Wire | Self::Memory => "B",
        }
    }

    /// Whether it is no matter of turns between systems, but has its own course: see `measures`.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Cold | Self::Scale | Self::Recover | Self::Wire | Self::Memory)
    }

    /// Whether its packets are those of a real network.
    pub(crate) fn is_narrow(self) -> bool {
        matches!(self, Self::Ask256Narrow | Self::TellNarrow | Self::BulkNarrow)
    }

    /// Those of the systems that take part, and with what.
    pub(crate) fn entries(self, systems: &[System]) -> Vec<Entry> {
        let of = |system: System, order| Entry { name: system.name(), system, order };
        let ourselves = |name, order| Entry { name, system: System::Flame, order };
        match self {
            Self::Stream => vec![of(System::Flame, self), of(System::Quinn, Self::Bulk)],
            // A stream of bytes has one sender, however many actors stand behind it.
            Self::Fanin => vec![of(System::Flame, self), of(System::Quinn, Self::Tell)],
            Self::Call => vec![ourselves("flame", self), ourselves("flame-ask", Self::Ask)],
            Self::Many => vec![ourselves("flame", self), ourselves("flame-ask256", Self::Ask256)],
            Self::Ask256Narrow => narrow(Self::Ask256),
            Self::TellNarrow => narrow(Self::Tell),
            Self::BulkNarrow => narrow(Self::Bulk),
            _ => {
                let able = systems.iter().filter(|system| system.plays(self));
                able.map(|&system| of(system, self)).collect()
            }
        }
    }
}

fn narrow(order: Workload) -> Vec<Entry> {
    [System::Flame, System::Quinn].map(|system| Entry { name: system.name(), system, order }).into()
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight(depth) => write!(f, "{IN_FLIGHT}{depth}"),
            Self::Sized(bytes) => write!(f, "{SIZED}{bytes}"),
            _ => self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name())),
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let amount = |kind: &str| name.strip_prefix(kind)?.parse().ok();
        let in_flight = amount(IN_FLIGHT).map(Self::InFlight);
        let sized = || amount(SIZED).map(Self::Sized);
        in_flight.or_else(sized).map_or_else(|| <Self as ValueEnum>::from_str(name, false), Ok)
    }
}

/// Runs a workload that all systems have for about `time`.
pub(crate) async fn run<C: Client>(client: &C, workload: Workload, time: Duration) -> Sample {
    match workload {
        Workload::Ask => exchange::latency(client, time).await,
        Workload::Ask256 => exchange::asks(client, 256, time).await,
        Workload::Ask1024 => exchange::asks(client, 1024, time).await,
        Workload::Tell => exchange::tells(client, time).await,
        Workload::Bulk => exchange::bulk(client, time).await,
        Workload::InFlight(depth) => exchange::asks(client, depth, time).await,
        Workload::Sized(bytes) => exchange::sized(client, &Bytes::from(vec![7; bytes]), time).await,
        _ => unreachable!("{workload} is ordered of systems that have it"),
    }
}
