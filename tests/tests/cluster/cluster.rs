//! The cluster, and the namespace in it that these tests have made.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{kubectl::kubectl, watch::Watch};

pub(crate) struct Cluster {
    pub(crate) namespace: String,
    /// An image of this executable.
    pub(crate) image: String,
    /// Where pods reach this machine, if they do.
    pub(crate) reached_at: Option<IpAddr>,
    pub(crate) pods: Watch,
    pub(crate) secrets: Watch,
}

/// The manifests that flame-k8s ships, applied as they are.
pub(crate) const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../flame-k8s/manifests");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");

impl Cluster {
    /// The cluster that `KUBECONFIG` names, with a new namespace; or why there is none.
    pub(crate) fn find() -> Result<Arc<Self>, String> {
        let config = env::var("KUBECONFIG")
            .map_err(|_| "KUBECONFIG is not set (tests/cluster/README.md tells how to start a cluster)")?;
        kubectl("default", &["get", "--raw", "/readyz"], None)?;
        let own = config == own_config();
        let image = match env::var("FLAME_TEST_IMAGE") {
            Ok(image) => image,
            Err(_) if own => load_image()?,
            Err(_) => {
                return Err(
                    "FLAME_TEST_IMAGE names no image of this executable that the cluster can pull".to_owned()
                );
            }
        };
        let reached_at = match env::var("FLAME_TEST_ADDRESS") {
            Ok(address) => {
                Some(address.parse().map_err(|e| format!("FLAME_TEST_ADDRESS is {address}: {e}"))?)
            }
            Err(_) => own.then_some(OWN_HOST),
        };
        let namespace = format!("flame-tests-{}", process::id());
        kubectl("default", &["create", "namespace", &namespace], None)?;
        let cluster = Self {
            pods: Watch::start(&namespace, "pods")?,
            secrets: Watch::start(&namespace, "secrets")?,
            image,
            reached_at,
            namespace,
        };
        cluster.kubectl(&["apply", "--filename", &format!("{MANIFESTS}/rbac.yaml")]);
        Ok(Arc::new(cluster))
    }

    /// Runs `kubectl` in the namespace; fails the test if it fails.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.namespace, arguments, None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn create(&self, object: &Value) {
        kubectl(&self.namespace, &["create", "--filename", "-"], Some(object))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Asks for the deletion of a pod, as `kubectl delete` does, and does not wait for it.
    pub(crate) fn delete_pod(&self, name: &str) {
        self.kubectl(&["delete", "pod", name, "--wait=false", "--ignore-not-found"]);
    }

    /// A pod of the image with these arguments: what a parent's pod is, and nothing of flame's.
    pub(crate) fn pod(&self, name: &str, arguments: &[&str]) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "serviceAccountName": SERVICE_ACCOUNT,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "app",
                    "image": self.image,
                    "args": arguments,
                    "env": [{"name": "RUST_LOG", "value": "info"}],
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        })
    }

    /// Waits until a pod is deleted and gone.
    pub(crate) fn until_gone(&self, limit: Duration, pod: &str) {
        self.pods.until(limit, &format!("{pod} is gone"), |pods| {
            pods.get(pod).is_none_or(|pod| !pod.is_there()).then_some(())
        });
    }

    /// Removes the namespace with all that is in it; the cluster goes on with that by itself.
    pub(crate) fn remove(&self) {
        self.pods.stop();
        self.secrets.stop();
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

/// The account of `manifests/rbac.yaml`.
pub(crate) const SERVICE_ACCOUNT: &str = "flame-parent";

/// This machine, as the pods of our own cluster see it: `host_ip` of `tests/cluster/lib.sh`.
const OWN_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1));

/// Where `tests/cluster/up` writes its kubeconfig.
fn own_config() -> String {
    let home = env::var_os("CLUSTER_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache/flame-cluster"),
        PathBuf::from,
    );
    home.join("run/keys/admin.kubeconfig").display().to_string()
}

/// Puts this executable into an image, and that into the node of our cluster.
fn load_image() -> Result<String, String> {
    let executable = env::current_exe().map_err(|e| format!("this executable is not to be found: {e}"))?;
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let file = folder.path().join("image.tar");
    let name = format!("localhost/flame-tests:{}", process::id());
    script("image", &[&file, Path::new(&name), &executable])?;
    script("load", &[&file])?;
    Ok(name)
}

fn script(name: &str, arguments: &[&Path]) -> Result<(), String> {
    let output = Command::new(Path::new(SCRIPTS).join(name))
        .args(arguments)
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
