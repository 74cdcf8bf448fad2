//! How large packets may be.

use std::{env, process::Command};

use flame_actor::LinkConfig;

/// Set in the processes whose packets are those of a real network: the largest UDP payload.
const MTU: &str = "FLAME_BENCH_MTU";
/// What an Ethernet frame carries, less the headers of IPv6, UDP and a tunnel.
const ETHERNET: u16 = 1452;

/// Has the processes that `command` starts send packets as on a real network, many handed to the kernel at once.
pub(crate) fn narrow(command: &mut Command) {
    command.env(MTU, ETHERNET.to_string());
}

/// The largest UDP payload, if that is not what the loopback interface carries.
pub(crate) fn mtu() -> Option<u16> {
    env::var(MTU).ok().map(|mtu| mtu.parse().expect("bytes"))
}

/// The links of this process.
pub(crate) fn link() -> LinkConfig {
    mtu().into_iter().fold(LinkConfig::default(), LinkConfig::with_mtu)
}
