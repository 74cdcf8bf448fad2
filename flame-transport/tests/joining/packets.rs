//! How large packets are, how they are handed to the kernel, and what is said where they do not get through.

use std::{env, process::Command, time::Duration};

use flame_transport::{JoinError, LinkConfig, join};

use crate::support::*;

#[tokio::test]
async fn packets_on_loopback_grow_far_beyond_those_of_a_network() {
    let listener = listen();
    let (parent, runner) = link(&listener, "r").await;
    let (connection, _, _, (_, mut from_runner)) = parent.into_parts();
    let (far_connection, _endpoint, _, (mut to_parent, _)) = runner.into_parts();
    tokio::spawn(async move { while let Ok(Some(_)) = from_runner.read_chunk(usize::MAX, true).await {} });
    let grow = async {
        while far_connection.stats().path.current_mtu <= 32_000 {
            to_parent.write_all(&[0; 64 << 10]).await.unwrap();
        }
    };
    tokio::time::timeout(LONG, grow).await.unwrap();
    drop(connection);
}

#[tokio::test]
async fn the_kernel_gets_many_packets_at_once_unless_that_is_switched_off() {
    let network = LinkConfig::default().with_mtu(1400);
    let (packets, calls) = sent(network.clone()).await;
    assert!(calls * 2 < packets, "{packets} packets in {calls} calls");
    let (packets, calls) = sent(network.with_gso(false)).await;
    assert_eq!(calls, packets);
}

/// How many packets carry 4 MiB over a link, and in how many calls they leave.
async fn sent(config: LinkConfig) -> (u64, u64) {
    let listener = listen_with(config.clone());
    let invitation = listener.invite("r", MINUTE).unwrap();
    let (build, accepting) = (build(), accept(&listener));
    let (runner, parent) = tokio::join!(join(&invitation, &build, &config), accepting);
    let (_connection, _, _, (_, mut from_runner)) = parent.into_parts();
    let (connection, _endpoint, _, (mut to_parent, _)) = runner.unwrap().into_parts();
    let mut left = 4 << 20;
    tokio::spawn(async move { to_parent.write_all(&vec![0; left]).await.map(|()| to_parent) });
    while left > 0 {
        let read = tokio::time::timeout(LONG, from_runner.read_chunk(usize::MAX, true)).await;
        left -= read.unwrap().unwrap().unwrap().bytes.len();
    }
    let sent = connection.stats().udp_tx;
    (sent.datagrams, sent.ios)
}

/// Set in the copy of this test that runs on a network of its own.
const NARROW: &str = "FLAME_TEST_NARROW";

#[tokio::test]
async fn a_network_whose_packets_are_too_small_is_named_by_those_who_reach_nobody_over_it() {
    if env::var_os(NARROW).is_some() {
        let listener = listen();
        let mut invitation = listener.invite("r", MINUTE).unwrap();
        invitation.valid_for = Duration::from_millis(600);
        let error = join(&invitation, &build(), &LinkConfig::default()).await.unwrap_err();
        assert!(matches!(error, JoinError::Unreachable { .. }), "{error:?}");
        for words in ["the interface lo", "MTU of 1100", "1280"] {
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
        return;
    }
    // A network namespace, and a mount namespace for the files that tell of it.
    let script = "mount -t sysfs sysfs /sys && ip link set lo mtu 1100 up && exec \"$0\" \"$@\"";
    let test = "packets::a_network_whose_packets_are_too_small_is_named_by_those_who_reach_nobody_over_it";
    let mut namespace = Command::new("unshare");
    namespace.args(["--map-root-user", "--net", "--mount", "sh", "-c", script]);
    let output = namespace.arg(env::current_exe().unwrap()).args(["--exact", test]).env(NARROW, "1").output();
    let output = output.expect("unshare is part of util-linux");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "a network namespace, and in it: {said}");
}
