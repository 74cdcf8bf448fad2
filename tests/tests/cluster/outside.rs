//! A parent that is no pod, such as on a laptop.

use std::{env, net::SocketAddr, process::Command, time::Duration};

use flame_actor::Pool;
use flame_k8s::{KubernetesBackend, label};
use flame_tests::{Add, Counter};
use serde_json::json;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{Log, say},
    work::{SOON, host_name},
};

pub(crate) const CASES: &[Case] =
    &[Case { outside: true, ..case!(a_parent_outside_of_the_cluster_has_its_runners_in_it) }];

mod a_parent_outside_of_the_cluster_has_its_runners_in_it {
    use super::*;

    const POOL: &str = "outside";

    pub(super) async fn parent() {
        let [image, namespace, address] =
            ["IMAGE", "NAMESPACE", "ADDRESS"].map(|name| env::var(name).unwrap());
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        let backend = KubernetesBackend::new().image(image).namespace(namespace).parent_address(address);
        let pool = Pool::builder(POOL).max(1).backend(backend).start().unwrap();
        let counter = pool.place_child(Counter(40)).await.unwrap();
        let sum = counter.send(Add(2)).await.unwrap();
        say("placed", json!({"sum": sum, "host": pool.call(host_name::task()).await.unwrap()}));
        drop(counter);
        pool.stop().await;
        say("stopped", json!({}));
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        // Runners join a parent of their own build only: this executable as it is in the image.
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("parent");
        let strip =
            Command::new("strip").arg("-o").arg(&executable).arg(env::current_exe().unwrap()).status();
        assert!(strip.unwrap().success());
        let mut command = Command::new(executable);
        command.args(["parent", case.name]).envs([
            ("IMAGE", &cluster.image),
            ("NAMESPACE", &cluster.namespace),
            ("ADDRESS", &cluster.reached_at.unwrap().to_string()),
        ]);
        let mut parent = Log::of(case.name, command);
        let placed = parent.says("placed").facts;
        assert_eq!(placed["sum"], 42);
        let runner = placed["host"].as_str().unwrap();
        cluster.pods.until(SOON, "its pod is there, and told to be this machine's", |pods| {
            let parent = pods.get(runner)?.now()["metadata"]["labels"][label::PARENT].as_str()?;
            parent.starts_with("outside-").then_some(())
        });
        parent.says("stopped");
        cluster.until_gone(Duration::from_secs(30), runner);
    }
}
