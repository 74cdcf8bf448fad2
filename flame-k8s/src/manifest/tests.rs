use std::{fs, path::Path, time::Duration};

use flame_actor::{NodeId, backend::Resources};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Pod, Toleration},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    home::Home,
    options::{EnvSource, Options, Patch},
    tests::fixture::{home, own_pod},
};

fn made(options: &Options, home: &Home, resources: &Resources) -> Pod {
    let node = NodeId::from_parts("thumbs-7", 0xabc).unwrap();
    let name = names::pod_name(&home.name, "thumbs", &node);
    pod(options, home, &runner(&name, &node, resources))
}

fn runner<'a>(name: &'a str, node: &'a NodeId, resources: &'a Resources) -> Runner<'a> {
    let (drain, patience) = (Duration::from_secs(30), Duration::from_secs(120));
    Runner { name, pool: "thumbs", node, boot: "00000000000000b0", resources, drain, patience }
}

fn inside(options: Options) -> Pod {
    made(&options, &home(&options), &Resources::default())
}

/// Compares with the file of this name, or writes it where `UPDATE_GOLDEN` is set.
fn golden(name: &str, made: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manifest/golden").join(name);
    let made = serde_json::to_string_pretty(&serde_json::to_value(made).unwrap()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, made).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(made, expected, "{name} differs; if that is meant, run this test with UPDATE_GOLDEN=1");
}

#[test]
fn the_pod_of_a_runner_inside_is_a_copy_of_its_parents_pod() {
    golden("inside.json", &inside(Options::default()));
}

fn everything() -> Options {
    let mut options = Options {
        image: Some("registry.example/web:2".into()),
        namespace: Some("apps".into()),
        service_account: Some("runner".into()),
        parent_addresses: vec!["192.0.2.1:4433".parse().unwrap()],
        gpus: Some(1),
        max_life: Some(Duration::from_secs(3600)),
        run_as: Some((3000, 3001)),
        ..Options::default()
    };
    options.requests.insert("cpu".into(), "2".into());
    options.limits.insert("memory".into(), "4Gi".into());
    options.node_selector.insert("pool".into(), "gpu".into());
    options.tolerations.push(Toleration { key: Some("gpu".into()), ..Toleration::default() });
    options.env.push(("RUST_LOG".into(), EnvSource::Value("debug".into())));
    options.env.push(("TOKEN".into(), EnvSource::Secret { name: "api".into(), key: "token".into() }));
    options.labels.insert("team".into(), "video".into());
    options.annotations.insert("note".into(), "hello".into());
    options.patches.push(Patch::partial(json!({
        "spec": { "priorityClassName": "batch", "containers": [{ "name": CONTAINER, "stdin": true }] },
    })));
    options
}

#[test]
fn the_pod_of_a_runner_outside_is_made_of_options() {
    let options = everything();
    let mut home = Home::outside(&options).unwrap();
    (home.name, home.parent) = ("laptop".into(), "outside-laptop".into());
    golden("outside.json", &made(&options, &home, &Resources::default()));
}

#[test]
fn options_go_over_what_is_copied() {
    let options = everything();
    golden("inside_with_options.json", &made(&options, &home(&options), &Resources::default()));
}

#[test]
fn the_secret_is_immutable_and_goes_with_the_parent() {
    let home = home(&Options::default());
    let node = NodeId::from_parts("thumbs-7", 0xabc).unwrap();
    let secret = secret(&home, &runner("web-thumbs-1", &node, &Resources::default()), b"a ticket".to_vec());
    assert_eq!(secret.data.as_ref().unwrap()["ticket"], ByteString(b"a ticket".to_vec()));
    golden("secret.json", &secret);
}

#[test]
fn never_is_anything_copied_that_is_the_parents_alone() {
    let made = inside(Options::default());
    let text = serde_json::to_string(&made).unwrap();
    for never in [
        "pod-template-hash",
        "prometheus.io",
        "livenessProbe",
        "preStop",
        "hostPort",
        "hostNetwork",
        "nodeName",
        "initContainers",
        "mesh:1",
        "persistentVolumeClaim",
        "kube-api-access",
        "serviceAccountToken",
        "cloud-token",
        "unmounted",
        "stdin:1",
        "\"app\":\"web\"",
        "\"app.kubernetes.io/name\":\"web\"",
        "ReplicaSet",
    ] {
        assert!(serde_json::to_string(&own_pod()).unwrap().contains(never), "the fixture has no {never}");
        assert!(!text.contains(never), "{never} was copied: {text}");
    }
}

/// A patch that takes away all that it can.
fn hostile(mut pod: Pod) -> Pod {
    pod.metadata = serde_json::from_value(json!({
        "name": "mine", "namespace": "theirs", "generateName": "x-", "finalizers": ["stay/for-ever"],
        "labels": { "flame.internal/boot": "another", "app.kubernetes.io/managed-by": "me", "team": "video" },
        "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "other", "uid": "2" }],
    }))
    .unwrap();
    let spec = pod.spec.as_mut().unwrap();
    spec.restart_policy = Some("Always".into());
    spec.volumes = None;
    for container in &mut spec.containers {
        container.volume_mounts = None;
        container.env = None;
    }
    pod
}

