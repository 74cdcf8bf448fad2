//! A sign of life that other processes of the same pod (or machine) can see.
//!
//! A container that restarts in its pod is a new life of the parent, and what the old one left is to be swept. But there can
//! be two parents in one pod at a time: `kubectl exec` starts another. Each takes a name in the pod's list of local sockets,
//! which the kernel frees with the process, whatever ended it.

use std::io;

/// The sign of one life of a parent, until it is dropped.
#[derive(Debug)]
pub(crate) struct Mark {
    #[cfg(target_os = "linux")]
    _socket: std::os::unix::net::UnixDatagram,
}

impl Mark {
    pub(crate) fn set(boot: &str) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return Ok(Self { _socket: std::os::unix::net::UnixDatagram::bind_addr(&address(boot)?)? });
        #[cfg(not(target_os = "linux"))]
        return Ok(Self {});
    }

    /// Whether a life of a parent is over, as far as can be seen from here.
    pub(crate) fn is_gone(boot: &str) -> bool {
        #[cfg(target_os = "linux")]
        {
            let tried = address(boot)
                .and_then(|address| std::os::unix::net::UnixDatagram::unbound()?.connect_addr(&address));
            tried.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        }
        #[cfg(not(target_os = "linux"))]
        false
    }
}

#[cfg(target_os = "linux")]
fn address(boot: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(format!("flame-parent-{boot}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_seen_until_it_is_over() {
        let boot = format!("{:016x}", getrandom::u64().unwrap());
        assert!(Mark::is_gone(&boot));
        let mark = Mark::set(&boot).unwrap();
        assert!(!Mark::is_gone(&boot));
        assert!(Mark::set(&boot).is_err(), "no two parents have one life");
        drop(mark);
        assert!(Mark::is_gone(&boot));
    }
}
