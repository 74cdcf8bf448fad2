//! How a link behaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lane::Limits;

/// How a link behaves: how soon a silent peer is given up, how large a message may be, how packets are sent.
///
/// Both sides of a link should have the same: send it to the runner with its invitation. [`Listener::bind`] and
/// [`join`] check it.
///
/// [`Listener::bind`]: crate::Listener::bind
/// [`join`]: crate::join
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flame_transport::LinkConfig;
///
/// let config = LinkConfig::default().with_ping_interval(Duration::from_millis(500)).with_gso(false);
/// assert!(config.validate().is_ok());
/// assert!(config.with_lease(Duration::from_millis(600)).validate().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConfig {
    ping_interval: Duration,
    lease: Duration,
    idle_timeout: Duration,
    handshake_timeout: Duration,
    max_message: usize,
    gso: bool,
    mtu: Option<u16>,
    stream_window: u32,
    connection_window: u32,
    send_window: u32,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(1),
            lease: Duration::from_secs(4),
            idle_timeout: Duration::from_secs(4),
            handshake_timeout: Duration::from_secs(10),
            max_message: 16 << 20,
            gso: true,
            mtu: None,
            // 100 Mbit/s at 100 ms; larger windows were measured to be slower.
            stream_window: 1_250_000,
            connection_window: 4 << 20,
            send_window: 2 << 20,
        }
    }
}

impl LinkConfig {
    pub(crate) fn limits(&self) -> Limits {
        Limits { max_message: self.max_message, ..Limits::default() }
    }

    /// How often each side asks the other for a sign of life. 10 ms to 1 minute; the default is 1 s.
    #[must_use]
    pub fn with_ping_interval(self, ping_interval: Duration) -> Self {
        Self { ping_interval, ..self }
    }

    /// How long a runner may work on after it sent the last ping that was answered. At least two ping intervals, at most
    /// 10 minutes; the default is 4 s.
    ///
    /// A parent that loses a runner waits for this time before it starts the runner's work elsewhere.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// How long a peer may be silent before it is lost. At least two ping intervals, at most 10 minutes; the default is
    /// 4 s.
    ///
    /// A shorter time notices a lost node sooner, and takes a slow network or a paused process for one.
    #[must_use]
    pub fn with_idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }

    /// How long one attempt to join may take, from the first packet to the welcome, on either side. 10 ms to 10
    /// minutes; the default is 10 s.
    #[must_use]
    pub fn with_handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }

    /// The largest message, in bytes as encoded. 1 KiB to 1 GiB; the default is 16 MiB.
    ///
    /// A peer that sends more is cut off.
    #[must_use]
    pub fn with_max_message(self, max_message: usize) -> Self {
        Self { max_message, ..self }
    }

    /// Whether the kernel may be handed many packets at once (generic segmentation offload). The default is `true`.
    ///
    /// Much faster where it works. Switch it off for networks that drop such packets (some overlays do), and for tools that
    /// drop packets by chance. It is never used with packets so large that ten do not fit into 64 KiB.
    #[must_use]
    pub fn with_gso(self, gso: bool) -> Self {
        Self { gso, ..self }
    }

    /// The largest UDP payload to try, in bytes. 1200 to 65000; the default is 65000 on a loopback address and 1452
    /// elsewhere.
    ///
    /// Links start at 1200 and find out by themselves what gets through; a path that carries less than a 1200-byte
    /// payload (an MTU of 1280 is enough) never completes a handshake.
    #[must_use]
    pub fn with_mtu(self, mtu: u16) -> Self {
        Self { mtu: Some(mtu), ..self }
    }

    /// How much a peer may send ahead on one stream, in bytes. 64 KiB to 1 GiB; the default is 1.25 MB.
    #[must_use]
    pub fn with_stream_window(self, stream_window: u32) -> Self {
        Self { stream_window, ..self }
    }

    /// How much a peer may send ahead on all lanes of a link, in bytes. At least the stream window, at most 1 GiB; the
    /// default is 4 MiB. Each bulk stream that is read adds one stream window to what a link may hold unread.
    #[must_use]
    pub fn with_connection_window(self, connection_window: u32) -> Self {
        Self { connection_window, ..self }
    }

    /// How much a link holds that its peer has not acknowledged, in bytes. 64 KiB to 1 GiB; the default is 2 MiB.
    #[must_use]
    pub fn with_send_window(self, send_window: u32) -> Self {
        Self { send_window, ..self }
    }

    /// See [`LinkConfig::with_ping_interval`].
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    /// See [`LinkConfig::with_lease`].
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// See [`LinkConfig::with_idle_timeout`].
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// See [`LinkConfig::with_handshake_timeout`].
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// See [`LinkConfig::with_max_message`].
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// See [`LinkConfig::with_gso`].
    #[must_use]
    pub fn gso(&self) -> bool {
        self.gso
    }

    /// See [`LinkConfig::with_mtu`]. `None` is the default for the address.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// See [`LinkConfig::with_stream_window`].
    #[must_use]
    pub fn stream_window(&self) -> u32 {
        self.stream_window
    }

    /// See [`LinkConfig::with_connection_window`].
    #[must_use]
    pub fn connection_window(&self) -> u32 {
        self.connection_window
    }

    /// See [`LinkConfig::with_send_window`].
    #[must_use]
    pub fn send_window(&self) -> u32 {
        self.send_window
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    ///
    /// All values that are out of their bounds, in one.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let two_pings = self.ping_interval.saturating_mul(2);
        let mut broken = Vec::new();
        let mut check = |holds: bool, rule: &'static str| {
            if !holds {
                broken.push(rule);
            }
        };
        check(
            (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.ping_interval),
            "ping_interval must be 10 ms to 1 minute",
        );
        check(
            (two_pings..=LONGEST).contains(&self.lease),
            "lease must be at least two ping intervals and at most 10 minutes",
        );
        check(
            (two_pings..=LONGEST).contains(&self.idle_timeout),
            "idle_timeout must be at least two ping intervals and at most 10 minutes",
        );
        check(
            (Duration::from_millis(10)..=LONGEST).contains(&self.handshake_timeout),
            "handshake_timeout must be 10 ms to 10 minutes",
        );
        check((1 << 10..=1 << 30).contains(&self.max_message), "max_message must be 1 KiB to 1 GiB");
        check(
            self.mtu.is_none_or(|mtu| (MIN_MTU..=MAX_MTU).contains(&mtu)),
            "mtu must be 1200 to 65000 bytes",
        );
        check(WINDOWS.contains(&self.stream_window), "stream_window must be 64 KiB to 1 GiB");
        check(WINDOWS.contains(&self.send_window), "send_window must be 64 KiB to 1 GiB");
        check(
            (self.stream_window..=*WINDOWS.end()).contains(&self.connection_window),
            "connection_window must be at least stream_window and at most 1 GiB",
        );
        if broken.is_empty() { Ok(()) } else { Err(InvalidConfig { broken }) }
    }
}

