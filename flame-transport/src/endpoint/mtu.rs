//! Whether this machine's own interfaces carry what QUIC needs.

use std::{fs, path::Path};

/// Where Linux tells of its interfaces; nothing is found elsewhere.
pub(super) const INTERFACES: &str = "/sys/class/net";

/// What an interface must carry: a payload of 1200 bytes, and the headers of UDP and IPv6, or IPv4, around it.
const NEEDED: u32 = 1280;

/// Names an interface whose packets are too small, for the error of a node that reaches nobody. Such packets are dropped in
/// silence, and look like a parent that is not there.
pub(super) fn too_narrow(interfaces: &Path) -> Option<String> {
    fs::read_dir(interfaces).ok()?.flatten().find_map(|interface| {
        let mtu: u32 = fs::read_to_string(interface.path().join("mtu")).ok()?.trim().parse().ok()?;
        let name = interface.file_name().to_string_lossy().into_owned();
        (mtu < NEEDED).then(|| {
            format!(
                "the interface {name} has an MTU of {mtu}, and QUIC needs packets of {NEEDED} bytes: raise it"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_whose_packets_are_too_small_is_named() {
        let folder = std::env::temp_dir().join(format!("flame-mtu-{}", std::process::id()));
        for (name, mtu) in [("lo", "65536\n"), ("eth0", "1280\n"), ("odd", "none\n")] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("mtu"), mtu).unwrap();
        }
        assert_eq!(too_narrow(&folder), None);
        fs::write(folder.join("eth0/mtu"), "1100\n").unwrap();
        let words = too_narrow(&folder).unwrap();
        assert!(words.contains("eth0") && words.contains("1100") && words.contains("1280"), "{words}");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(too_narrow(&folder), None);
    }
}
