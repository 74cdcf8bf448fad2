//! Pods that cannot live: what their parent is told.

use std::time::Duration;

use flame_actor::{CallError, backend::ExitReason, task};
use flame_k8s::KubernetesBackend;
use flame_tests::Counter;
use futures_util::future;
use serde_json::json;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, say},
};

pub(crate) const CASES: &[Case] = &[
    case!(a_runner_over_its_memory_limit_is_told_as_out_of_memory),
    case!(an_image_that_nobody_has_fails_the_boot_with_its_name),
    case!(a_runner_that_fits_no_node_fails_the_boot_with_the_schedulers_words),
];

mod a_runner_over_its_memory_limit_is_told_as_out_of_memory {
    use super::*;

    pub(super) async fn parent() {
        let backend = KubernetesBackend::new().limit("memory", "64Mi");
        let pool = parent::pool("hungry").backend(backend).start().unwrap();
        let Err(CallError::RunnerLost(loss)) = pool.call(eat::task(1 << 30)).await else {
            panic!("it has lived")
        };
        say("failed", json!({"exit": format!("{:?}", loss.exit), "error": loss.to_string()}));
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let failed = parent.says("failed").facts;
        assert_eq!(failed["exit"], format!("{:?}", Some(ExitReason::OutOfMemory)));
        assert!(failed["error"].to_string().contains("memory ran out"), "{failed}");
    }

    /// Uses so many bytes of memory.
    #[task]
    async fn eat(bytes: usize) -> u8 {
        let mut eaten = Vec::<u8>::new();
        while eaten.len() < bytes {
            eaten.resize(eaten.len() + (1 << 20), 1);
            tokio::task::yield_now().await;
        }
        eaten.pop().unwrap_or_default()
    }
}

mod an_image_that_nobody_has_fails_the_boot_with_its_name {
    use super::*;

    pub(super) async fn parent() {
        // Long enough for three back-offs, which the node doubles from 10 s.
        fail_to_place(KubernetesBackend::new().image("localhost/nobody/has-this:1"), Duration::from_secs(80))
            .await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let error = parent.says("failed").facts["error"].to_string();
        assert!(error.contains("localhost/nobody/has-this:1"), "{error}");
        assert!(error.contains("ImagePullBackOff") || error.contains("ErrImagePull"), "{error}");
        parent.has_no_runner(Duration::from_secs(60));
    }
}

mod a_runner_that_fits_no_node_fails_the_boot_with_the_schedulers_words {
    use super::*;

    pub(super) async fn parent() {
        fail_to_place(
            KubernetesBackend::new().node_selector("flame.test/nowhere", "true"),
            Duration::from_secs(10),
        )
        .await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        let error = parent.says("failed").facts["error"].to_string();
        assert!(error.contains("nodes are available"), "{error}");
        parent.has_no_runner(Duration::from_secs(60));
    }
}

/// Tells why an actor cannot be placed: the error with its causes.
async fn fail_to_place(backend: KubernetesBackend, boot: Duration) {
    let pool =
        parent::pool("fails").backend(backend).boot_timeout(boot).timeout(boot + boot / 2).start().unwrap();
    let error = pool.place_child(Counter(0)).await.unwrap_err();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |cause| cause.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    // The pool tries again until then; what it is just booting goes too.
    pool.stop().await;
    say("failed", json!({"error": causes}));
    future::pending::<()>().await;
}
