//! How runners' pods end, and what is told of it.

use std::time::Duration;

use flame_actor::backend::{ExitReason, Instance};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fixture::{Parent, running, terminated};
use crate::{error::Cause, error::PodFailure, options::Options};

/// How a joined runner's pod ends when its status becomes this.
async fn end(status: Value, deleted: bool) -> ExitReason {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    parent.server.change(&name, |pod| {
        pod["spec"]["nodeName"] = json!("node-7");
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        pod["status"] = status;
    });
    if deleted {
        parent.server.remove(&name);
    }
    instance.exited().await
}

fn ended(code: i32, reason: &str) -> Value {
    json!({ "phase": "Failed", "containerStatuses": [terminated(code, reason)] })
}

fn disrupted(reason: &str) -> Value {
    let condition =
        json!({ "type": "DisruptionTarget", "status": "True", "reason": reason, "message": "the words" });
    json!({ "phase": "Running", "conditions": [condition], "containerStatuses": [running()] })
}

#[tokio::test(start_paused = true)]
async fn each_way_to_end_is_told_apart() {
    assert_eq!(end(ended(137, "OOMKilled"), false).await, ExitReason::OutOfMemory);
    assert_eq!(end(ended(0, "Completed"), false).await, ExitReason::Exited { code: 0 });
    assert_eq!(end(ended(3, "Error"), false).await, ExitReason::Exited { code: 3 });
    assert_eq!(end(ended(137, "Error"), false).await, ExitReason::Signaled { signal: 9, core: false });
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" });
    assert_eq!(end(evicted, false).await, ExitReason::Evicted { detail: "low on memory".into() });
    let over = json!({ "phase": "Failed", "reason": "DeadlineExceeded" });
    assert_eq!(end(over, false).await, ExitReason::LifeOver);
    let preempted = json!({ "phase": "Failed", "reason": "Preempting", "message": "for a critical pod" });
    assert_eq!(end(preempted, false).await, ExitReason::Preempted { detail: "for a critical pod".into() });
    let words = || "the words".to_owned();
    for (reason, expected) in [
        ("PreemptionByScheduler", ExitReason::Preempted { detail: words() }),
        ("EvictionByEvictionAPI", ExitReason::Evicted { detail: words() }),
        ("DeletionByTaintManager", ExitReason::NodeLost { node: Some("node-7".into()), detail: words() }),
        ("DeletionByPodGC", ExitReason::NodeLost { node: Some("node-7".into()), detail: words() }),
    ] {
        assert_eq!(end(disrupted(reason), true).await, expected);
    }
    let plain = json!({ "phase": "Running", "containerStatuses": [running()] });
    assert!(matches!(end(plain, true).await, ExitReason::Deleted { .. }));
}

#[tokio::test(start_paused = true)]
async fn servers_without_conditions_tell_by_events() {
    for (reason, expected) in [
        ("Preempted", "was preempted: the words"),
        ("TaintManagerEviction", "was lost with its node node-7: the words"),
    ] {
        let parent = Parent::start(Options::default());
        let (instance, name) = parent.joined().await;
        parent.server.add_event(reason, "the words");
        parent.server.change(&name, |pod| {
            pod["spec"]["nodeName"] = json!("node-7");
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        });
        parent.server.remove(&name);
        assert_eq!(instance.exited().await.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn how_it_ended_is_read_before_the_pod_is_deleted() {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    parent.server.set_log("the last words\n");
    // The link is lost first, and the pool ends the runner.
    instance.terminate();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(parent.server.count("DELETE pods"), 0, "it may still say how it ended");
    parent.server.update(&name, ended(137, "OOMKilled"));
    assert_eq!(instance.exited().await, ExitReason::OutOfMemory);
    assert_eq!(instance.log_tail(), ["the last words"]);
    // Then the object goes, and only this one; and whoever hears of the end may end too, and leaves nothing.
    assert!(parent.server.pods().is_empty());
    let uid = "\"uid\":";
    let deletes: Vec<_> =
        parent.server.calls().into_iter().filter(|it| it.starts_with("DELETE pods")).collect();
    assert!(deletes.iter().all(|delete| delete.contains(uid)), "{deletes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_does_not_end_by_itself_is_deleted_and_gone_only_when_it_is() {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    let began = Instant::now();
    instance.terminate();
    instance.terminate();
    parent.server.called("DELETE pods", 1).await;
    assert!(began.elapsed() <= Duration::from_secs(4));
    let delete = parent.server.calls().pop().unwrap();
    assert!(delete.contains("\"gracePeriodSeconds\":5"), "{delete}");
    let early = tokio::time::timeout(Duration::from_secs(100), instance.exited()).await;
    assert!(early.is_err(), "it still runs");
    assert_eq!(parent.server.count("DELETE pods"), 1, "asking twice is the same as asking once");

    instance.kill();
    parent.server.called("DELETE pods", 2).await;
    let delete = parent.server.calls().pop().unwrap();
    assert!(
        delete.contains("\"gracePeriodSeconds\":1"),
        "with a grace of 0 nobody would confirm its end: {delete}"
    );
    parent.server.remove(&name);
    instance.exited().await;
    instance.exited().await;
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_ends_before_it_has_joined_fails_its_boot() {
    let parent = Parent::start(Options::default());
    let instance = parent.boot().await.unwrap();
    let name = parent.server.pods().remove(0);
    parent.server.set_log("the runner could not serve: refused\n");
    parent.server.update(&name, ended(71, "Error"));
    let error = instance.broken().await;
    let failure = PodFailure::find(&error).unwrap();
    assert_eq!(failure.cause, Cause::Ended(ExitReason::Exited { code: 71 }));
    assert_eq!(failure.log_tail, ["the runner could not serve: refused"]);
    assert_eq!(instance.exited().await, ExitReason::Exited { code: 71 });
}
