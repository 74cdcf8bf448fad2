//! An API server in memory: pods and Secrets, watches on the pods, and the failures that a test asks for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower_test::mock::{self, SendResponse};

type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// What a call is answered with instead of what it asks for.
#[derive(Debug, Clone)]
pub(super) enum Instead {
    /// Nothing ever; the server has done it all the same.
    DoneInSilence,
    /// Nothing ever.
    Silence,
    /// The connection is reset.
    Reset,
    /// This status.
    Status(u16, &'static str, &'static str),
}

#[derive(Clone)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    client: kube::Client,
    calls: watch::Sender<Vec<String>>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    events: Vec<Value>,
    log: String,
    version: u64,
    watchers: Vec<mpsc::UnboundedSender<Value>>,
    /// What the next calls of a kind are answered with.
    instead: BTreeMap<&'static str, VecDeque<Instead>>,
    /// All calls are reset.
    down: bool,
    /// Changes are not told to those who watch.
    mute: bool,
    unanswered: Vec<SendResponse<Reply>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let (service, mut handle) = mock::pair::<Request<Body>, Reply>();
        let client = kube::Client::new(service, "apps");
        let server = Self { state: Arc::default(), client, calls: watch::Sender::new(Vec::new()) };
        let (state, calls) = (Arc::clone(&server.state), server.calls.clone());
        tokio::spawn(async move {
            handle.allow(u64::MAX >> 8);
            while let Some((request, answer)) = handle.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                serve(&state, &calls, &parts, &body, answer);
            }
        });
        server
    }

    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The calls so far, as `POST pods`, `GET pods/name`, `LIST pods`, `WATCH pods`, with what stands in the body of a delete.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    pub(super) fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|made| made.starts_with(call)).count()
    }

    /// Waits until a call like this was made so many times.
    pub(super) async fn called(&self, call: &str, times: usize) {
        let mut calls = self.calls.subscribe();
        let many = |calls: &Vec<String>| calls.iter().filter(|made| made.starts_with(call)).count() >= times;
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(600), calls.wait_for(many));
        assert!(waiting.await.is_ok(), "{call} was not called {times} times: {:#?}", self.calls());
    }

    pub(super) fn instead(&self, call: &'static str, answer: Instead) {
        lock(&self.state).instead.entry(call).or_default().push_back(answer);
    }

    /// Nothing is reached any more, and watches break off; or all is well again.
    pub(super) fn set_down(&self, down: bool) {
        let mut state = lock(&self.state);
        state.down = down;
        state.watchers.clear();
    }

    /// Whether changes are kept from those who watch.
    pub(super) fn set_mute(&self, mute: bool) {
        lock(&self.state).mute = mute;
    }

    pub(super) fn add_pod(&self, name: &str, pod: Value) {
        let mut state = lock(&self.state);
        let pod = state.admit(pod);
        state.pods.insert(name.to_owned(), pod);
    }

    pub(super) fn add_secret(&self, name: &str) {
        lock(&self.state).secrets.insert(name.to_owned(), json!({ "metadata": { "name": name } }));
    }

    pub(super) fn pod(&self, name: &str) -> Option<Value> {
        lock(&self.state).pods.get(name).cloned()
    }

    pub(super) fn pods(&self) -> Vec<String> {
        lock(&self.state).pods.keys().cloned().collect()
    }

    pub(super) fn secrets(&self) -> Vec<Value> {
        lock(&self.state).secrets.values().cloned().collect()
    }

    pub(super) fn set_log(&self, log: &str) {
        lock(&self.state).log = log.to_owned();
    }

    pub(super) fn add_event(&self, reason: &str, message: &str) {
        let event = json!({ "metadata": {}, "involvedObject": {}, "reason": reason, "message": message });
        lock(&self.state).events.push(event);
    }

    /// Changes a pod's status, and whatever else is given beside it.
    pub(super) fn update(&self, name: &str, status: Value) {
        self.change(name, |pod| pod["status"] = status);
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = lock(&self.state);
        state.version += 1;
        let version = state.version.to_string();
        let pod = state.pods.get_mut(name).unwrap();
        change(pod);
        pod["metadata"]["resourceVersion"] = json!(version);
        let pod = pod.clone();
        state.tell("MODIFIED", pod);
    }

    /// The pod is gone.
    pub(super) fn remove(&self, name: &str) {
        let mut state = lock(&self.state);
        let pod = state.pods.remove(name).unwrap();
        state.tell("DELETED", pod);
    }

    /// Tells all who watch that they have fallen behind.
    pub(super) fn expire_watches(&self) {
        let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version", "status": "Failure" });
        for watcher in lock(&self.state).watchers.drain(..) {
            let _ = watcher.send(json!({ "type": "ERROR", "object": gone }));
        }
    }
}

impl State {
    fn admit(&mut self, mut object: Value) -> Value {
        self.version += 1;
        let meta = &mut object["metadata"];
        if meta.get("uid").is_none() {
            meta["uid"] = json!(format!("uid-{}", self.version));
        }
        meta["resourceVersion"] = json!(self.version.to_string());
        object
    }

    fn tell(&mut self, kind: &str, pod: Value) {
        if !self.mute {
            self.watchers.retain(|watcher| watcher.send(json!({ "type": kind, "object": pod })).is_ok());
        }
    }
}