#[test]
fn no_patch_changes_whose_a_pod_is_and_that_it_gets_its_ticket_and_runs_once() {
    let plain = serde_json::to_value(inside(Options::default())).unwrap();
    let wrecking = Patch::Function(std::sync::Arc::new(hostile));
    let emptying = Patch::Function(std::sync::Arc::new(|_| Pod::default()));
    for patch in [wrecking, emptying] {
        let patched = inside(Options { patches: vec![patch], ..Options::default() });
        let patched = serde_json::to_value(patched).unwrap();
        for field in
            ["/metadata/name", "/metadata/namespace", "/metadata/ownerReferences", "/spec/restartPolicy"]
        {
            assert_eq!(patched.pointer(field), plain.pointer(field), "{field}");
        }
        for field in ["/metadata/generateName", "/metadata/finalizers"] {
            assert_eq!(patched.pointer(field), None, "{field}");
        }
        for (label, value) in plain["metadata"]["labels"].as_object().unwrap() {
            assert_eq!(patched["metadata"]["labels"][label], *value, "{label}");
        }
        let last =
            |value: &Value, list: &str| value.pointer(list).unwrap().as_array().unwrap().last().cloned();
        for list in ["/spec/volumes", "/spec/containers/0/volumeMounts", "/spec/containers/0/env"] {
            assert_eq!(last(&patched, list), last(&plain, list), "{list}");
        }
    }
}

#[test]
fn a_patch_may_relax_the_security_context() {
    let patch = Patch::partial(json!({ "spec": { "containers": [
        { "name": CONTAINER, "securityContext": { "readOnlyRootFilesystem": false } },
        { "name": "sidecar", "image": "x" },
    ] } }));
    let spec = inside(Options { patches: vec![patch], ..Options::default() }).spec.unwrap();
    let security = spec.containers[0].security_context.as_ref().unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(false));
    assert_eq!(security.allow_privilege_escalation, Some(false), "what it does not name stays");
    assert_eq!((spec.containers.len(), &*spec.containers[1].name), (2, "sidecar"));
}

#[test]
fn the_pod_meets_pod_security_restricted() {
    let spec = serde_json::to_value(inside(Options::default()).spec).unwrap();
    for field in ["/hostNetwork", "/hostPID", "/hostIPC"] {
        assert_eq!(spec.pointer(field), None);
    }
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(
        (&spec["securityContext"]["runAsUser"], &spec["securityContext"]["runAsGroup"]),
        (&json!(1000), &json!(2000))
    );
    let security = &spec["containers"][0]["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!((&security["privileged"], &security["procMount"]), (&Value::Null, &Value::Null));
    let allowed = ["configMap", "emptyDir", "projected", "secret", "downwardAPI"];
    for volume in spec["volumes"].as_array().unwrap() {
        assert!(volume.as_object().unwrap().keys().all(|key| key == "name" || allowed.contains(&&**key)));
    }
    // The temporary folder is the one thing that can be written.
    let temp = json!({ "name": "flame-temp", "mountPath": "/tmp" });
    assert!(spec["containers"][0]["volumeMounts"].as_array().unwrap().contains(&temp));
    assert_eq!(spec["automountServiceAccountToken"], false);
}

#[test]
fn a_parent_that_is_root_has_runners_that_are_root_unless_it_is_told_otherwise() {
    let mut home = home(&Options::default());
    home.ids = (0, 0);
    let spec = made(&Options::default(), &home, &Resources::default()).spec.unwrap();
    assert_eq!(spec.security_context.unwrap().run_as_non_root, None);
    assert_eq!(spec.containers[0].security_context.as_ref().unwrap().run_as_non_root, None);
    let options = Options { run_as: Some((65532, 65532)), ..Options::default() };
    let security = made(&options, &home, &Resources::default()).spec.unwrap().security_context.unwrap();
    assert_eq!((security.run_as_user, security.run_as_non_root), (Some(65532), Some(true)));
}

#[test]
fn a_life_has_an_end_only_where_one_is_set_and_the_runner_drains_before_it() {
    assert_eq!(inside(Options::default()).spec.unwrap().active_deadline_seconds, None);
    let options = Options { max_life: Some(Duration::from_secs(600)), ..Options::default() };
    // The life, and before it the boot, and after it the drain.
    assert_eq!(inside(options).spec.unwrap().active_deadline_seconds, Some(600 + 120 + 30));
}

#[test]
fn the_ticket_is_a_file_that_only_the_pods_group_reads() {
    let spec = inside(Options::default()).spec.unwrap();
    let volumes = spec.volumes.unwrap();
    let ticket =
        volumes.iter().find(|volume| volume.name == "flame-ticket").unwrap().secret.as_ref().unwrap();
    assert_eq!((ticket.default_mode, ticket.optional), (Some(0o440), Some(true)));
    assert_eq!(spec.security_context.unwrap().fs_group, Some(2000));
    let env = spec.containers[0].env.as_ref().unwrap();
    let role: Vec<_> = env.iter().filter(|variable| variable.name == "FLAME_RUNNER").collect();
    assert_eq!(role.len(), 1);
    assert_eq!(role[0].value.as_deref(), Some("file:1:thumbs-7-0000000000000abc:/run/flame/ticket"));
}

#[test]
fn what_is_missing_or_at_odds_with_the_parents_pod_is_told() {
    let error = Home::outside(&Options::default()).unwrap_err().to_string();
    for option in ["image", "namespace", "parent_address"] {
        assert!(error.contains(&format!("{option} must be set outside")), "{error}");
    }
    let options =
        Options { namespace: Some("other".into()), container: Some("web".into()), ..Options::default() };
    let error = Home::inside(&options, own_pod(), (0, 0)).unwrap_err().to_string();
    for words in ["namespace is other, and the parent's own is apps", "container is web", "mesh, app"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}
