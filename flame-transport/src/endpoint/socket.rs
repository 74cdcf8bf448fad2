//! UDP sockets and how QUIC uses them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    LinkConfig,
    config::{MAX_MTU, MIN_MTU},
};

/// A QUIC endpoint on a socket of its own. Must be called in the context of a tokio runtime.
///
/// `loopback` says whether its peers are on this machine only.
pub(super) fn endpoint(
    address: SocketAddr,
    server: Option<ServerConfig>,
    config: &LinkConfig,
    loopback: bool,
) -> io::Result<quinn::Endpoint> {
    let mut quic = EndpointConfig::default();
    // Peers are told how large a packet we take: never less than what we try to send ourselves.
    let largest = mtu(config, loopback).max(ETHERNET);
    quic.max_udp_payload_size(largest).map_err(io::Error::other)?;
    quinn::Endpoint::new(quic, server, socket(address)?, Arc::new(TokioRuntime))
}

/// How the connections of an endpoint behave.
pub(super) fn transport(config: &LinkConfig, loopback: bool) -> Arc<TransportConfig> {
    let mtu = mtu(config, loopback);
    let mut transport = TransportConfig::default();
    // Never through `initial_mtu`: one that is as large as the first congestion window hangs the connection.
    transport.mtu_discovery_config((mtu > MIN_MTU).then(|| {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(mtu);
        discovery
    }));
    // The kernel takes at most 64 KiB at once, and quinn hands it ten packets. With more, sending fails, which quinn takes
    // for lost packets, and the link falls back to the smallest ones.
    transport.enable_segmentation_offload(config.gso() && usize::from(mtu) * GSO_PACKETS <= 65_535);
    transport.keep_alive_interval(Some(config.ping_interval()));
    transport.max_idle_timeout(Some(VarInt::from_u32(millis(config.idle_timeout())).into()));
    // Each stream that a peer is allowed costs memory whether it is opened or not.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(MAX_STREAMS));
    transport.max_concurrent_uni_streams(VarInt::from_u32(MAX_BULK));
    transport.stream_receive_window(VarInt::from_u32(config.stream_window()));
    transport.receive_window(VarInt::from_u32(config.connection_window()));
    transport.send_window(config.send_window().into());
    transport.datagram_receive_buffer_size(None);
    Arc::new(transport)
}

fn socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Some systems have no dual-stack sockets; then IPv4 is not served, and IPv6 still is.
        let _ = socket.set_only_v6(false);
    }
    // Best effort: the system may allow less. Larger buffers mean fewer lost packets in bursts, nothing else.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn mtu(config: &LinkConfig, loopback: bool) -> u16 {
    config.mtu().unwrap_or(if loopback { MAX_MTU } else { INTERNET })
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

const SOCKET_BUFFER: usize = 4 << 20;
/// How many packets quinn hands to the kernel at once.
const GSO_PACKETS: usize = 10;
/// How many streams a peer may have open at a time: control and data.
const MAX_STREAMS: u32 = 8;
/// How many bulk streams a peer may have open at a time: two for each of the hundred slots that a runner has by default,
/// and some. Each costs about 40 bytes while it is not open.
pub(crate) const MAX_BULK: u32 = 256;
/// What an Ethernet frame carries, less IPv6, UDP and a tunnel's headers: quinn's own default.
const INTERNET: u16 = 1452;
/// What an Ethernet frame carries at the most.
const ETHERNET: u16 = 1472;
