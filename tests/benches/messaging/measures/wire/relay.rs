//! Runners as child processes whose packets pass through this process, which counts them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use flame_actor::backend::{Backend, Boot, BootError, BoxFuture, Instance, ProcessBackend};

/// The process backend, with a relay for each runner.
pub(super) struct Relayed {
    inner: ProcessBackend,
    bytes: Arc<AtomicU64>,
}

impl Relayed {
    pub(super) fn new(bytes: &Arc<AtomicU64>) -> Self {
        Self { inner: ProcessBackend::new(), bytes: Arc::clone(bytes) }
    }
}

impl Backend for Relayed {
    fn name(&self) -> &str {
        "relayed"
    }

    fn boot(&self, mut boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        for parent in &mut boot.ticket.invitation.addresses {
            match relay(*parent, &self.bytes) {
                Ok(address) => *parent = address,
                Err(error) => return Box::pin(async { Err(BootError::other(error)) }),
            }
        }
        self.inner.boot(boot)
    }
}

/// Relays between a parent and the one runner that comes to the address that this gives back, for as long as this process
/// lives.
fn relay(parent: SocketAddr, bytes: &Arc<AtomicU64>) -> io::Result<SocketAddr> {
    let (front, back) = (Arc::new(socket()?), Arc::new(socket()?));
    let address = front.local_addr()?;
    back.connect(parent)?;
    let runner = Arc::new(OnceLock::new());
    let (from, to, known) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&runner));
    carry(bytes, move |packet| {
        let (length, sender) = from.recv_from(packet)?;
        known.get_or_init(|| sender);
        to.send(&packet[..length])
    });
    carry(bytes, move |packet| {
        let length = back.recv(packet)?;
        runner.get().map_or(Ok(0), |runner| front.send_to(&packet[..length], runner))
    });
    Ok(address)
}

/// Repeats `pass`, which passes one packet on, and counts.
fn carry(bytes: &Arc<AtomicU64>, pass: impl Fn(&mut [u8]) -> io::Result<usize> + Send + 'static) {
    let bytes = Arc::clone(bytes);
    thread::spawn(move || {
        let mut packet = vec![0; 1 << 16];
        loop {
            // An error is that of one packet: its receiver is not there yet, or has gone.
            if let Ok(length) = pass(&mut packet) {
                bytes.fetch_add(length as u64, Relaxed);
            }
        }
    });
}

fn socket() -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    for set in [socket2::Socket::set_recv_buffer_size, socket2::Socket::set_send_buffer_size] {
        set(&socket, 4 << 20)?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket.into())
}