fn serve(
    state: &Mutex<State>,
    calls: &watch::Sender<Vec<String>>,
    parts: &http::request::Parts,
    body: &[u8],
    answer: SendResponse<Reply>,
) {
    let mut state = lock(state);
    let path = parts.uri.path().trim_start_matches("/api/v1/namespaces/apps/").to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let (resource, name) = match path.split_once('/') {
        Some((resource, name)) => (resource.to_owned(), Some(name.to_owned())),
        None => (path, None),
    };
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let verb = match (parts.method.as_str(), &name) {
        ("GET", None) if query.contains("watch=true") => "WATCH",
        ("GET", None) => "LIST",
        (verb, _) => verb,
    };
    let dry_run = query.contains("dryRun=All");
    let call = match &name {
        Some(name) if verb == "DELETE" => format!("DELETE {resource}/{name} {sent}"),
        Some(name) => format!("{verb} {resource}/{name}"),
        None if dry_run => format!("TRY {resource}"),
        None => format!("{verb} {resource}"),
    };
    let kind = state.instead.keys().copied().find(|kind| call.starts_with(kind));
    let instead = kind.and_then(|kind| state.instead.get_mut(kind)?.pop_front());
    let reply = match instead.clone().or_else(|| state.down.then_some(Instead::Reset)) {
        Some(Instead::Reset) => {
            calls.send_modify(|calls| calls.push(call));
            answer.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            return;
        }
        Some(Instead::Status(code, reason, message)) => status(code, reason, message),
        Some(Instead::Silence) => {
            calls.send_modify(|calls| calls.push(call));
            state.unanswered.push(answer);
            return;
        }
        _ => carry_out(&mut state, verb, &resource, name.as_deref(), sent, dry_run, query),
    };
    calls.send_modify(|calls| calls.push(call));
    match instead {
        Some(Instead::DoneInSilence) => state.unanswered.push(answer),
        _ => answer.send_response(reply),
    }
}

fn carry_out(
    state: &mut State,
    verb: &str,
    resource: &str,
    name: Option<&str>,
    sent: Value,
    dry_run: bool,
    query: &str,
) -> Reply {
    match (verb, resource, name) {
        ("POST", _, None) => {
            let name = sent["metadata"]["name"].as_str().unwrap().to_owned();
            let objects = if resource == "pods" { &state.pods } else { &state.secrets };
            if objects.contains_key(&name) {
                return status(409, "AlreadyExists", "it already exists");
            }
            let made = state.admit(sent);
            if !dry_run && resource == "pods" {
                state.pods.insert(name, made.clone());
                state.tell("ADDED", made.clone());
            } else if !dry_run {
                state.secrets.insert(name, made.clone());
            }
            json(201, &made)
        }
        ("LIST", "pods", None) => {
            let labels = query.split("labelSelector=").nth(1).and_then(|rest| rest.split('&').next());
            let labels =
                labels.unwrap_or_default().replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
            let wanted: Vec<(&str, &str)> =
                labels.split(',').filter_map(|label| label.split_once('=')).collect();
            let fits =
                |pod: &&Value| wanted.iter().all(|(key, value)| pod["metadata"]["labels"][*key] == **value);
            let items: Vec<&Value> = state.pods.values().filter(fits).collect();
            json(
                200,
                &json!({ "metadata": { "resourceVersion": state.version.to_string() }, "items": items }),
            )
        }
        ("LIST", "events", None) => json(200, &json!({ "metadata": {}, "items": state.events })),
        ("WATCH", "pods", None) => {
            let (sender, receiver) = mpsc::unbounded_channel::<Value>();
            state.watchers.push(sender);
            let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
                let line = format!("{}\n", receiver.recv().await?);
                Some((Ok(http_body::Frame::data(Bytes::from(line))), receiver))
            });
            Response::new(StreamBody::new(lines.boxed()).boxed_unsync())
        }
        ("GET", "pods", Some(path)) => match path.strip_suffix("/log") {
            Some(_) => reply(200, Bytes::from(state.log.clone())),
            None => match state.pods.get(path) {
                Some(pod) => json(200, pod),
                None => status(404, "NotFound", "pods not found"),
            },
        },
        ("DELETE", "pods", Some(name)) => match state.pods.get(name) {
            None => status(404, "NotFound", "pods not found"),
            Some(pod) => {
                let uid = &sent["preconditions"]["uid"];
                if !uid.is_null() && *uid != pod["metadata"]["uid"] {
                    return status(409, "Conflict", "the UID in the precondition does not match");
                }
                // What has not begun or has ended goes at once; what runs is asked to.
                let phase = pod["status"]["phase"].as_str().unwrap_or("Pending").to_owned();
                if phase == "Running" {
                    let mut pod = pod.clone();
                    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    state.pods.insert(name.to_owned(), pod.clone());
                    state.tell("MODIFIED", pod.clone());
                    return json(200, &pod);
                }
                let pod = state.pods.remove(name).unwrap();
                state.tell("DELETED", pod.clone());
                json(200, &pod)
            }
        },
        ("DELETE", "secrets", Some(name)) => match state.secrets.remove(name) {
            Some(secret) => json(200, &secret),
            None => status(404, "NotFound", "secrets not found"),
        },
        _ => panic!("{verb} {resource} {name:?} is no call that a parent makes"),
    }
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    json(
        code,
        &json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }),
    )
}

fn json(code: u16, value: &Value) -> Reply {
    reply(code, Bytes::from(value.to_string()))
}

fn reply(code: u16, body: Bytes) -> Reply {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
