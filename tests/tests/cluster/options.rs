//! What the app and its calls ask for, as the API server has it.

use std::time::Duration;

use flame_actor::backend::Resources;
use flame_k8s::KubernetesBackend;
use futures_util::future;
use serde_json::json;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, say},
    watch::Object,
    work::{SOON, host_name},
};

pub(crate) const CASES: &[Case] = &[
    case!(what_a_call_asks_for_is_what_its_pod_has),
    case!(a_pod_that_the_api_server_refuses_fails_at_the_start_of_the_pool),
];

mod what_a_call_asks_for_is_what_its_pod_has {
    use super::*;

    pub(super) async fn parent() {
        let backend = KubernetesBackend::new().request("cpu", "10m").label("team", "video");
        let pool = parent::pool("asking").max(2).backend(backend).start().unwrap();
        let plain = pool.call(host_name::task()).await.unwrap();
        let asked = Resources::builder().cpu(70).memory(96 << 20).build().unwrap();
        let asked = pool.call(host_name::task()).resources(asked).await.unwrap();
        say("called", json!({"plain": plain, "asked": asked}));
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let called = parent.says("called").facts;
        parent.runners(SOON, 2, Object::is_there);
        let seen = cluster.pods.seen();
        let pod = |call: &str| seen.get(called[call].as_str().unwrap()).unwrap().now();
        let resources = |call: &str| &pod(call)["spec"]["containers"][0]["resources"];
        assert_eq!(resources("plain"), &json!({"requests": {"cpu": "10m"}}));
        let memory = (96 << 20).to_string();
        let asked = json!({"requests": {"cpu": "70m", "memory": memory}, "limits": {"memory": memory}});
        assert_eq!(resources("asked"), &asked);
        assert_eq!(pod("asked")["metadata"]["labels"]["team"], "video");
    }
}

mod a_pod_that_the_api_server_refuses_fails_at_the_start_of_the_pool {
    use super::*;

    pub(super) async fn parent() {
        let backend =
            KubernetesBackend::new().pod_patch(json!({"spec": {"priorityClassName": "nobody-has-this"}}));
        let error = parent::pool("refused").backend(backend).start().expect_err("it is refused");
        say("refused", json!({"error": error.to_string()}));
        future::pending::<()>().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let error = parent.says("refused").facts["error"].to_string();
        // The server's own words.
        assert!(error.contains("no PriorityClass with name nobody-has-this was found"), "{error}");
        parent.has_no_runner(Duration::ZERO);
    }
}
