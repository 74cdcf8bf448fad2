//! What no copy and no patch changes: whose the pod is, that it runs once, and that the ticket reaches it.

use flame_actor::backend::{RUNNER_VARIABLE, runner_in_file};
use k8s_openapi::api::core::v1::{EnvVar, Pod, SecretVolumeSource, Volume, VolumeMount};

use super::{Runner, parts, secret::KEY};
use crate::home::Home;

const VOLUME: &str = "flame-ticket";
const FOLDER: &str = "/run/flame";

pub(super) fn assert(pod: &mut Pod, home: &Home, runner: &Runner<'_>) {
    pod.metadata.name = Some(runner.name.to_owned());
    pod.metadata.generate_name = None;
    pod.metadata.namespace = Some(home.namespace.clone());
    pod.metadata.owner_references = home.owner.clone().map(|owner| vec![owner]);
    pod.metadata.finalizers = None;
    pod.metadata.labels.get_or_insert_default().extend(runner.labels(home));
    let spec = pod.spec.get_or_insert_default();
    spec.restart_policy = Some("Never".to_owned());
    // A Secret that is gone already, after a join or a boot that was given up, must not keep the pod from starting and
    // saying so.
    let ticket = SecretVolumeSource {
        secret_name: Some(runner.name.to_owned()),
        // The files are root's; the group is the pod's `fsGroup`.
        default_mode: Some(0o440),
        optional: Some(true),
        ..SecretVolumeSource::default()
    };

    let (volumes, container) = parts(pod);
    let volumes = volumes.get_or_insert_default();
    volumes.retain(|volume| volume.name != VOLUME);
    volumes.push(Volume { name: VOLUME.to_owned(), secret: Some(ticket), ..Volume::default() });
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.retain(|mount| mount.name != VOLUME && mount.mount_path != FOLDER);
    mounts.push(VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    let env = container.env.get_or_insert_default();
    env.retain(|variable| variable.name != RUNNER_VARIABLE);
    let value = runner_in_file(runner.node, &format!("{FOLDER}/{KEY}"));
    env.push(EnvVar { name: RUNNER_VARIABLE.to_owned(), value: Some(value), ..EnvVar::default() });
}
