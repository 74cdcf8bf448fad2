//! Parents that end: nothing of theirs stays.

use std::{env, process, time::Duration};

use flame_tests::Counter;
use futures_util::future;
use serde_json::{Value, json};

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, Said, say},
    watch::{Object, has_ended, is_running},
};

pub(crate) const CASES: &[Case] = &[
    case!(a_deleted_parent_pod_takes_its_runners_with_it),
    case!(the_runners_of_a_killed_container_end_by_themselves),
    case!(a_restarted_parent_sweeps_what_an_earlier_boot_left),
];

mod a_deleted_parent_pod_takes_its_runners_with_it {
    use super::*;

    pub(super) async fn parent() {
        place_two_and_stay().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start(cluster, case);
        parent.says("placed");
        parent.runners(SOON, 2, |pod| pod.is_there() && is_running(pod.now()));
        cluster.delete_pod(&parent.name);
        cluster.until_gone(Duration::from_secs(60), &parent.name);
        parent.has_no_runner(Duration::from_secs(60));
    }
}

mod the_runners_of_a_killed_container_end_by_themselves {
    use super::*;

    pub(super) async fn parent() {
        place_two_and_stay().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start_as(cluster, case, killable);
        let placed = parent.says("placed");
        let runners = parent.runners(SOON, 2, |pod| pod.is_there() && is_running(pod.now()));
        kill(cluster, &parent, &placed);
        // Nobody is there who could tell them to end, and the pod that owns them still is.
        let ended = parent.runners(FAIL_SAFE, 2, |pod| has_ended(pod.now()));
        assert_eq!(ended, runners);
    }
}

mod a_restarted_parent_sweeps_what_an_earlier_boot_left {
    use super::*;

    pub(super) async fn parent() {
        place_two_and_stay().await;
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        let mut parent = Parent::start_as(cluster, case, |pod| {
            killable(pod);
            pod["spec"]["restartPolicy"] = json!("Always");
        });
        let placed = parent.says("placed");
        // A kubelet of 1.20 never ends a pod that is deleted before it has reported it as running.
        let first = parent.runners(SOON, 2, |pod| pod.is_there() && is_running(pod.now()));
        kill(cluster, &parent, &placed);
        parent.is_started_again();
        parent.says("placed");
        for runner in &first {
            cluster.pods.until(Duration::from_secs(60), "what was left is swept", |pods| {
                let pod = pods.get(runner)?;
                let asked = !pod.now()["metadata"]["deletionTimestamp"].is_null();
                (asked || !pod.is_there()).then_some(())
            });
        }
        for runner in &first {
            // The same kubelet takes more than a minute for one that ends by itself while it is being deleted.
            cluster.until_gone(Duration::from_secs(180), runner);
        }
        // The sweep leaves the runners of this boot alone.
        let second = parent.runners(SOON, 2, Object::is_there);
        assert!(second.iter().all(|runner| !first.contains(runner)), "{first:?} {second:?}");
    }
}

/// What the cluster shows a moment after the parent has said it.
const SOON: Duration = Duration::from_secs(10);

/// A runner is gone 5 s after its parent; the kubelet, which looks every second, reports it a little later.
const FAIL_SAFE: Duration = Duration::from_secs(15);

async fn place_two_and_stay() {
    let pool = parent::pool("kept").max(2).max_concurrency(1).start().unwrap();
    let children = (pool.place_child(Counter(1)).await.unwrap(), pool.place_child(Counter(2)).await.unwrap());
    say("placed", json!({"executable": env::current_exe().unwrap(), "process": process::id()}));
    future::pending::<()>().await;
    drop(children);
}

/// A container whose main process another process in it may kill: process 1 of a pid namespace it may not.
fn killable(pod: &mut Value) {
    pod["spec"]["shareProcessNamespace"] = json!(true);
}

/// Kills the parent's process, which has said its number.
fn kill(cluster: &Cluster, parent: &Parent<'_>, placed: &Said) {
    let [executable, process] =
        ["executable", "process"].map(|fact| placed.facts[fact].to_string().replace('"', ""));
    cluster.kubectl(&["exec", &parent.name, "--", &executable, "kill", &process]);
}
