//! What a runner's pod has from its parent's.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

use super::{container, defaults::TEMP};
use crate::home::OwnPod;

/// Where Kubernetes puts a pod's credentials for the API. A runner has none.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Copies what a runner needs to be the same program: image, command, environment, resources, settings, and where it may
/// run. Not labels, probes, lifecycle, ports, the host's network, the node, init containers, sidecars, tokens, claims.
pub(super) fn onto(pod: &mut Pod, own: &OwnPod) {
    let app = &own.app;
    let spec = own.pod.spec.clone().unwrap_or_default();
    let volumes = copied_volumes(&spec, app);

    let runner = container(pod);
    runner.image = own.image.clone();
    runner.image_pull_policy = app.image_pull_policy.clone();
    runner.command = app.command.clone();
    runner.args = app.args.clone();
    runner.working_dir = app.working_dir.clone();
    runner.env = app.env.clone();
    runner.env_from = app.env_from.clone();
    runner.resources = app.resources.clone();
    let temp = runner.volume_mounts.take().unwrap_or_default();
    let mut mounts: Vec<_> = app.volume_mounts.clone().unwrap_or_default();
    mounts.retain(|mount| volumes.iter().any(|volume| volume.name == mount.name));
    let has_temp = |path: &str| mounts.iter().any(|mount| mount.mount_path.trim_end_matches('/') == path);
    let temp: Vec<_> =
        temp.into_iter().filter(|mount| !has_temp(mount.mount_path.trim_end_matches('/'))).collect();
    let without_temp = temp.is_empty();
    mounts.extend(temp);
    runner.volume_mounts = Some(mounts);

    let to = pod.spec.get_or_insert_default();
    let own_volumes = to.volumes.get_or_insert_default();
    if without_temp {
        own_volumes.retain(|volume| volume.name != TEMP);
    }
    own_volumes.splice(0..0, volumes);
    to.image_pull_secrets = spec.image_pull_secrets;
    to.node_selector = spec.node_selector;
    to.affinity = spec.affinity;
    to.runtime_class_name = spec.runtime_class_name;
    let tolerations = to.tolerations.get_or_insert_default();
    // Those of 300 s, which every pod is given, would be the longer ones.
    let lost_node = |key: &Option<String>| tolerations.iter().any(|toleration| toleration.key == *key);
    let theirs: Vec<_> =
        spec.tolerations.unwrap_or_default().into_iter().filter(|theirs| !lost_node(&theirs.key)).collect();
    tolerations.splice(0..0, theirs);
    if let (Some(security), Some(theirs)) = (&mut to.security_context, spec.security_context) {
        security.fs_group = theirs.fs_group.or(security.fs_group);
        security.supplemental_groups = theirs.supplemental_groups;
    }
}

/// The volumes that the app's container mounts and that any number of pods can have.
fn copied_volumes(spec: &PodSpec, app: &Container) -> Vec<Volume> {
    let mounts = app.volume_mounts.as_deref().unwrap_or_default();
    let volumes = spec.volumes.clone().unwrap_or_default();
    let mounted = |volume: &Volume| mounts.iter().any(|mount| mount.name == volume.name);
    let is_token = |volume: &Volume| {
        let at_token_path =
            mounts.iter().any(|mount| mount.name == volume.name && mount.mount_path == TOKEN_PATH);
        let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
        at_token_path
            || sources.is_some_and(|sources| sources.iter().any(|it| it.service_account_token.is_some()))
    };
    let can_be_shared = |volume: &Volume| {
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.empty_dir.is_some()
            || volume.projected.is_some()
            || volume.downward_api.is_some()
    };
    volumes
        .into_iter()
        .filter(|volume| mounted(volume) && can_be_shared(volume) && !is_token(volume))
        .collect()
}
