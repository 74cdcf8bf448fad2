//! What a system is told to bear.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;

use crate::exchange::{self, Client, Sample};

/// What a system is told to bear, as `in-flight:256` or `size:65536`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many asks in flight, 64 B each way: how many a second.
    InFlight(usize),
    /// One way, with back-pressure, messages of so many bytes: how many MiB a second.
    Size(usize),
}

const IN_FLIGHT: &str = "in-flight";
const SIZE: &str = "size";

impl Load {
    /// Puts it on a system for about `time`.
    pub(crate) async fn put_on<C: Client>(self, client: &C, time: Duration) -> Sample {
        match self {
            Self::InFlight(depth) => exchange::asks(client, depth, time).await,
            Self::Size(size) => exchange::sized(client, &Bytes::from(vec![7; size]), time).await,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight(depth) => write!(f, "{IN_FLIGHT}:{depth}"),
            Self::Size(size) => write!(f, "{SIZE}:{size}"),
        }
    }
}

impl FromStr for Load {
    type Err = ();

    fn from_str(load: &str) -> Result<Self, ()> {
        let (kind, amount) = load.split_once(':').ok_or(())?;
        let amount = amount.parse().map_err(|_| ())?;
        match kind {
            IN_FLIGHT => Ok(Self::InFlight(amount)),
            SIZE => Ok(Self::Size(amount)),
            _ => Err(()),
        }
    }
}
