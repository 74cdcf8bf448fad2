//! Ends pods that nobody is left for: of an earlier life of the parent, or of a boot that was given up before its pod came.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;

use crate::{
    api::{Pauses, Server},
    error::Phase,
    exit,
    manifest::names::label,
    mark::Mark,
    watch::Watch,
};

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// Who sweeps.
pub(crate) struct Sweep {
    pub(crate) server: Server,
    pub(crate) watch: Arc<Watch>,
    /// The parent's label value.
    pub(crate) parent: String,
    /// This life of it.
    pub(crate) boot: String,
    /// Whether the parent is a pod, so that all its lives can be seen from here.
    pub(crate) in_pod: bool,
}

impl Sweep {
    /// Sweeps now and every minute.
    pub(crate) async fn run(self) {
        let mut pauses = Pauses::new();
        loop {
            match self.server.pods_labelled(&format!("{}={}", label::PARENT, self.parent)).await {
                Ok(pods) => {
                    for pod in pods {
                        self.look_at(&pod).await;
                    }
                    pauses = Pauses::new();
                    tokio::time::sleep(EVERY).await;
                }
                Err(error) => {
                    tracing::warn!(target: crate::LOG_TARGET, %error, "cannot look for pods that were left behind");
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        }
    }

    async fn look_at(&self, pod: &Pod) {
        let (Some(name), Some(uid)) = (&pod.metadata.name, &pod.metadata.uid) else { return };
        if self.is_orphan(pod, name, Mark::is_gone) {
            tracing::info!(target: crate::LOG_TARGET, pod = name, "deleting a runner that was left behind");
            // It has no parent to finish anything for.
            self.server.delete_pod(name, Some(uid), Some(1)).await;
            self.server.delete_secret(name).await;
        }
    }

    fn is_orphan(&self, pod: &Pod, name: &str, is_gone: impl Fn(&str) -> bool) -> bool {
        let boot = pod.metadata.labels.as_ref().and_then(|labels| labels.get(label::BOOT));
        let Some(boot) = boot else { return false };
        if pod.metadata.deletion_timestamp.is_some() {
            return false;
        }
        if *boot == self.boot {
            return !self.watch.is_followed(name);
        }
        // Another machine of the same name may be somebody else's: its runners end by themselves, and only what is
        // left of them is taken away.
        is_gone(boot) && (self.in_pod || exit::look(pod).phase == Phase::Ended)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sweep(in_pod: bool) -> Sweep {
        let (service, _handle) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let server = Server::new(&kube::Client::new(service, "apps"), "apps");
        let watch = Arc::new(Watch::default());
        Sweep { server, watch, parent: "uid".into(), boot: "now".into(), in_pod }
    }

    fn pod(boot: Option<&str>, phase: &str) -> Pod {
        let labels = boot.map(|boot| json!({ label::BOOT: boot }));
        serde_json::from_value(json!({
            "metadata": { "name": "p", "uid": "u", "labels": labels },
            "status": { "phase": phase },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn only_what_nobody_is_left_for_is_swept() {
        let sweep = sweep(true);
        let is_gone = |boot: &str| boot == "old";
        assert!(sweep.is_orphan(&pod(Some("old"), "Running"), "p", is_gone), "an earlier life's");
        assert!(
            !sweep.is_orphan(&pod(Some("beside"), "Running"), "p", is_gone),
            "of a second parent in the pod"
        );
        assert!(!sweep.is_orphan(&pod(None, "Running"), "p", is_gone), "not a runner");
        assert!(sweep.is_orphan(&pod(Some("now"), "Running"), "p", is_gone), "a create that came late");
        let following = sweep.watch.follow("p");
        assert!(!sweep.is_orphan(&pod(Some("now"), "Running"), "p", is_gone), "it is being used");
        drop(following);
        let mut deleted = pod(Some("old"), "Running");
        deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert!(!sweep.is_orphan(&deleted, "p", is_gone), "it goes already");
    }

    #[tokio::test]
    async fn a_parent_outside_of_the_cluster_takes_away_only_what_has_ended() {
        let sweep = sweep(false);
        assert!(!sweep.is_orphan(&pod(Some("old"), "Running"), "p", |_| true));
        assert!(sweep.is_orphan(&pod(Some("old"), "Failed"), "p", |_| true));
    }
}
