//! What is left behind, and by whom.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    fixture::{Parent, order},
    server::{Instead, Server},
};
use crate::{manifest::names::pod_name, mark::Mark, options::Options};

fn runner(name: &str, boot: &str) -> Value {
    let labels = json!({ "flame.internal/parent": "11111111-2222-3333-4444-555555555555", "flame.internal/boot": boot });
    json!({ "metadata": { "name": name, "labels": labels }, "status": { "phase": "Pending" } })
}

#[tokio::test(start_paused = true)]
async fn a_restarted_parent_sweeps_what_its_earlier_life_left_and_nobody_elses() {
    let server = Server::start();
    let beside = format!("{:016x}", getrandom::u64().unwrap());
    let mark = Mark::set(&beside).unwrap();
    server.add_pod("left", runner("left", "0000000000000001"));
    server.add_pod("beside", runner("beside", &beside));
    let parent = Parent::start_with(server, Options::default());
    let _instance = parent.boot().await.unwrap();
    parent.server.called("DELETE pods/left", 1).await;
    parent.server.called("DELETE secrets/left", 1).await;
    sleep(Duration::from_secs(200)).await;
    assert_eq!(parent.server.count("DELETE pods"), 1, "{:#?}", parent.server.calls());
    assert_eq!(parent.server.pods().len(), 2);

    // `kubectl exec` beside the app, for one: when it ends, its runners are left behind.
    drop(mark);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(parent.server.count("DELETE pods/beside"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_after_its_boot_was_given_up_is_swept() {
    let parent = Parent::start(Options::default());
    for _ in 0..3 {
        parent.server.instead("POST pods", Instead::Silence);
    }
    let error = Arc::clone(&parent.cluster).boot(order(Duration::from_secs(15))).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 10s"), "{error}");
    parent.server.called("DELETE secrets", 1).await;
    parent.server.add_pod("late", runner("late", &parent.boot));
    parent.server.called("DELETE pods/late", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_comes_after_its_boot_was_given_up_is_deleted() {
    let parent = Parent::start(Options::default());
    for _ in 0..3 {
        parent.server.instead("POST secrets", Instead::Silence);
    }
    let order = order(Duration::from_secs(15));
    let name = pod_name("web-7d9f8b6c5-x2x4z", "thumbs", &order.runner);
    Arc::clone(&parent.cluster).boot(order).await.unwrap_err();
    parent.server.called("DELETE secrets", 1).await;
    assert_eq!(parent.server.count("POST pods"), 0);
    // Only now the server does what it was asked for first.
    sleep(Duration::from_secs(59)).await;
    parent.server.add_secret(&name);
    parent.server.called(&format!("DELETE secrets/{name}"), 2).await;
    assert!(parent.server.secrets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sweeping_goes_on_when_it_has_failed() {
    let server = Server::start();
    server.add_pod("left", runner("left", "0000000000000001"));
    server.instead("LIST pods", Instead::Reset);
    server.instead("LIST pods", Instead::Silence);
    server.instead("DELETE pods/left", Instead::Status(500, "InternalError", "no"));
    let parent = Parent::start_with(server, Options::default());
    parent.server.called("DELETE pods/left", 2).await;
    parent.server.called("DELETE secrets/left", 1).await;
    assert!(parent.server.pods().is_empty());
}
