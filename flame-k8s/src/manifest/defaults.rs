//! What every runner's pod is, unless something says otherwise.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, Pod, PodSecurityContext, PodSpec, SeccompProfile,
    SecurityContext, Toleration, Volume, VolumeMount,
};

use super::{CONTAINER, Runner};
use crate::{home::Home, options::Options};

/// The volume for temporary files: the root is read-only.
pub(super) const TEMP: &str = "flame-temp";

/// How long a pod stays on a node that is not ready or not reachable. The runner's link is lost long before; this is only
/// about how soon the name and the resources are free.
const LOST_NODE: i64 = 30;

pub(super) fn pod(options: &Options, home: &Home, runner: &Runner<'_>) -> Pod {
    let (user, group) = options.run_as.unwrap_or(home.ids);
    let id = |id: u32| Some(i64::from(id));
    let root = user == 0;
    let spec = PodSpec {
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    ..Capabilities::default()
                }),
                read_only_root_filesystem: Some(true),
                run_as_non_root: (!root).then_some(true),
                ..SecurityContext::default()
            }),
            volume_mounts: Some(vec![VolumeMount {
                name: TEMP.to_owned(),
                mount_path: home.temp.clone(),
                ..VolumeMount::default()
            }]),
            ..Container::default()
        }],
        volumes: Some(vec![Volume {
            name: TEMP.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        }]),
        security_context: Some(PodSecurityContext {
            run_as_user: id(user),
            run_as_group: id(group),
            fs_group: id(group),
            run_as_non_root: (!root).then_some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(seconds(runner.drain)),
        active_deadline_seconds: options.max_life.map(|life| {
            // The runner drains itself when its life is over; this ends one that does not.
            seconds(life.saturating_add(runner.patience).saturating_add(runner.drain))
        }),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        tolerations: Some(["not-ready", "unreachable"].map(lost_node).into()),
        ..PodSpec::default()
    };
    let annotations = [
        // A runner that is moved is a runner that is lost.
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
        // Meshes do not carry UDP.
        ("sidecar.istio.io/inject", "false"),
        ("linkerd.io/inject", "disabled"),
        ("kuma.io/sidecar-injection", "disabled"),
        ("consul.hashicorp.com/connect-inject", "false"),
    ];
    let mut pod = Pod { spec: Some(spec), ..Pod::default() };
    pod.metadata.annotations =
        Some(annotations.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    pod
}

fn lost_node(what: &str) -> Toleration {
    Toleration {
        key: Some(format!("node.kubernetes.io/{what}")),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(LOST_NODE),
        ..Toleration::default()
    }
}

pub(super) fn seconds(time: std::time::Duration) -> i64 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(whole).unwrap_or(i64::MAX)
}
