//! Where the parent is at home: in a pod, or outside of the cluster; and what follows from it for its runners.

use std::{env, fs, net::IpAddr, net::SocketAddr, path::Path};

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

use crate::{
    error::SetupError,
    manifest::names,
    options::{InvalidOptions, OptionProblem, Options},
};

/// What a parent is to its runners.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) namespace: String,
    /// What the parent is called: its pod, or its machine.
    pub(crate) name: String,
    /// The parent's label value: its pod's uid, or a name for its machine.
    pub(crate) parent: String,
    /// The parent's pod as the owner of its runners.
    pub(crate) owner: Option<OwnerReference>,
    /// What can be copied.
    pub(crate) own: Option<OwnPod>,
    /// Where runners dial the parent. Port 0 stands for the port that it listens on.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The user and the group that runners run as.
    pub(crate) ids: (u32, u32),
    /// The folder for temporary files.
    pub(crate) temp: String,
}

/// The pod that the parent runs in.
#[derive(Debug, Clone)]
pub(crate) struct OwnPod {
    pub(crate) pod: Pod,
    /// The app's container in it.
    pub(crate) app: Container,
    /// Its image, pinned to what the parent runs where that can be pulled.
    pub(crate) image: Option<String>,
}

/// Where a pod finds its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The name and the namespace of the pod that this process runs in; `None` outside of a cluster.
pub(crate) fn own_pod() -> Option<(String, String)> {
    env::var_os("KUBERNETES_SERVICE_HOST")?;
    let variable = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let namespace = variable("POD_NAMESPACE").or_else(|| read(NAMESPACE_FILE))?;
    let name = variable("POD_NAME").or_else(|| variable("HOSTNAME")).unwrap_or_else(host_name);
    Some((name, namespace))
}

impl Home {
    /// A parent that runs in `pod`.
    pub(crate) fn inside(options: &Options, pod: Pod, ids: (u32, u32)) -> Result<Self, SetupError> {
        let meta = pod.metadata.clone();
        let (name, namespace) = (meta.name.unwrap_or_default(), meta.namespace.unwrap_or_default());
        let uid = meta.uid.unwrap_or_default();
        let mut problems = Vec::new();
        if let Some(asked) = options.namespace.as_ref().filter(|asked| **asked != namespace) {
            problems.push(OptionProblem::Namespace { asked: asked.clone(), own: namespace.clone() });
        }
        let app = app_container(options, &pod).unwrap_or_else(|problem| {
            problems.push(problem);
            Container::default()
        });
        if !problems.is_empty() {
            return Err(InvalidOptions { problems }.into());
        }
        let image = image(&pod, &app);
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: name.clone(),
            uid: uid.clone(),
            // Without a controller, the parent's ReplicaSet would take runners that look like its own, and kill them.
            controller: Some(true),
            block_owner_deletion: Some(false),
        };
        let addresses = match options.parent_addresses.as_slice() {
            [] => pod_addresses(&pod).into_iter().map(|ip| SocketAddr::new(ip, 0)).collect(),
            chosen => chosen.to_vec(),
        };
        Ok(Self {
            namespace,
            name,
            parent: uid,
            owner: Some(owner),
            own: Some(OwnPod { pod, app, image }),
            addresses,
            ids,
            temp: env::temp_dir().to_string_lossy().into_owned(),
        })
    }

    /// A parent outside of the cluster, such as on a laptop.
    pub(crate) fn outside(options: &Options) -> Result<Self, SetupError> {
        let mut problems = Vec::new();
        for (option, missing) in [
            ("image", options.image.is_none()),
            ("namespace", options.namespace.is_none()),
            ("parent_address", options.parent_addresses.is_empty()),
        ] {
            if missing {
                problems.push(OptionProblem::Missing { option });
            }
        }
        if let Some(name) = &options.container {
            problems.push(OptionProblem::Container { name: name.clone(), known: Vec::new() });
        }
        if !problems.is_empty() {
            return Err(InvalidOptions { problems }.into());
        }
        let name = host_name();
        Ok(Self {
            namespace: options.namespace.clone().unwrap_or_default(),
            parent: format!("outside-{}", names::dns_label(&name, 40)).trim_end_matches('-').to_owned(),
            name,
            owner: None,
            own: None,
            addresses: options.parent_addresses.clone(),
            ids: NOBODY,
            temp: "/tmp".to_owned(),
        })
    }
}

