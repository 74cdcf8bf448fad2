//! A parent in a pod, and its orders.

use std::{sync::Arc, time::Duration};

use flame_actor::{
    LinkConfig, NodeId,
    backend::{Boot, BootError, Instance, Ticket},
};
use flame_transport::{Authority, Invitation};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::{runtime::Handle, time::Instant};

use super::server::Server;
use crate::{cluster::Cluster, home::Home, instance::PodInstance, options::Options};

/// The pod of a parent that has everything that a pod can have.
pub(crate) fn own_pod() -> Pod {
    serde_json::from_str(include_str!("own_pod.json")).unwrap()
}

pub(crate) fn home(options: &Options) -> Home {
    let mut home = Home::inside(options, own_pod(), (1000, 2000)).unwrap();
    home.temp = "/tmp".into();
    home
}

/// A parent with a server of its own.
pub(super) struct Parent {
    pub(super) server: Server,
    pub(super) cluster: Arc<Cluster>,
    pub(super) boot: String,
}

impl Parent {
    pub(super) fn start(options: Options) -> Self {
        Self::start_with(Server::start(), options)
    }

    pub(super) fn start_with(server: Server, options: Options) -> Self {
        let home = home(&options);
        let boot = format!("{:016x}", getrandom::u64().unwrap());
        let client = server.client();
        let cluster =
            Cluster::start(&client, Arc::new(options), home, boot.clone(), Handle::current()).unwrap();
        Self { server, cluster, boot }
    }

    /// Boots a runner within two minutes.
    pub(super) async fn boot(&self) -> Result<Arc<PodInstance>, BootError> {
        Arc::clone(&self.cluster).boot(order(Duration::from_secs(120))).await
    }

    /// A runner's pod that runs, and whose runner has joined.
    pub(super) async fn joined(&self) -> (Arc<PodInstance>, String) {
        let instance = self.boot().await.unwrap();
        let name = instance.describe().rsplit('/').next().unwrap().to_owned();
        self.server.update(&name, json!({ "phase": "Running", "containerStatuses": [running()] }));
        instance.joined();
        (instance, name)
    }
}

pub(super) fn running() -> serde_json::Value {
    json!({ "name": "runner", "state": { "running": {} }, "image": "", "imageID": "", "ready": true, "restartCount": 0 })
}

pub(super) fn waiting(reason: &str, message: &str) -> serde_json::Value {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    json!({ "name": "runner", "state": state, "image": "", "imageID": "", "ready": false, "restartCount": 0 })
}

pub(super) fn terminated(code: i32, reason: &str) -> serde_json::Value {
    let state = json!({ "terminated": { "exitCode": code, "reason": reason } });
    json!({ "name": "runner", "state": state, "image": "", "imageID": "", "ready": false, "restartCount": 0 })
}

pub(super) fn order(within: Duration) -> Boot {
    let (parent, node) = (NodeId::new("parent").unwrap(), NodeId::new("thumbs-1").unwrap());
    let credentials = Authority::new().unwrap().issue(&parent, &node, within).unwrap();
    let addresses = vec!["127.0.0.1:4711".parse().unwrap()];
    let invitation = Invitation { addresses, parent, node: node.clone(), credentials, valid_for: within };
    let ticket = Ticket::new(invitation, "thumbs", LinkConfig::default());
    Boot::new(node, "thumbs", ticket, (Instant::now() + within).into_std())
}
