//! Pod Security "restricted", field by field: an API server before 1.23 cannot enforce it.

use std::time::Duration;

use flame_tests::Counter;
use futures_util::future;
use serde_json::{Value, json};

use crate::{
    case::{Case, case},
    cluster::{Cluster, MANIFESTS},
    parent::{self, Parent, say},
    watch::{Object, is_running},
};

pub(crate) const CASES: &[Case] = &[
    case!(a_runner_pod_meets_the_restricted_standard_and_has_no_token),
    case!(the_shipped_manifests_are_taken_and_the_deployment_meets_the_restricted_standard),
];

mod a_runner_pod_meets_the_restricted_standard_and_has_no_token {
    use super::*;

    pub(super) async fn parent() {
        let pool = parent::pool("restricted").start().unwrap();
        let child = pool.place_child(Counter(0)).await.unwrap();
        say("placed", json!({}));
        future::pending::<()>().await;
        drop(child);
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        the_check_sees_what_is_forbidden();
        let mut parent = Parent::start(cluster, case);
        parent.says("placed");
        let runner = parent
            .runners(Duration::from_secs(10), 1, |pod| pod.is_there() && is_running(pod.now()))
            .remove(0);
        let pod = cluster.pods.seen().get(&runner).map(Object::now).cloned().unwrap();
        assert_eq!(violations(&pod["spec"]), Vec::<String>::new(), "{pod:#}");
        // What a runner could do to the cluster: nothing.
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        let mounts = all(&pod["spec"], "/containers/*/volumeMounts/*/mountPath");
        assert!(!mounts.iter().any(|mount| mount.to_string().contains("serviceaccount")), "{mounts:?}");
        assert!(!cluster.secrets.seen().is_empty());
    }
}

mod the_shipped_manifests_are_taken_and_the_deployment_meets_the_restricted_standard {
    use super::*;

    pub(super) async fn parent() {}

    pub(super) fn test(cluster: &Cluster, _: &Case) {
        // What is misspelt is refused by kubectl, what makes no sense by the API server.
        let taken = ["rbac.yaml", "networkpolicy.yaml", "thumbnails.yaml"].map(|file| {
            let path = format!("{MANIFESTS}/{file}");
            cluster.kubectl(&[
                "apply",
                "--dry-run=server",
                "--validate=true",
                "--output=json",
                "--filename",
                &path,
            ])
        });
        let deployment: Value = serde_json::from_str(&taken[2]).unwrap();
        assert_eq!(violations(&deployment["spec"]["template"]["spec"]), Vec::<String>::new());
    }
}

/// What of a pod's spec the standard forbids, in the order of its page in the Kubernetes documentation.
fn violations(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut forbid = |is_so: bool, what: &str| {
        if is_so {
            found.push(what.to_owned());
        }
    };
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        forbid(spec[shared] == true, shared);
    }
    const VOLUMES: [&str; 8] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in all(spec, "/volumes/*") {
        let kinds = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .filter(|key| *key != "name");
        kinds.for_each(|kind| forbid(!VOLUMES.contains(&kind), &format!("a volume {kind}")));
    }
    const SYSCTLS: [&str; 5] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
    ];
    for sysctl in all(spec, "/securityContext/sysctls/*/name") {
        forbid(!SYSCTLS.contains(&sysctl.as_str().unwrap_or_default()), "a sysctl");
    }
    let of_pod = &spec["securityContext"];
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        for container in all(spec, &format!("/{kind}/*")) {
            let of_container = &container["securityContext"];
            // A container's own value goes before its pod's.
            let value = |field: &str| {
                if of_container[field].is_null() { &of_pod[field] } else { &of_container[field] }
            };
            forbid(all(container, "/ports/*/hostPort").iter().any(|port| **port != 0), "a host port");
            forbid(of_container["privileged"] == true, "privileged");
            forbid(of_container["allowPrivilegeEscalation"] != false, "allowPrivilegeEscalation");
            forbid(
                !all(of_container, "/capabilities/drop/*").iter().any(|drop| **drop == "ALL"),
                "capabilities that are not dropped",
            );
            forbid(
                all(of_container, "/capabilities/add/*").iter().any(|add| **add != "NET_BIND_SERVICE"),
                "an added capability",
            );
            forbid(!matches!(of_container["procMount"].as_str(), None | Some("Default")), "procMount");
            forbid(value("runAsNonRoot") != true, "runAsNonRoot");
            forbid(value("runAsUser") == 0, "runAsUser");
            forbid(
                !matches!(value("seccompProfile")["type"].as_str(), Some("RuntimeDefault" | "Localhost")),
                "seccompProfile",
            );
            let selinux = value("seLinuxOptions");
            let of_containers =
                ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
            forbid(
                !of_containers.contains(&selinux["type"].as_str().unwrap_or_default()),
                "the type of seLinuxOptions",
            );
            forbid(
                !selinux["user"].is_null() || !selinux["role"].is_null(),
                "user or role of seLinuxOptions",
            );
            forbid(value("windowsOptions")["hostProcess"] == true, "hostProcess");
        }
    }
    found
}

/// The values at a pointer in which `*` stands for every item of an array.
fn all<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let Some((before, after)) = pointer.split_once("/*") else {
        return value.pointer(pointer).into_iter().collect();
    };
    let items = value.pointer(before).and_then(Value::as_array).into_iter().flatten();
    items.flat_map(|item| all(item, after)).collect()
}

fn the_check_sees_what_is_forbidden() {
    assert_eq!(
        violations(&json!({"containers": [{"name": "app"}]})),
        ["allowPrivilegeEscalation", "capabilities that are not dropped", "runAsNonRoot", "seccompProfile"]
    );
    let everything = json!({
        "hostNetwork": true, "hostPID": true, "hostIPC": true,
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "securityContext": {"sysctls": [{"name": "kernel.panic", "value": "1"}], "runAsNonRoot": true},
        "initContainers": [{
            "ports": [{"hostPort": 80}],
            "securityContext": {
                "privileged": true, "procMount": "Unmasked", "runAsNonRoot": false, "runAsUser": 0,
                "capabilities": {"add": ["SYS_ADMIN"]}, "seccompProfile": {"type": "Unconfined"},
                "seLinuxOptions": {"type": "spc_t", "user": "root"}, "windowsOptions": {"hostProcess": true},
            },
        }],
    });
    assert_eq!(violations(&everything).len(), 17, "{:?}", violations(&everything));
}
