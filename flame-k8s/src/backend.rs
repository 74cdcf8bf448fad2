//! The backend: its options, and what the pool asks of it.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flame_actor::backend::{Backend, Boot, BootError, BoxFuture, Instance, PrepareError, may_boot};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use serde::Serialize;

use crate::{
    cluster::{Cluster, SETUP},
    error::SetupError,
    network::Network,
    options::{EnvSource, Options, Patch},
};

/// Boots runners as pods. See the [crate](crate) for what such a pod is, and what rights it takes.
///
/// Inside a cluster it needs no options. Outside, [`image`](Self::image), [`namespace`](Self::namespace) and
/// [`parent_address`](Self::parent_address) must be set; the cluster is the one of the kubeconfig.
///
/// Clones of a backend, also those given to several pools, share one connection to the cluster and one watch. It is made
/// when the first of these pools starts, and what is wrong with the options, or is refused by the API server, is that
/// start's error: a [`SetupError`] in [`PoolError::Backend`](flame_actor::PoolError::Backend).
///
/// # Examples
///
/// ```no_run
/// use flame_actor::Pool;
/// use flame_k8s::KubernetesBackend;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = KubernetesBackend::new().request("cpu", "500m").limit("memory", "1Gi");
/// let pool = Pool::builder("thumbs").backend(backend).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct KubernetesBackend {
    options: Arc<Options>,
    connection: Arc<Mutex<Option<Connection>>>,
}

#[derive(Clone)]
struct Connection {
    cluster: Arc<Cluster>,
    /// Dropped last: the cluster's work runs on it.
    network: Arc<Network>,
}

impl KubernetesBackend {
    /// Runners are copies of the parent's pod.
    pub fn new() -> Self {
        Self { options: Arc::default(), connection: Arc::default() }
    }

    /// The image that runners run, which must hold the very build that the parent is. Default: that of the parent's pod,
    /// by its digest where that can be pulled.
    pub fn image(self, image: impl Into<String>) -> Self {
        self.with(|options| options.image = Some(image.into()))
    }

    /// The namespace that runners live in. Default: the parent's own, and no other works inside a cluster.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.with(|options| options.namespace = Some(namespace.into()))
    }

    /// The container of the parent's pod that the app runs in. Default: the one that `kubectl` would choose, by its
    /// annotation, else the first.
    pub fn container(self, name: impl Into<String>) -> Self {
        self.with(|options| options.container = Some(name.into()))
    }

    /// Where runners dial the parent (UDP). Port 0 stands for a free port. May be given several times; they are tried in this
    /// order. Default: the parent's pod's addresses.
    pub fn parent_address(self, address: impl Into<SocketAddr>) -> Self {
        self.with(|options| options.parent_addresses.push(address.into()))
    }

    /// How much of a resource a runner is sure to get, as Kubernetes writes it: `request("cpu", "500m")`. Default: what the
    /// parent's container asks for.
    pub fn request(self, resource: impl Into<String>, amount: impl Into<String>) -> Self {
        self.with(|options| drop(options.requests.insert(resource.into(), amount.into())))
    }

    /// How much of a resource a runner may use: `limit("memory", "1Gi")`. Default: the limits of the parent's container.
    pub fn limit(self, resource: impl Into<String>, amount: impl Into<String>) -> Self {
        self.with(|options| drop(options.limits.insert(resource.into(), amount.into())))
    }

    /// How many GPUs (`nvidia.com/gpu`) a runner has.
    pub fn gpus(self, gpus: u32) -> Self {
        self.with(|options| options.gpus = Some(gpus))
    }

    /// A label that a node must have to run runners, beside those that the parent's pod asks for.
    pub fn node_selector(self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|options| drop(options.node_selector.insert(label.into(), value.into())))
    }

    /// A taint that runners tolerate, beside those that the parent's pod tolerates.
    pub fn toleration(self, toleration: Toleration) -> Self {
        self.with(|options| options.tolerations.push(toleration))
    }

    /// The service account of the runners. Its token is not mounted: a runner needs no rights. Default: the namespace's
    /// `default`.
    pub fn service_account(self, name: impl Into<String>) -> Self {
        self.with(|options| options.service_account = Some(name.into()))
    }

    /// Sets an environment variable, over those that the parent's container is given. It can be read by all who may read pods.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|options| options.env.push((name.into(), EnvSource::Value(value.into()))))
    }

    /// Sets an environment variable to what stands under `key` in the Secret `secret`.
    pub fn secret_env(
        self,
        name: impl Into<String>,
        secret: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        let source = EnvSource::Secret { name: secret.into(), key: key.into() };
        self.with(|options| options.env.push((name.into(), source)))
    }

    /// Adds a label to the runners' pods. Those that tell runners apart cannot be set.
    pub fn label(self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|options| drop(options.labels.insert(label.into(), value.into())))
    }

    /// Adds an annotation to the runners' pods.
    pub fn annotation(self, annotation: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|options| drop(options.annotations.insert(annotation.into(), value.into())))
    }

    /// Lays a partial pod over what the options have made, as `kubectl apply` would: a typed [`Pod`], or JSON. The runner's
    /// container is called [`CONTAINER`](crate::CONTAINER). Patches are applied in the order in which they are given.
    ///
    /// Name, owner, identity labels, restart policy and ticket are not changed by it; the security context and the read-only
    /// root are defaults that it may relax.
    ///
    /// # Examples
    ///
    /// ```
    /// use flame_k8s::{CONTAINER, KubernetesBackend};
    /// use serde_json::json;
    ///
    /// let backend = KubernetesBackend::new().pod_patch(json!({
    ///     "spec": {
    ///         "priorityClassName": "batch",
    ///         "containers": [{ "name": CONTAINER, "securityContext": { "readOnlyRootFilesystem": false } }],
    ///     },
    /// }));
    /// # let _ = backend;
    /// ```
    pub fn pod_patch(self, patch: impl Serialize) -> Self {
        self.with(|options| options.patches.push(Patch::partial(patch)))
    }

    /// The same by a function of the pod. It must make the same of the same pod, and is called for each boot and once when a
    /// pool starts.
    pub fn pod_patch_with(self, patch: impl Fn(Pod) -> Pod + Send + Sync + 'static) -> Self {
        self.with(|options| options.patches.push(Patch::Function(Arc::new(patch))))
    }

    /// The user and the group that runners run as. Default: the parent's; outside of a cluster 65532.
    pub fn run_as(self, user: u32, group: u32) -> Self {
        self.with(|options| options.run_as = Some((user, group)))
    }

    /// How long a runner may live. Then it takes no more work and ends when it has finished what it has; Kubernetes ends by
    /// force what has not within the pool's `shutdown_timeout`. At least a second. Default: no limit.
    pub fn max_life(self, life: Duration) -> Self {
        self.with(|options| options.max_life = Some(life))
    }

    /// How many lines of a runner's log an error shows. Default 64, at most 10,000.
    pub fn log_tail(self, lines: usize) -> Self {
        self.with(|options| options.log_tail = lines)
    }

    fn with(mut self, set: impl FnOnce(&mut Options)) -> Self {
        set(Arc::make_mut(&mut self.options));
        // A connection that was made serves the clone with the options of then.
        self.connection = Arc::default();
        self
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> Result<Connection, SetupError> {
        let mut connection = self.connection();
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let network = Network::start().map_err(|source| SetupError::Resources { what: "thread", source })?;
        let connecting = Cluster::connect(Arc::clone(&self.options), network.handle.clone());
        let cluster = network.wait(SETUP, connecting).unwrap_or_else(|| Err(silent()))?;
        let made = Connection { cluster, network: Arc::new(network) };
        Ok(connection.insert(made).clone())
    }

    fn try_to_prepare(&self, pool: &str) -> Result<(), SetupError> {
        self.options.validate()?;
        // An image that was named may be of another executable than this one, such as a test.
        may_boot(self.options.image.is_none()).map_err(SetupError::Role)?;
        let Connection { cluster, network } = self.connect()?;
        let pool = pool.to_owned();
        network.wait(SETUP, async move { cluster.try_template(&pool).await }).unwrap_or_else(|| Err(silent()))
    }
}

