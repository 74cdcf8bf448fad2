//! A parent's connection to its cluster: what all pools of a backend share.

use std::{io, sync::Arc, time::Duration};

use flame_actor::{
    NodeId,
    backend::{Boot, BootError, Resources, Ticket},
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    api::{ApiError, Pauses, Server, created},
    error::{Cause, Phase, PodFailure, SetupError},
    failure::{Verdict, judge},
    home::{self, Home},
    instance::{self, PodInstance},
    manifest::{
        self, Runner,
        names::{self, label},
    },
    mark::Mark,
    options::Options,
    sweep::Sweep,
    watch::Watch,
};

/// How long the start of a pool waits for the API server.
pub(crate) const SETUP: Duration = Duration::from_secs(30);
/// How long it waits for the parent's own pod to have an address: the kubelet tells it some time after the start.
const OWN_STATUS: Duration = Duration::from_secs(10);

/// How long a call whose answer did not come may still be carried out, with room: API servers give up after a minute.
const LATE: Duration = Duration::from_secs(70);

/// One life of a parent in its cluster.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) home: Home,
    pub(crate) options: Arc<Options>,
    pub(crate) watch: Arc<Watch>,
    boot: String,
    handle: Handle,
    tasks: [AbortHandle; 2],
    _mark: Mark,
}

impl Cluster {
    /// Finds out where the parent is, and begins to watch its pods. Must run on `handle`'s runtime, which it stays on.
    pub(crate) async fn connect(options: Arc<Options>, handle: Handle) -> Result<Arc<Self>, SetupError> {
        let own = home::own_pod();
        let mut config = match &own {
            Some(_) => kube::Config::incluster().map_err(|error| SetupError::Config(error.into()))?,
            None => kube::Config::infer().await.map_err(|error| SetupError::Config(error.into()))?,
        };
        // What may be tried again, and for how long, is decided call by call.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| SetupError::Config(error.into()))?;
        let home = match own {
            Some((name, namespace)) => {
                let pod = read_own_pod(&Server::new(&client, &namespace), &namespace, &name).await?;
                Home::inside(&options, pod, effective_ids())?
            }
            None => Home::outside(&options)?,
        };
        if options.run_as.unwrap_or(home.ids).0 == 0 {
            tracing::warn!(
                target: crate::LOG_TARGET,
                "the parent runs as root, and so do its runners; run_as(uid, gid) gives them another user, as Pod Security \
                 \"restricted\" demands"
            );
        }
        let boot = getrandom::u64().map_err(|error| no("boot id")(io::Error::other(error)))?;
        Self::start(&client, options, home, format!("{boot:016x}"), handle)
    }