/// Who runs in most images that have no root, and who can read what others may.
const NOBODY: (u32, u32) = (65532, 65532);

/// The container that the app runs in: the one that was named, else the one that `kubectl` would take.
fn app_container(options: &Options, pod: &Pod) -> Result<Container, OptionProblem> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let annotation = "kubectl.kubernetes.io/default-container";
    let annotated = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(annotation));
    let named = |name: &String| containers.iter().find(|container| container.name == *name).cloned();
    match &options.container {
        Some(name) => named(name).ok_or_else(|| OptionProblem::Container {
            name: name.clone(),
            known: containers.iter().map(|container| container.name.clone()).collect(),
        }),
        None => Ok(annotated.and_then(named).or_else(|| containers.first().cloned()).unwrap_or_default()),
    }
}

fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let all = status.pod_ips.iter().flatten().map(|address| &address.ip);
    let mut addresses: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    addresses
}

/// The image that runners are to run: exactly the parent's, where it is known by a digest under which it can be pulled.
/// A tag may have been moved since the parent started.
fn image(pod: &Pod, app: &Container) -> Option<String> {
    let asked = app.image.clone()?;
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
    let status = statuses.unwrap_or_default().iter().find(|status| status.name == app.name);
    let never_pulled = app.image_pull_policy.as_deref() == Some("Never");
    let pinned = status.and_then(|status| pinned(&asked, &status.image_id)).filter(|_| !never_pulled);
    Some(pinned.unwrap_or(asked))
}

/// The image of `id` by its digest, if that is one of the registry that `asked` is pulled from. Images that were
/// imported into the node have ids that nobody can pull.
fn pinned(asked: &str, id: &str) -> Option<String> {
    let id = id.split_once("://").map_or(id, |(_, id)| id);
    let (repository, digest) = id.split_once("@sha256:")?;
    let well_formed = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let same = canonical(repository) == canonical(repository_of(asked));
    let local = canonical(repository).starts_with("localhost/");
    (well_formed && same && !local).then(|| id.to_owned())
}

/// An image's name without tag and digest.
fn repository_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // Else the colon is that of a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// A repository with its registry, as `docker` completes it.
fn canonical(repository: &str) -> String {
    match repository.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => {
            repository.to_owned()
        }
        Some(_) => format!("docker.io/{repository}"),
        None => format!("docker.io/library/{repository}"),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pinned_only_to_what_can_be_pulled() {
        let digest = "a".repeat(64);
        let sha = |repository: &str| format!("{repository}@sha256:{digest}");
        for (asked, id, expected) in [
            ("ghcr.io/me/app:1", sha("ghcr.io/me/app"), true),
            ("app", sha("docker.io/library/app"), true),
            ("me/app:1", sha("docker-pullable://me/app"), true),
            ("registry:5000/app", sha("registry:5000/app"), true),
            ("ghcr.io/me/app:1", format!("sha256:{digest}"), false),
            ("ghcr.io/me/app:1", sha("docker.io/library/import-2026-01-01"), false),
            ("localhost/app:1", sha("localhost/app"), false),
            ("ghcr.io/me/app:1", "ghcr.io/me/app@sha256:short".to_owned(), false),
            ("ghcr.io/me/app:1", String::new(), false),
        ] {
            assert_eq!(pinned(asked, &id).is_some(), expected, "{asked} as {id}");
        }
        assert_eq!(pinned("me/app", &sha("docker-pullable://me/app")), Some(sha("me/app")));
    }
}
