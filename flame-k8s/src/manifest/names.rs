//! What a runner's pod is called, and the labels by which its parent knows it.

use std::collections::BTreeMap;

use flame_actor::NodeId;

/// The longest name of a pod, that of a host: beyond it the host's name would be cut.
const MAX_NAME: usize = 63;
/// How much of that is the parent's name at the most.
const MAX_PARENT: usize = 40;
/// How many characters make a name unique.
const SUFFIX: usize = 10;

/// `<parent>-<pool>-<10 characters>`. The last part is drawn with the runner's incarnation, so that a create that is sent again
/// names the same pod.
pub(crate) fn pod_name(parent: &str, pool: &str, runner: &NodeId) -> String {
    let parent = dns_label(parent, MAX_PARENT);
    let pool = dns_label(pool, MAX_NAME.saturating_sub(parent.len() + SUFFIX + 2));
    let suffix = suffix(runner.incarnation());
    [parent, pool, suffix].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// `text` as a part of a host's name: lower case letters, digits and `-` between them, at most `max` of them.
pub(crate) fn dns_label(text: &str, max: usize) -> String {
    let clean = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    };
    let label: String = text.trim_start_matches(|c| clean(c) == '-').chars().map(clean).take(max).collect();
    label.trim_end_matches('-').to_owned()
}

fn suffix(number: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let digit = |place: usize| {
        let digit = number.checked_shr(place as u32 * 5).unwrap_or(0) & 31;
        DIGITS.get(digit as usize).copied().map_or('0', char::from)
    };
    (0..SUFFIX).rev().map(digit).collect()
}

/// Labels by which a parent finds its runners. No option and no patch changes them.
pub mod label {
    /// Which parent a runner belongs to: the uid of the parent's pod.
    pub const PARENT: &str = "flame.internal/parent";
    /// Which life of the parent: a container that restarts in the same pod is another.
    pub const BOOT: &str = "flame.internal/boot";
    /// Which pool the runner is for.
    pub const POOL: &str = "flame.internal/pool";
    /// The runner's name.
    pub const RUNNER: &str = "flame.internal/runner";
    /// The runner's incarnation, 16 hexadecimal digits.
    pub const INCARNATION: &str = "flame.internal/incarnation";
}

/// The labels of a runner's pod and Secret.
pub(crate) fn labels(
    parent: &str,
    parent_name: &str,
    boot: &str,
    pool: &str,
    runner: &NodeId,
) -> BTreeMap<String, String> {
    [
        (label::PARENT, parent.to_owned()),
        (label::BOOT, boot.to_owned()),
        (label::POOL, pool.to_owned()),
        (label::RUNNER, runner.name().to_owned()),
        (label::INCARNATION, format!("{:016x}", runner.incarnation())),
        // Not the app's name: a Service that selects by it alone would send its users to runners.
        ("app.kubernetes.io/name", "flame-runner".to_owned()),
        ("app.kubernetes.io/instance", runner.name().to_owned()),
        ("app.kubernetes.io/component", "runner".to_owned()),
        ("app.kubernetes.io/part-of", dns_label(parent_name, MAX_NAME)),
        ("app.kubernetes.io/managed-by", "flame-k8s".to_owned()),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Whether a label is one of those that identify a runner.
pub(crate) fn is_reserved(label: &str) -> bool {
    const RECOMMENDED: [&str; 6] = ["name", "instance", "component", "part-of", "managed-by", "version"];
    label.starts_with("flame.internal/")
        || label.strip_prefix("app.kubernetes.io/").is_some_and(|rest| RECOMMENDED.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(incarnation: u64) -> NodeId {
        NodeId::from_parts("thumbs-1", incarnation).unwrap()
    }

    #[test]
    fn a_name_is_never_longer_than_a_hosts_and_always_one() {
        let longest = "x".repeat(100);
        for (parent, pool) in
            [("web-7d9f-abcde", "thumbs"), (&*longest, &*longest), ("", "p"), ("a.b.c", "p"), ("--Ä--", "p")]
        {
            let name = pod_name(parent, pool, &runner(u64::MAX));
            assert!(name.len() <= MAX_NAME, "{name}");
            assert_eq!(dns_label(&name, MAX_NAME), name, "{name} is no host's name");
        }
        assert_eq!(pod_name("web.Prod", "thumbs", &runner(33)), "web-prod-thumbs-0000000011");
        assert_eq!(pod_name(&longest, "thumbs", &runner(0)).split('-').next().unwrap().len(), MAX_PARENT);
    }

    #[test]
    fn each_boot_has_a_name_of_its_own_and_each_attempt_of_it_the_same() {
        let name = |incarnation| pod_name("web", "thumbs", &runner(incarnation));
        assert_eq!(name(1), name(1));
        assert_ne!(name(1), name(2));
        assert_ne!(name(1), name(1 << 40));
    }

    #[test]
    fn labels_of_a_parent_are_never_copied() {
        let labels = labels("uid", "web", "boot", "thumbs", &runner(1));
        assert!(labels.keys().all(|key| is_reserved(key)), "{labels:?}");
        assert!(!is_reserved("app") && !is_reserved("app.kubernetes.io/created-by"));
        assert!(labels.values().all(|value| value.len() <= 63));
    }
}
