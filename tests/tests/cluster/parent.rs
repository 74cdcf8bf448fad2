//! A parent: how it speaks in its pod, and how a test hears it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use flame_actor::{Pool, PoolBuilder};
use flame_k8s::KubernetesBackend;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    case::Case,
    cluster::Cluster,
    kubectl::command,
    watch::{Object, has_ended, is_running},
};

/// The parent's process.
pub(crate) fn run(case: Option<&Case>) -> ExitCode {
    let Some(case) = case else { return ExitCode::FAILURE };
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    actix::System::new().block_on((case.parent)());
    ExitCode::SUCCESS
}

/// A second process in a parent's container, which kills the first.
pub(crate) fn kill(process: &str) -> ExitCode {
    let process = process.parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(process, Signal::KILL).expect("it may be killed");
    ExitCode::SUCCESS
}

/// In the parent: a pool of one pod at most, with a backend that is told nothing.
pub(crate) fn pool(name: &str) -> PoolBuilder {
    Pool::builder(name).max(1).backend(KubernetesBackend::new())
}

/// In the parent: tells the test.
pub(crate) fn say(event: &str, facts: Value) {
    println!("{}", json!({"event": event, "facts": facts}));
}

/// How long a test waits for what a parent says, at most; a boot is among it.
const HEARING: Duration = Duration::from_secs(180);

/// In the test: a parent's pod, which is deleted in the end.
pub(crate) struct Parent<'a> {
    cluster: &'a Cluster,
    pub(crate) name: String,
    uid: String,
    log: Log,
}

/// Something that a parent said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) at: Instant,
    pub(crate) facts: Value,
}

impl<'a> Parent<'a> {
    /// Starts the case's parent.
    pub(crate) fn start(cluster: &'a Cluster, case: &Case) -> Self {
        Self::start_as(cluster, case, |_| ())
    }

    /// The same, with changes to its pod.
    pub(crate) fn start_as(cluster: &'a Cluster, case: &Case, change: impl FnOnce(&mut Value)) -> Self {
        let name = case.pod();
        let mut pod = cluster.pod(&name, &["parent", case.name]);
        change(&mut pod);
        cluster.create(&pod);
        let uid = cluster.pods.until(HEARING, "the parent's container is started", |pods| {
            let pod = pods.get(&name)?;
            let started = pod.first(|pod| is_running(pod) || has_ended(pod)).is_some();
            started.then(|| pod.now()["metadata"]["uid"].as_str().map(str::to_owned))?
        });
        Self { cluster, log: Log::of_pod(cluster, &name), uid, name }
    }

    /// Waits for the parent to say this. What it says before is skipped.
    pub(crate) fn says(&mut self, event: &str) -> Said {
        self.log.says(event)
    }

    /// Waits until the kubelet has started the container once more, and hears that one.
    pub(crate) fn is_started_again(&mut self) {
        self.cluster.pods.until(HEARING, "the container is started again", |pods| {
            let pod = pods.get(&self.name)?.now();
            let starts = pod.pointer("/status/containerStatuses/0/restartCount")?.as_u64()?;
            (starts > 0 && is_running(pod)).then_some(())
        });
        self.log = Log::of_pod(self.cluster, &self.name);
    }

    /// The names of its runners' pods that this is so of, once there are so many of them.
    pub(crate) fn runners(
        &self,
        limit: Duration,
        count: usize,
        is_so: impl Fn(&Object) -> bool,
    ) -> Vec<String> {
        self.cluster.pods.until(limit, &format!("{count} such runners of {}", self.name), |pods| {
            let mine = pods.iter().filter(|(_, pod)| pod.is_owned_by(&self.uid) && is_so(pod));
            let names: Vec<String> = mine.map(|(name, _)| name.clone()).collect();
            (names.len() == count).then_some(names)
        })
    }

    /// Waits until nothing is left of its runners: no pod, no Secret.
    pub(crate) fn has_no_runner(&self, limit: Duration) {
        self.runners(limit, 0, Object::is_there);
        self.cluster.secrets.until(limit, "its runners' Secrets are gone", |secrets| {
            secrets.values().all(|secret| !secret.is_there() || !secret.is_owned_by(&self.uid)).then_some(())
        });
    }
}

impl Drop for Parent<'_> {
    fn drop(&mut self) {
        self.cluster.delete_pod(&self.name);
    }
}

/// What a parent prints, line by line, as it does.
pub(crate) struct Log {
    name: String,
    /// The parent, or whoever passes on what it prints.
    process: Child,
    lines: mpsc::Receiver<(Instant, String)>,
    heard: Vec<String>,
}

impl Log {
    fn of_pod(cluster: &Cluster, pod: &str) -> Self {
        let mut kubectl = command(&cluster.namespace);
        kubectl.args(["logs", "--follow", pod]);
        Self::of(pod, kubectl)
    }

    /// Starts this, which is ended with the log.
    pub(crate) fn of(name: &str, mut command: Command) -> Self {
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it can be started");
        let stdout = process.stdout.take().expect("it has an output");
        let (to, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if to.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { name: name.to_owned(), process, lines, heard: Vec::new() }
    }

    /// Waits for this to be said. What is said before is skipped.
    pub(crate) fn says(&mut self, event: &str) -> Said {
        let end = Instant::now() + HEARING;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.lines.recv_timeout(left) else {
                panic!("{} has not said {event:?}", self.name);
            };
            let said = serde_json::from_str::<Value>(&line).unwrap_or_default();
            self.heard.push(line);
            if said["event"] == event {
                return Said { at, facts: said["facts"].clone() };
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if thread::panicking() {
            self.heard.extend(self.lines.try_iter().map(|(_, line)| line));
            eprintln!("{} said:\n{}", self.name, self.heard.join("\n"));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