fn silent() -> SetupError {
    SetupError::Silent { waited: SETUP, last: "it did not answer at all".to_owned() }
}

impl Default for KubernetesBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for KubernetesBackend {
    fn name(&self) -> &str {
        "kubernetes"
    }

    fn prepare(&self, pool: &str) -> Result<(), PrepareError> {
        self.try_to_prepare(pool).map_err(Into::into)
    }

    fn boot(&self, boot: Boot) -> BoxFuture<Result<Arc<dyn Instance>, BootError>> {
        let connection = self.connection().clone();
        Box::pin(async move {
            let Some(Connection { cluster, network }) = connection else {
                return Err(BootError::other("this backend was not prepared by a pool"));
            };
            // If this future is dropped meanwhile, so is the instance that the task returns, and that ends the pod.
            let booting = network.handle.spawn(async move { cluster.boot(boot).await });
            match booting.await {
                Ok(Ok(instance)) => Ok(instance as Arc<dyn Instance>),
                Ok(Err(error)) => Err(error),
                Err(ended) => Err(BootError::other(ended)),
            }
        })
    }

    fn listen(&self) -> SocketAddr {
        let addresses =
            self.connection().as_ref().map(|connection| connection.cluster.home.addresses.clone());
        listen_at(&addresses.unwrap_or_default())
    }

    /// 120 s: a node may have to come up first.
    fn boot_timeout(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// 60 s: a cluster takes its time, above all with many pods at once.
    fn terminate_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Every address of the machine: those by which runners come need not be the machine's own.
fn listen_at(addresses: &[SocketAddr]) -> SocketAddr {
    let port = addresses.iter().map(SocketAddr::port).find(|port| *port != 0).unwrap_or(0);
    match addresses.iter().any(SocketAddr::is_ipv6) {
        true => (Ipv6Addr::UNSPECIFIED, port).into(),
        false => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

impl fmt::Debug for KubernetesBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesBackend").field("options", &self.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_listens_where_its_runners_dial() {
        let at = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
            listen_at(&addresses).to_string()
        };
        assert_eq!(at(&["10.1.2.3:0"]), "0.0.0.0:0");
        assert_eq!(at(&["10.1.2.3:0", "[fd00::1]:0"]), "[::]:0");
        assert_eq!(at(&["192.0.2.1:4433"]), "0.0.0.0:4433");
    }

    #[test]
    fn a_node_has_time_to_come_up() {
        assert_eq!(KubernetesBackend::new().boot_timeout(), Duration::from_secs(120));
    }

    #[test]
    fn wrong_options_fail_before_anything_is_asked_of_a_cluster() {
        let backend = KubernetesBackend::new().image("app:1").request("cpu", "much");
        let error = backend.prepare("thumbs").unwrap_err();
        assert!(error.to_string().contains("much"), "{error}");
        assert!(backend.connection().is_none());
    }

    #[test]
    fn an_app_without_a_role_line_boots_no_copies_of_itself() {
        let error = KubernetesBackend::new().prepare("thumbs").unwrap_err();
        assert!(error.to_string().contains("flame_actor::runner()"), "{error}");
    }
}