    /// Begins to watch and to sweep.
    pub(crate) fn start(
        client: &Client,
        options: Arc<Options>,
        home: Home,
        boot: String,
        handle: Handle,
    ) -> Result<Arc<Self>, SetupError> {
        let mark = Mark::set(&boot).map_err(no("sign of life"))?;
        let server = Server::new(client, &home.namespace);
        let watch = Arc::new(Watch::default());
        let labels = format!("{}={},{}={boot}", label::PARENT, home.parent, label::BOOT);
        let watching = handle.spawn(Arc::clone(&watch).run(server.pods.clone(), labels));
        let sweep = Sweep {
            server: server.clone(),
            watch: Arc::clone(&watch),
            parent: home.parent.clone(),
            boot: boot.clone(),
            in_pod: home.owner.is_some(),
        };
        let sweeping = handle.spawn(sweep.run());
        let tasks = [watching.abort_handle(), sweeping.abort_handle()];
        Ok(Arc::new(Self { server, home, options, watch, boot, handle, tasks, _mark: mark }))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Has the API server look at a runner's pod without making it.
    pub(crate) async fn try_template(&self, pool: &str) -> Result<(), SetupError> {
        let node = NodeId::new(&format!("{pool}-0")).map_err(|error| no("name")(io::Error::other(error)))?;
        let name = names::pod_name(&self.home.name, pool, &node);
        let minute = Duration::from_secs(60);
        let runner = Runner {
            name: &name,
            pool,
            node: &node,
            boot: &self.boot,
            resources: &Resources::default(),
            drain: minute,
            patience: minute,
        };
        let pod = manifest::pod(&self.options, &self.home, &runner);
        let give_up = Instant::now() + SETUP / 2;
        let mut pauses = Pauses::new();
        loop {
            let error = match self.server.try_pod(&pod).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match judge(&error) {
                Verdict::Exists => return Ok(()),
                Verdict::Retry(Cause::Quota { message }) => {
                    // It is full now, and may have room when a runner is needed.
                    tracing::warn!(target: crate::LOG_TARGET, message, "a quota leaves no room for a runner");
                    return Ok(());
                }
                Verdict::Fatal(cause) => return Err(SetupError::Template { cause }),
                Verdict::Retry(cause) if Instant::now() >= give_up => {
                    return Err(SetupError::Silent { waited: SETUP / 2, last: cause.to_string() });
                }
                Verdict::Retry(_) => sleep(pauses.next()).await,
            }
        }
    }

    /// Boots a runner: a Secret with its ticket, and its pod.
    pub(crate) async fn boot(self: Arc<Self>, boot: Boot) -> Result<Arc<PodInstance>, BootError> {
        let deadline = Instant::from_std(boot.deadline);
        let began = Instant::now();
        if began >= deadline {
            return Err(BootError::DeadlinePassed);
        }
        let name = names::pod_name(&self.home.name, &boot.pool, &boot.runner);
        let ticket = self.ticket(boot.ticket).encode()?;
        let runner = Runner {
            name: &name,
            pool: &boot.pool,
            node: &boot.runner,
            boot: &self.boot,
            resources: &boot.resources,
            drain: boot.drain,
            patience: deadline - began,
        };
        let secret = manifest::secret(&self.home, &runner, ticket);
        let pod = manifest::pod(&self.options, &self.home, &runner);
        // Before anything is there, so that the sweep knows that it is somebody's.
        let following = self.watch.follow(&name);
        let made = match manifest::asked::check(&boot.resources) {
            Ok(()) => self.create(&secret, &pod, deadline).await,
            Err(cause) => Err(cause),
        };
        match made {
            Ok(pod) => Ok(instance::start(self, following, pod, began, deadline, boot.drain)),
            Err(cause) => {
                let ours = cause != Cause::NameTaken;
                let failure = PodFailure {
                    pod: format!("{}/{name}", self.home.namespace),
                    cause,
                    phase: Phase::Created,
                    node: None,
                    last_event: None,
                    log_tail: Vec::new(),
                };
                // The server may have made either all the same, or may do so yet: a pod that comes late the sweep finds by
                // its labels, and a Secret, which no parent may list, is asked for once more by its name.
                self.handle.clone().spawn(async move {
                    if ours {
                        self.server.delete_pod(&name, None, Some(1)).await;
                    }
                    self.server.delete_secret(&name).await;
                    drop(following);
                    sleep(LATE).await;
                    self.server.delete_secret(&name).await;
                });
                Err(BootError::other(failure))
            }
        }
    }

    async fn create(&self, secret: &Secret, pod: &Pod, deadline: Instant) -> Result<Pod, Cause> {
        created(deadline, || self.server.create_secret(secret)).await?;
        let made = created(deadline, || self.server.create_pod(pod)).await?;
        match made {
            Some(made) => Ok(made),
            None => self.existing(pod, deadline).await,
        }
    }

    /// The pod of that name: ours, if an attempt to create it has succeeded and its answer was lost.
    async fn existing(&self, pod: &Pod, deadline: Instant) -> Result<Pod, Cause> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let found = created(deadline, || self.server.pod(name)).await?.flatten();
        let label = |pod: &Pod, key: &str| pod.metadata.labels.as_ref().and_then(|all| all.get(key).cloned());
        let same = |found: &Pod, key| label(found, key).is_some() && label(found, key) == label(pod, key);
        found
            .filter(|found| same(found, label::BOOT) && same(found, label::INCARNATION))
            .ok_or(Cause::NameTaken)
    }

    /// The ticket with the addresses at which pods reach this parent.
    fn ticket(&self, mut ticket: Ticket) -> Ticket {
        let port = ticket.invitation.addresses.first().map_or(0, std::net::SocketAddr::port);
        let mut addresses = self.home.addresses.clone();
        for address in addresses.iter_mut().filter(|address| address.port() == 0) {
            address.set_port(port);
        }
        ticket.invitation.addresses = addresses;
        ticket.life = self.options.max_life;
        ticket
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads the parent's pod, and waits a little until it says where it is reached and what it runs.
async fn read_own_pod(server: &Server, namespace: &str, name: &str) -> Result<Pod, SetupError> {
    let failed =
        |why: String| SetupError::OwnPod { namespace: namespace.to_owned(), name: name.to_owned(), why };
    let give_up = Instant::now() + OWN_STATUS;
    let mut pauses = Pauses::new();
    loop {
        let over = Instant::now() >= give_up;
        match server.pod(name).await {
            Ok(Some(pod)) if over || is_told(&pod) => return Ok(pod),
            Ok(Some(_)) => {}
            Ok(None) => return Err(failed("there is none of that name".to_owned())),
            Err(error) => match judge(&error) {
                Verdict::Retry(_) if !over => {}
                _ => return Err(failed(explained(&error))),
            },
        }
        sleep(pauses.next()).await;
    }
}

/// Whether the kubelet has told where the pod is reached and that it runs.
fn is_told(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let running = |status: &k8s_openapi::api::core::v1::ContainerStatus| {
        status.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    status.pod_ip.is_some() && status.container_statuses.iter().flatten().any(running)
}

fn explained(error: &ApiError) -> String {
    match judge(error) {
        Verdict::Fatal(Cause::Forbidden { message }) => {
            format!("{message} (the parent's Role comes with this crate)")
        }
        _ => error.to_string(),
    }
}

fn effective_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn no(what: &'static str) -> impl FnOnce(io::Error) -> SetupError {
    move |source| SetupError::Resources { what, source }
}
