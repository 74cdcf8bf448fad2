//! What a parent knows when the API server tells it late, wrongly or not at all.

use std::time::Duration;

use flame_actor::backend::{ExitReason, Instance};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{
    fixture::{Parent, terminated},
    server::Instead,
};
use crate::options::Options;

#[tokio::test(start_paused = true)]
async fn a_lost_delete_event_is_found_out_by_the_next_list() {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    parent.server.called("WATCH pods", 1).await;
    parent.server.set_mute(true);
    parent.server.remove(&name);
    let began = Instant::now();
    instance.exited().await;
    assert!(began.elapsed() <= Duration::from_secs(61), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_older_than_a_pod_does_not_end_it() {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    parent.server.called("WATCH pods", 1).await;
    // For this list alone it is as if the pod were another's.
    parent.server.change(&name, |pod| pod["metadata"]["labels"]["flame.internal/boot"] = json!("hidden"));
    parent.server.called(&format!("GET pods/{name}"), 1).await;
    assert!(timeout(Duration::from_secs(200), instance.exited()).await.is_err(), "it is there");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_has_fallen_behind_begins_anew() {
    let parent = Parent::start(Options::default());
    let (instance, name) = parent.joined().await;
    parent.server.called("WATCH pods", 1).await;
    parent.server.expire_watches();
    // While nobody watches.
    parent
        .server
        .update(&name, json!({ "phase": "Failed", "containerStatuses": [terminated(137, "OOMKilled")] }));
    let began = Instant::now();
    assert_eq!(instance.exited().await, ExitReason::OutOfMemory);
    assert!(began.elapsed() < Duration::from_secs(30), "not only with the next list: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn five_minutes_without_the_api_end_no_runner_and_lose_no_order() {
    let parent = Parent::start(Options::default());
    let (stays, _) = parent.joined().await;
    let (dies, dead) = parent.joined().await;
    let (goes, gone) = parent.joined().await;
    parent.server.called("WATCH pods", 1).await;
    parent.server.set_down(true);
    goes.terminate();
    let all = [stays.exited(), dies.exited(), goes.exited()];
    let [mut stays, mut dies, mut goes] = all;
    for exited in [&mut stays, &mut dies, &mut goes] {
        assert!(
            timeout(Duration::from_secs(100), exited).await.is_err(),
            "nobody can know that it has ended"
        );
    }
    parent
        .server
        .update(&dead, json!({ "phase": "Failed", "containerStatuses": [terminated(137, "OOMKilled")] }));
    parent.server.set_down(false);
    let back = Instant::now();
    assert_eq!(dies.await, ExitReason::OutOfMemory);
    parent.server.called(&format!("DELETE pods/{dead}"), 1).await;
    while parent.server.pod(&gone).unwrap()["metadata"]["deletionTimestamp"].is_null() {
        sleep(Duration::from_millis(100)).await;
        assert!(back.elapsed() < Duration::from_secs(60));
    }
    parent.server.remove(&gone);
    goes.await;
    assert!(timeout(Duration::from_secs(100), stays).await.is_err(), "it runs");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_never_answers_is_given_up() {
    let parent = Parent::start(Options::default());
    parent.server.instead("LIST pods", Instead::Silence);
    parent.server.instead("LIST pods", Instead::Silence);
    let (instance, name) = parent.joined().await;
    sleep(Duration::from_secs(5)).await;
    parent.server.update(&name, json!({ "phase": "Failed", "containerStatuses": [terminated(1, "Error")] }));
    let exit = timeout(Duration::from_secs(120), instance.exited()).await;
    assert_eq!(exit.unwrap(), ExitReason::Exited { code: 1 });
}

#[tokio::test(start_paused = true)]
async fn one_watch_serves_all_runners_and_none_is_there_without_them() {
    let parent = Parent::start(Options::default());
    sleep(Duration::from_secs(300)).await;
    assert_eq!(parent.server.count("WATCH pods"), 0);
    let mut runners = Vec::new();
    for _ in 0..5 {
        runners.push(parent.joined().await);
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(parent.server.count("WATCH pods"), 1);
    sleep(Duration::from_secs(300)).await;
    // Listed again every 45 s.
    assert!((5..=8).contains(&parent.server.count("WATCH pods")), "{}", parent.server.count("WATCH pods"));
}
