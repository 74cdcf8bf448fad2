//! The calls of the API server that a parent makes, each with a time limit.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, LogParams, PostParams, Preconditions},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    error::Cause,
    failure::{Verdict, judge},
    manifest::CONTAINER,
};

/// How long one call may take. The client's own limit is on silence, not on the whole.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// How long a question may take that only explains something.
const EXPLANATION: Duration = Duration::from_millis(1500);
/// How long one line of a log may be in an error, and what all of them are read of.
const LOG_BYTES: i64 = 256 * 1024;

/// What a parent may do in its namespace.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) pods: Api<Pod>,
    secrets: Api<Secret>,
    events: Api<Event>,
}

/// A call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no answer within {CALL:?}")]
    Timeout,
    #[error("{}", words(.0))]
    Kube(kube::Error),
}

impl ApiError {
    fn is_code(&self, code: u16) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == code)
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => {
            let mut words = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let text = cause.to_string();
                if !words.contains(&text) {
                    words = format!("{words}: {text}");
                }
                source = cause.source();
            }
            words
        }
    }
}

async fn limited<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match timeout(CALL, call).await {
        Ok(outcome) => outcome.map_err(ApiError::Kube),
        Err(_) => Err(ApiError::Timeout),
    }
}

impl Server {
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            secrets: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
        }
    }

    pub(crate) async fn pod(&self, name: &str) -> Result<Option<Pod>, ApiError> {
        limited(self.pods.get_opt(name)).await
    }

    pub(crate) async fn create_pod(&self, pod: &Pod) -> Result<Pod, ApiError> {
        limited(self.pods.create(&PostParams::default(), pod)).await
    }

    pub(crate) async fn try_pod(&self, pod: &Pod) -> Result<Pod, ApiError> {
        limited(self.pods.create(&PostParams { dry_run: true, field_manager: None }, pod)).await
    }

    pub(crate) async fn create_secret(&self, secret: &Secret) -> Result<(), ApiError> {
        limited(self.secrets.create(&PostParams::default(), secret)).await.map(drop)
    }

    pub(crate) async fn pods_labelled(&self, selector: &str) -> Result<Vec<Pod>, ApiError> {
        let params = ListParams::default().labels(selector);
        limited(self.pods.list(&params)).await.map(|list| list.items)
    }

    /// Deletes a pod unless another of its name is there, until the server has taken it.
    pub(crate) async fn delete_pod(&self, name: &str, uid: Option<&str>, grace: Option<u32>) {
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::background()
        };
        deleted("pod", name, || limited(self.pods.delete(name, &params))).await;
    }

    /// Deletes a Secret, until the server has done it.
    pub(crate) async fn delete_secret(&self, name: &str) {
        let params = DeleteParams::default();
        deleted("Secret", name, || limited(self.secrets.delete(name, &params))).await;
    }

    /// The events about a pod, the last one last; none if they are not to be had.
    pub(crate) async fn events(&self, uid: &str) -> Vec<Event> {
        let params = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let events = match timeout(EXPLANATION, self.events.list(&params)).await {
            Ok(Ok(events)) => events.items,
            Ok(Err(error)) => {
                tracing::debug!(target: crate::LOG_TARGET, error = words(&error), "no events");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        let mut events = events;
        events.sort_by_key(|event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
            let time = series.or(event.event_time.as_ref()).map(|time| time.0);
            last.max(time).or_else(|| event.first_timestamp.as_ref().map(|time| time.0))
        });
        events
    }

    /// The last lines of a pod's log, or why they are not to be had.
    pub(crate) async fn log(&self, name: &str, lines: usize) -> Vec<String> {
        if lines == 0 {
            return Vec::new();
        }
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            tail_lines: i64::try_from(lines).ok(),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        match timeout(EXPLANATION, self.pods.logs(name, &params)).await {
            Ok(Ok(log)) => log.lines().map(str::to_owned).collect(),
            Ok(Err(error)) => vec![format!("(the log is not to be had: {})", words(&error))],
            Err(_) => vec![format!("(the log is not to be had within {EXPLANATION:?})")],
        }
    }
}

/// Tries until something is gone: nobody else ends it, and it may cost money.
async fn deleted<T, F: Future<Output = Result<T, ApiError>>>(what: &str, name: &str, delete: impl Fn() -> F) {
    let mut pauses = Pauses::new();
    loop {
        match delete().await {
            Ok(_) => return,
            // Not there, or another of the same name.
            Err(error) if error.is_code(404) || error.is_code(409) => return,
            Err(error) if error.is_code(403) || error.is_code(401) => {
                tracing::error!(target: crate::LOG_TARGET, %error, "the parent may not delete the {what} {name}");
            }
            Err(error) => {
                tracing::warn!(target: crate::LOG_TARGET, %error, "cannot delete the {what} {name}; trying again");
            }
        }
        sleep(pauses.next()).await;
    }
}

/// Tries to create something until it is there, it cannot be, or the time is over. `Ok(None)` says that something of
/// that name is there already.
pub(crate) async fn created<T, F: Future<Output = Result<T, ApiError>>>(
    deadline: Instant,
    create: impl Fn() -> F,
) -> Result<Option<T>, Cause> {
    let mut pauses = Pauses::new();
    loop {
        let cause = match create().await {
            Ok(made) => return Ok(Some(made)),
            Err(error) => match judge(&error) {
                Verdict::Exists => return Ok(None),
                Verdict::Fatal(cause) => return Err(cause),
                Verdict::Retry(cause) => cause,
            },
        };
        tracing::debug!(target: crate::LOG_TARGET, %cause, "not created; trying again");
        let pause = pauses.next();
        if Instant::now() + pause >= deadline {
            return Err(cause);
        }
        sleep(pause).await;
    }
}

/// Growing pauses between attempts.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(Duration::from_millis(250))
    }

    /// The next pause: twice the last, up to ten seconds, and up to a quarter more by chance, so that many parents do not
    /// come back at once.
    pub(crate) fn next(&mut self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(10);
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        let chance = getrandom::u32().unwrap_or(0) % 250;
        pause + pause * chance / 1000
    }
}
