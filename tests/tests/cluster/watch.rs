//! All that happens to the pods, or another kind of object, of a namespace, as it happens.

use std::{
    collections::BTreeMap,
    io::BufReader,
    process::{Child, ChildStdout, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::kubectl::command;

/// What is seen of all objects, by name. A name is used only once.
pub(crate) type Objects = BTreeMap<String, Object>;

/// The life of an object, as far as it was seen.
#[derive(Debug)]
pub(crate) struct Object {
    versions: Vec<(Instant, Value)>,
    /// When the API server had no such object any more.
    pub(crate) gone: Option<Instant>,
}

impl Object {
    /// Its last version.
    pub(crate) fn now(&self) -> &Value {
        &self.versions.last().expect("an object has a version").1
    }

    pub(crate) fn created(&self) -> Instant {
        self.versions.first().expect("an object has a version").0
    }

    /// When this was first seen of it.
    pub(crate) fn first(&self, is_so: impl Fn(&Value) -> bool) -> Option<Instant> {
        self.versions.iter().find(|(_, version)| is_so(version)).map(|(at, _)| *at)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.gone.is_none()
    }

    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        self.now().pointer("/metadata/ownerReferences/0/uid").is_some_and(|owner| owner == uid)
    }
}

pub(crate) fn is_scheduled(pod: &Value) -> bool {
    pod.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition["type"] == "PodScheduled" && condition["status"] == "True")
    })
}

pub(crate) fn is_running(pod: &Value) -> bool {
    pod.pointer("/status/containerStatuses/0/state/running").is_some()
}

/// Whether its container, which is not started again, has ended.
pub(crate) fn has_ended(pod: &Value) -> bool {
    pod.pointer("/status/containerStatuses/0/state/terminated").is_some()
}

pub(crate) struct Watch {
    seen: Arc<(Mutex<Objects>, Condvar)>,
    kubectl: Mutex<Child>,
}

impl Watch {
    pub(crate) fn start(namespace: &str, kind: &str) -> Result<Self, String> {
        let mut kubectl = command(namespace)
            .args(["get", kind, "--watch", "--output-watch-events", "--output", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("kubectl cannot be started: {e}"))?;
        let stdout = kubectl.stdout.take().ok_or("kubectl has no output")?;
        let seen = Arc::default();
        let to = Arc::clone(&seen);
        thread::spawn(move || follow(stdout, &to));
        Ok(Self { seen, kubectl: Mutex::new(kubectl) })
    }

    /// Waits until this is found in what was seen. Fails the test with what was seen if it takes longer.
    pub(crate) fn until<T>(&self, limit: Duration, what: &str, find: impl Fn(&Objects) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let (seen, changed) = &*self.seen;
        let mut objects = seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&objects) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {limit:?}: {what}. There is {}", summary(&objects));
            (objects, _) = changed.wait_timeout(objects, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Objects> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        let mut kubectl = self.kubectl.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = kubectl.kill();
        let _ = kubectl.wait();
    }
}

fn follow(stdout: ChildStdout, (seen, changed): &(Mutex<Objects>, Condvar)) {
    for event in serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Value>() {
        let Ok(mut event) = event else { return };
        let at = Instant::now();
        let object = event["object"].take();
        let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else { continue };
        let mut objects = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = objects.entry(name.to_owned()).or_insert(Object { versions: Vec::new(), gone: None });
        if event["type"] == "DELETED" {
            known.gone = Some(at);
        }
        known.versions.push((at, object));
        changed.notify_all();
    }
}

fn summary(objects: &Objects) -> String {
    let lines = objects.iter().filter(|(_, object)| object.is_there()).map(|(name, object)| {
        let object = object.now();
        let state = object.pointer("/status/containerStatuses/0/state").unwrap_or(&Value::Null);
        let going = if object["metadata"]["deletionTimestamp"].is_null() { "" } else { ", being deleted" };
        format!("\n  {name}: {}, {state}{going}", object["status"]["phase"])
    });
    let lines: String = lines.collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines }
}
