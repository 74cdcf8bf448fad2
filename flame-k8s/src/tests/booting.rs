//! What a boot makes, when it is tried again, and when it is given up.

use std::{sync::Arc, time::Duration};

use flame_actor::backend::{BootError, Instance, Resources};
use serde_json::json;
use tokio::time::Instant;

use super::{
    fixture::{Parent, order, running, waiting},
    server::{Instead, Server},
};
use crate::{
    error::{Cause, Phase, PodFailure, SetupError},
    options::Options,
};

fn failure(error: &BootError) -> &PodFailure {
    PodFailure::find(error).unwrap_or_else(|| panic!("{error:?} is no failure of a pod"))
}

#[tokio::test(start_paused = true)]
async fn a_boot_makes_one_pod_and_its_ticket_goes_when_it_has_joined() {
    let parent = Parent::start(Options::default());
    let order = order(Duration::from_secs(120));
    let secret = order.ticket.encode().unwrap();
    let key = order.ticket.invitation.credentials.key_der().to_vec();
    let instance = Arc::clone(&parent.cluster).boot(order).await.unwrap();
    let [name] = &*parent.server.pods() else { panic!("one pod") };
    assert_eq!(instance.describe(), format!("pod apps/{name}"));

    let secrets = parent.server.secrets();
    let [made] = &*secrets else { panic!("one Secret") };
    assert_eq!(made["metadata"]["name"], **name);
    assert_eq!(made["immutable"], true);
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "11111111-2222-3333-4444-555555555555");

    // No part of the ticket is in the pod or in anything that is shown.
    let pod = parent.server.pod(name).unwrap().to_string();
    let shown = format!("{pod} {instance:?} {:?}", parent.server.calls());
    for secret in [&secret, &key] {
        let encoded = serde_json::to_value(k8s_openapi::ByteString(secret.clone())).unwrap();
        assert!(!shown.contains(encoded.as_str().unwrap()));
    }

    instance.joined();
    parent.server.called("DELETE secrets", 1).await;
    assert!(parent.server.secrets().is_empty());
    assert_eq!(parent.server.pods().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_ticket_names_the_parents_pod_and_not_a_service() {
    let parent = Parent::start(Options { max_life: Some(Duration::from_secs(3600)), ..Options::default() });
    let _instance = parent.boot().await.unwrap();
    let secrets = parent.server.secrets();
    let data = secrets[0]["data"]["ticket"].clone();
    let data: k8s_openapi::ByteString = serde_json::from_value(data).unwrap();
    let ticket = flame_actor::backend::Ticket::decode(&data.0).unwrap();
    let addresses = ticket.invitation.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(addresses, ["10.1.2.3:4711", "[fd00::3]:4711"]);
    assert_eq!(ticket.life, Some(Duration::from_secs(3600)));
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_makes_no_second_pod() {
    let server = Server::start();
    server.instead("POST pods", Instead::DoneInSilence);
    server.instead("POST secrets", Instead::DoneInSilence);
    let parent = Parent::start_with(server, Options::default());
    let began = Instant::now();
    let instance = parent.boot().await.unwrap();
    assert_eq!(parent.server.pods().len(), 1);
    assert_eq!((parent.server.count("POST pods"), parent.server.count("POST secrets")), (2, 2));
    assert!(began.elapsed() < Duration::from_secs(25), "each call has a limit of its own");
    // It is the same pod, and it is followed.
    let name = parent.server.pods().remove(0);
    parent.server.update(&name, json!({ "phase": "Failed", "reason": "Evicted", "message": "disk" }));
    assert!(instance.exited().await.to_string().contains("disk"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_somebody_else_is_never_taken_for_ours_and_never_deleted() {
    let parent = Parent::start(Options::default());
    let order = order(Duration::from_secs(20));
    let name = crate::manifest::names::pod_name("web-7d9f8b6c5-x2x4z", "thumbs", &order.runner);
    let labels = json!({ "flame.internal/boot": "another", "flame.internal/incarnation": "1" });
    parent.server.add_pod(&name, json!({ "metadata": { "name": name, "labels": labels } }));
    let error = Arc::clone(&parent.cluster).boot(order).await.unwrap_err();
    assert_eq!(failure(&error).cause, Cause::NameTaken);
    parent.server.called("DELETE secrets", 1).await;
    assert!(parent.server.pod(&name).is_some());
    assert_eq!(parent.server.count("DELETE pods"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_waited_for_and_told_as_such_when_the_time_is_over() {
    let full = Instead::Status(403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: pods=5");
    let parent = Parent::start(Options::default());
    for _ in 0..3 {
        parent.server.instead("POST pods", full.clone());
    }
    parent.server.instead("POST pods", Instead::Status(409, "Conflict", "the quota was modified"));
    parent
        .server
        .instead("POST pods", Instead::Status(500, "InternalError", "resource quota evaluation timed out"));
    parent.server.instead("POST pods", Instead::Status(503, "ServiceUnavailable", "etcd"));
    parent.server.instead("POST pods", Instead::Status(429, "TooManyRequests", "slow down"));
    parent.server.instead("POST pods", Instead::Reset);
    let _booted = parent.boot().await.unwrap();
    assert_eq!(parent.server.count("POST pods"), 9);

    for _ in 0..100 {
        parent.server.instead("POST pods", full.clone());
    }
    let began = Instant::now();
    let error = parent.boot().await.unwrap_err();
    assert!(
        matches!(&failure(&error).cause, Cause::Quota { message } if message.contains("pods=5")),
        "{error}"
    );
    assert!(began.elapsed() <= Duration::from_secs(120));
    parent.server.called("DELETE secrets", 1).await;
    assert_eq!(parent.server.secrets().len(), 1, "nothing is left of the second attempt");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_tried_once() {
    for (code, reason, message) in [
        (403, "Forbidden", "pods is forbidden: User cannot create resource"),
        (403, "Forbidden", "violates PodSecurity \"restricted:latest\""),
        (422, "Invalid", "spec.containers[0].image: Required value"),
        (400, "BadRequest", "admission webhook \"w\" denied the request"),
    ] {
        let parent = Parent::start(Options::default());
        parent.server.instead("POST pods", Instead::Status(code, reason, message));
        let began = Instant::now();
        let error = parent.boot().await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(failure(&error).phase, Phase::Created);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(parent.server.count("POST pods"), 1);
        parent.server.called("DELETE secrets", 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_without_time_makes_nothing() {
    let parent = Parent::start(Options::default());
    let error = Arc::clone(&parent.cluster).boot(order(Duration::ZERO)).await.unwrap_err();
    assert!(matches!(error, BootError::DeadlinePassed));
    assert_eq!(parent.server.count("POST"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_whose_name_is_none_fails_at_once_with_all_that_is_known() {
    for reason in ["InvalidImageName", "ErrImageNeverPull"] {
        let parent = Parent::start(Options::default());
        let instance = parent.boot().await.unwrap();
        let name = parent.server.pods().remove(0);
        parent.server.add_event("Failed", "couldn't parse image reference");
        parent.server.change(&name, |pod| {
            pod["spec"]["nodeName"] = json!("node-7");
            pod["status"] = json!({ "containerStatuses": [waiting(reason, "no such image")] });
        });
        let began = Instant::now();
        let error = instance.broken().await;
        let failure = failure(&error);
        assert!(matches!(&failure.cause, Cause::Image { reason: told, .. } if told == reason), "{failure}");
        assert_eq!((failure.phase, failure.node.as_deref()), (Phase::Starting, Some("node-7")));
        for words in ["no such image", "node-7", "couldn't parse image reference", &name] {
            assert!(failure.to_string().contains(words), "{words}: {failure}");
        }
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_made_fails_at_once() {
    for reason in ["CreateContainerConfigError", "CreateContainerError"] {
        let parent = Parent::start(Options::default());
        let instance = parent.boot().await.unwrap();
        let name = parent.server.pods().remove(0);
        parent.server.change(&name, |pod| {
            pod["spec"]["nodeName"] = json!("node-7");
            pod["status"] = json!({ "containerStatuses": [waiting(reason, "secret \"x\" not found")] });
        });
        let error = instance.broken().await;
        assert!(matches!(failure(&error).cause, Cause::Container { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_fails_after_three_back_offs() {
    let parent = Parent::start(Options::default());
    let instance = parent.boot().await.unwrap();
    let name = parent.server.pods().remove(0);
    let see = async |reason: &str| {
        parent.server.change(&name, |pod| {
            pod["spec"]["nodeName"] = json!("node-7");
            pod["status"] = json!({ "containerStatuses": [waiting(reason, "not found")] });
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for _ in 0..2 {
        see("ErrImagePull").await;
        see("ImagePullBackOff").await;
        see("ImagePullBackOff").await;
    }
    let early = tokio::time::timeout(Duration::from_secs(1), instance.broken()).await;
    assert!(early.is_err(), "two back-offs are none too many");
    see("ErrImagePull").await;
    see("ImagePullBackOff").await;
    let error = instance.broken().await;
    assert!(
        matches!(&failure(&error).cause, Cause::Image { reason, .. } if reason == "ImagePullBackOff"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_node_takes_waits_until_its_time_is_over_and_says_why() {
    let parent = Parent::start(Options::default());
    let began = Instant::now();
    let instance = parent.boot().await.unwrap();
    let name = parent.server.pods().remove(0);
    parent.server.add_event("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.");
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" });
    parent.server.update(&name, json!({ "phase": "Pending", "conditions": [condition] }));
    let error = instance.broken().await;
    let (failure, waited) = (failure(&error), began.elapsed());
    assert!(
        matches!(&failure.cause, Cause::Unschedulable { message } if message.contains("0/3 nodes")),
        "{failure}"
    );
    assert_eq!((failure.phase, &failure.node), (Phase::Scheduling, &None));
    assert!(failure.to_string().contains("Insufficient cpu"), "{failure}");
    // Before the pool gives up by itself, and not much before.
    assert!((Duration::from_secs(115)..Duration::from_secs(120)).contains(&waited), "{waited:?}");
    // The pool ends it then: this very pod, and no other of its name.
    let uid = parent.server.pod(&name).unwrap()["metadata"]["uid"].to_string();
    instance.terminate();
    instance.exited().await;
    assert!(parent.server.pods().is_empty());
    let calls = parent.server.calls();
    let delete = calls.iter().find(|call| call.starts_with(&format!("DELETE pods/{name}"))).unwrap();
    assert!(delete.contains(&format!("\"uid\":{uid}")), "{delete}");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_runs_and_never_joins_points_at_the_network() {
    let parent = Parent::start(Options { log_tail: 2, ..Options::default() });
    let instance = parent.boot().await.unwrap();
    let name = parent.server.pods().remove(0);
    parent.server.set_log("one\nno parent answered at [10.1.2.3:4711] (UDP)\n");
    parent.server.change(&name, |pod| {
        pod["spec"]["nodeName"] = json!("node-7");
        pod["status"] = json!({ "phase": "Running", "containerStatuses": [running()] });
    });
    let error = instance.broken().await;
    let failure = failure(&error);
    assert!(matches!(failure.cause, Cause::NotJoined { running: true, .. }), "{failure}");
    for words in ["MTU", "1280", "NetworkPolicy", "node-7"] {
        assert!(failure.to_string().contains(words), "{words}: {failure}");
    }
    assert!(failure.log_tail[1].contains("no parent answered"));
    assert_eq!(instance.log_tail(), failure.log_tail);
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_nobody_waits_for_any_more_leaves_no_pod() {
    let parent = Parent::start(Options::default());
    let instance = parent.boot().await.unwrap();
    assert_eq!(parent.server.pods().len(), 1);
    drop(instance);
    parent.server.called("DELETE pods", 1).await;
    parent.server.called("DELETE secrets", 1).await;
    assert!(parent.server.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_server_refuses_fails_at_the_start_of_the_pool_with_its_words() {
    let parent = Parent::start(Options::default());
    parent
        .server
        .instead("TRY pods", Instead::Status(422, "Invalid", "spec.priorityClassName: no such class"));
    let error = parent.cluster.try_template("thumbs").await.unwrap_err();
    assert!(
        matches!(&error, SetupError::Template { .. }) && error.to_string().contains("no such class"),
        "{error}"
    );

    // What may be otherwise later is no mistake of the template.
    parent.server.instead("TRY pods", Instead::Status(403, "Forbidden", "exceeded quota: pods=5"));
    parent.cluster.try_template("thumbs").await.unwrap();
    parent.server.instead("TRY pods", Instead::Reset);
    parent.cluster.try_template("thumbs").await.unwrap();
    parent.server.set_down(true);
    let error = parent.cluster.try_template("thumbs").await.unwrap_err();
    assert!(matches!(&error, SetupError::Silent { .. }), "{error}");
    assert!(parent.server.pods().is_empty(), "nothing was made");
}

#[tokio::test(start_paused = true)]
async fn what_the_work_asks_for_reaches_the_pod_or_fails_with_what_is_wrong() {
    let parent = Parent::start(Options::default());
    let mut order = order(Duration::from_secs(60));
    order.resources = Resources::builder().cpu(1500).memory(1 << 30).gpus(2).build().unwrap();
    let _instance = Arc::clone(&parent.cluster).boot(order.clone()).await.unwrap();
    let pod = parent.server.pod(&parent.server.pods()[0]).unwrap();
    let resources = &pod["spec"]["containers"][0]["resources"];
    assert_eq!(
        resources["requests"],
        json!({ "cpu": "1500m", "memory": "1073741824", "nvidia.com/gpu": "2" })
    );
    assert_eq!(resources["limits"], json!({ "memory": "1073741824", "nvidia.com/gpu": "2" }));

    order.resources = Resources::builder().other("node", "spot").build().unwrap();
    let error = Arc::clone(&parent.cluster).boot(order).await.unwrap_err();
    assert!(error.to_string().contains("\"spot\" of \"node\""), "{error}");
}