/// Values of a [`LinkConfig`] are out of their bounds. The message names all of them, and their bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link is configured wrongly: {}", broken.join("; "))]
pub struct InvalidConfig {
    broken: Vec<&'static str>,
}

/// What every QUIC path must carry, and what links start with.
pub(super) const MIN_MTU: u16 = 1200;
/// What fits into a UDP datagram over loopback, with room for headers.
pub(super) const MAX_MTU: u16 = 65_000;

const LONGEST: Duration = Duration::from_secs(600);
const WINDOWS: std::ops::RangeInclusive<u32> = 64 << 10..=1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(LinkConfig::default().validate(), Ok(()));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let (base, second) = (LinkConfig::default(), Duration::from_secs(1));
        for (name, config) in [
            ("ping_interval", base.clone().with_ping_interval(Duration::ZERO)),
            ("ping_interval", base.clone().with_ping_interval(Duration::MAX)),
            ("lease", base.clone().with_lease(second)),
            ("lease", base.clone().with_lease(Duration::MAX)),
            ("idle_timeout", base.clone().with_idle_timeout(second)),
            ("handshake_timeout", base.clone().with_handshake_timeout(Duration::ZERO)),
            ("max_message", base.clone().with_max_message(0)),
            ("max_message", base.clone().with_max_message(usize::MAX)),
            ("mtu", base.clone().with_mtu(1199)),
            ("mtu", base.clone().with_mtu(65_001)),
            ("stream_window", base.clone().with_stream_window(0)),
            ("send_window", base.clone().with_send_window(0)),
            ("connection_window", base.clone().with_connection_window(1 << 20)),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
        let two = base.with_mtu(0).with_max_message(0).validate().unwrap_err().to_string();
        assert!(two.contains("mtu") && two.contains("max_message"), "{two}");
    }
}
