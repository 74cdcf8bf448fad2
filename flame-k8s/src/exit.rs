//! What a pod's status says: how far it got, what keeps it from starting, how it ended. Pure functions.

use flame_actor::backend::ExitReason;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Event, Pod, PodCondition};

use crate::{
    error::{Cause, Phase},
    manifest::CONTAINER,
};

/// What is seen of a pod at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) phase: Phase,
    pub(crate) trouble: Option<Trouble>,
    /// Somebody has deleted it.
    pub(crate) deleted: bool,
}

/// What keeps a pod from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It will not start.
    Hopeless(Cause),
    /// Its image could not be pulled, and it will be tried again.
    BackOff(Cause),
    /// It may start any time.
    Waiting(Cause),
}

impl Trouble {
    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Self::Hopeless(cause) | Self::BackOff(cause) | Self::Waiting(cause) => cause,
        }
    }
}

/// Looks at a pod.
pub(crate) fn look(pod: &Pod) -> Look {
    let state = state(pod);
    let phase = if has_ended(pod) {
        Phase::Ended
    } else if state.is_some_and(|state| state.running.is_some()) {
        Phase::Joining
    } else if node(pod).is_some() {
        Phase::Starting
    } else {
        Phase::Scheduling
    };
    let trouble = match phase {
        Phase::Scheduling => unschedulable(pod),
        Phase::Starting => state.and_then(|state| waiting(pod, state)),
        _ => None,
    };
    Look { phase, trouble, deleted: pod.metadata.deletion_timestamp.is_some() }
}

/// The node that a pod runs on.
pub(crate) fn node(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone().filter(|name| !name.is_empty())
}

/// No instruction of the runner runs any more.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded")) || terminated(pod).is_some()
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    state(pod)?.terminated.as_ref()
}

fn state(pod: &Pod) -> Option<&ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)?.state.as_ref()
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == name)
}

fn unschedulable(pod: &Pod) -> Option<Trouble> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    let message = scheduled.message.clone().or_else(|| scheduled.reason.clone()).unwrap_or_default();
    Some(Trouble::Waiting(Cause::Unschedulable { message }))
}

/// Why a container waits, in the kubelet's words.
fn waiting(pod: &Pod, state: &ContainerState) -> Option<Trouble> {
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let message = waiting.message.clone().unwrap_or_default();
    let image = || {
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let runner = containers.iter().find(|container| container.name == CONTAINER);
        runner.and_then(|runner| runner.image.clone()).unwrap_or_default()
    };
    match &*reason {
        "ContainerCreating" | "PodInitializing" => None,
        "InvalidImageName" | "ErrImageNeverPull" => {
            Some(Trouble::Hopeless(Cause::Image { image: image(), reason, message }))
        }
        "ImagePullBackOff" => Some(Trouble::BackOff(Cause::Image { image: image(), reason, message })),
        "ErrImagePull" | "ImageInspectError" | "RegistryUnavailable" => {
            Some(Trouble::Waiting(Cause::Image { image: image(), reason, message }))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Trouble::Hopeless(Cause::Container { reason, message }))
        }
        _ => Some(Trouble::Waiting(Cause::Container { reason, message })),
    }
}

/// How a pod ended, from the last that was seen of it. `asked` says that its parent deleted it.
pub(crate) fn reason(pod: &Pod, events: &[Event], asked: bool) -> ExitReason {
    let ended = terminated(pod);
    if ended.and_then(|ended| ended.reason.as_deref()) == Some("OOMKilled") {
        return ExitReason::OutOfMemory;
    }
    if let Some(reason) = taken_away(pod, events) {
        return reason;
    }
    if pod.metadata.deletion_timestamp.is_some() && !asked {
        let detail = match ended {
            Some(ended) => format!("somebody deleted its pod; it ended with code {}", ended.exit_code),
            None => "somebody deleted its pod".to_owned(),
        };
        return ExitReason::Deleted { detail };
    }
    match ended {
        Some(ended) => exit_of(ended),
        None if asked => ExitReason::Unknown { detail: "it was terminated before it ran".to_owned() },
        None => ExitReason::Unknown { detail: words_of_status(pod) },
    }
}

/// Kubernetes' own reasons, in the pod's status, its conditions or its events.
fn taken_away(pod: &Pod, events: &[Event]) -> Option<ExitReason> {
    let status = pod.status.as_ref()?;
    let detail = status.message.clone().filter(|message| !message.is_empty());
    let detail = |fallback: &str| detail.clone().unwrap_or_else(|| fallback.to_owned());
    match status.reason.as_deref() {
        Some("DeadlineExceeded") => return Some(ExitReason::LifeOver),
        Some("Preempting") => return Some(ExitReason::Preempted { detail: detail("it was preempted") }),
        Some("NodeLost") => {
            return Some(ExitReason::NodeLost { node: node(pod), detail: detail("NodeLost") });
        }
        Some(reason @ ("Evicted" | "Terminated" | "NodeShutdown" | "Shutdown")) => {
            return Some(ExitReason::Evicted { detail: detail(reason) });
        }
        _ => {}
    }
    let target = condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True");
    if let Some(target) = target {
        let detail = target.message.clone().unwrap_or_default();
        match target.reason.as_deref() {
            Some("PreemptionByScheduler" | "PreemptionByKubeScheduler") => {
                return Some(ExitReason::Preempted { detail });
            }
            Some("DeletionByTaintManager" | "DeletionByPodGC") => {
                return Some(ExitReason::NodeLost { node: node(pod), detail });
            }
            Some("EvictionByEvictionAPI" | "TerminationByKubelet") => {
                return Some(ExitReason::Evicted { detail });
            }
            _ => {}
        }
    }
    // Servers before 1.26 have no such condition.
    let event = events.iter().rev().find_map(|event| {
        let message = event.message.clone().unwrap_or_default();
        match event.reason.as_deref() {
            Some("Preempted") => Some(ExitReason::Preempted { detail: message }),
            Some("TaintManagerEviction") => Some(ExitReason::NodeLost { node: node(pod), detail: message }),
            Some("NodeNotReady") => Some(ExitReason::NodeLost { node: node(pod), detail: message }),
            _ => None,
        }
    });
    event.filter(|_| pod.metadata.deletion_timestamp.is_some())
}

/// The exit of a container. A code above 128 is a signal, as in a shell: Kubernetes does not tell them apart.
fn exit_of(ended: &ContainerStateTerminated) -> ExitReason {
    let signal = ended.signal.filter(|signal| *signal > 0);
    match (signal, ended.exit_code) {
        (Some(signal), _) => ExitReason::Signaled { signal, core: false },
        (None, code @ 129..=192) => ExitReason::Signaled { signal: code - 128, core: false },
        (None, code) => ExitReason::Exited { code },
    }
}

fn words_of_status(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return "its pod is gone".to_owned() };
    match (&status.reason, &status.message) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(words), None) | (None, Some(words)) => words.clone(),
        (None, None) => {
            let phase = status.phase.as_deref().unwrap_or("unknown");
            format!("its pod is gone; it was last seen in the phase {phase}")
        }
    }
}

/// An event in words.
pub(crate) fn words_of(event: &Event) -> String {
    let (reason, message) = (event.reason.as_deref(), event.message.as_deref());
    format!("{}: {}", reason.unwrap_or("?"), message.unwrap_or("").trim())
}
