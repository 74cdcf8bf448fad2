//! What the user chooses, and what is wrong with it.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Pod, Toleration};
use serde::Serialize;
use serde_json::Value;

use crate::manifest::names;

/// The resource by which GPUs are counted.
pub(crate) const GPU: &str = "nvidia.com/gpu";

/// See the methods of [`KubernetesBackend`](crate::KubernetesBackend).
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) image: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) parent_addresses: Vec<SocketAddr>,
    pub(crate) requests: BTreeMap<String, String>,
    pub(crate) limits: BTreeMap<String, String>,
    pub(crate) gpus: Option<u32>,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) service_account: Option<String>,
    pub(crate) env: Vec<(String, EnvSource)>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) patches: Vec<Patch>,
    pub(crate) run_as: Option<(u32, u32)>,
    pub(crate) max_life: Option<Duration>,
    pub(crate) log_tail: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image: None,
            namespace: None,
            container: None,
            parent_addresses: Vec::new(),
            requests: BTreeMap::new(),
            limits: BTreeMap::new(),
            gpus: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            service_account: None,
            env: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            patches: Vec::new(),
            run_as: None,
            max_life: None,
            log_tail: 64,
        }
    }
}

/// Where an environment variable has its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EnvSource {
    Value(String),
    Secret { name: String, key: String },
}

/// A change of the pod that the user wants.
#[derive(Clone)]
pub(crate) enum Patch {
    /// A partial pod, or why it is none.
    Partial(Result<Box<Pod>, String>),
    Function(Arc<dyn Fn(Pod) -> Pod + Send + Sync>),
}

impl Patch {
    /// A partial pod out of anything that looks like one.
    pub(crate) fn partial(patch: impl Serialize) -> Self {
        Self::Partial(read_partial(patch).map(Box::new))
    }
}

fn read_partial(patch: impl Serialize) -> Result<Pod, String> {
    let mut given = serde_json::to_value(patch).map_err(|error| error.to_string())?;
    if let Value::Object(fields) = &mut given {
        fields.remove("apiVersion");
        fields.remove("kind");
        // The one field of a pod's specification that must be there, and that a patch need not have.
        if let Some(Value::Object(spec)) = fields.get_mut("spec") {
            spec.entry("containers").or_insert_with(|| Value::Array(Vec::new()));
        }
    }
    let pod: Pod = serde_json::from_value(given.clone()).map_err(|error| error.to_string())?;
    let kept = serde_json::to_value(&pod).map_err(|error| error.to_string())?;
    match dropped(&given, &kept) {
        Some(path) => Err(format!("a pod has no field {}", path.trim_start_matches('.'))),
        None => Ok(pod),
    }
}

/// The path of something that is in `given` and not in `kept`: a field that is misspelt, or not known.
fn dropped(given: &Value, kept: &Value) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), kept) => {
            given.iter().filter(|(_, value)| !is_empty(value)).find_map(|(key, value)| match kept.get(key) {
                Some(kept) => dropped(value, kept).map(|rest| format!(".{key}{rest}")),
                None => Some(format!(".{key}")),
            })
        }
        (Value::Array(given), kept) => given.iter().enumerate().find_map(|(index, value)| {
            dropped(value, kept.get(index)?).map(|rest| format!("[{index}]{rest}"))
        }),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial(partial) => f.debug_tuple("Partial").field(partial).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

impl Options {
    /// Checks every option that can be checked without a cluster.
    pub(crate) fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: OptionProblem| {
            if !holds {
                problems.push(problem);
            }
        };
        for (option, value) in [
            ("image", &self.image),
            ("namespace", &self.namespace),
            ("service_account", &self.service_account),
        ] {
            require(
                value.as_ref().is_none_or(|value| !value.trim().is_empty()),
                OptionProblem::Empty { option },
            );
        }
        for (name, amount) in self.requests.iter().chain(&self.limits) {
            require(
                is_quantity(amount),
                OptionProblem::Quantity { name: name.clone(), amount: amount.clone() },
            );
        }
        if self.gpus.is_some() {
            let twice = self.requests.contains_key(GPU) || self.limits.contains_key(GPU);
            require(!twice, OptionProblem::GpusTwice);
        }
        for (index, (name, _)) in self.env.iter().enumerate() {
            let reserved = name == flame_actor::backend::RUNNER_VARIABLE;
            require(!reserved, OptionProblem::ReservedVariable { name: name.clone() });
            let well_formed = !name.is_empty() && !name.contains('=') && !name.contains('\0');
            require(well_formed, OptionProblem::VariableName { name: name.clone() });
            let twice = self.env.iter().skip(index + 1).any(|(other, _)| other == name);
            require(!twice, OptionProblem::VariableTwice { name: name.clone() });
        }
        for label in self.labels.keys() {
            require(!names::is_reserved(label), OptionProblem::ReservedLabel { label: label.clone() });
        }
        if let Some(life) = self.max_life {
            require(life >= Duration::from_secs(1), OptionProblem::MaxLife { life });
        }
        require(self.log_tail <= MAX_LOG_TAIL, OptionProblem::LogTail { lines: self.log_tail });
        for address in &self.parent_addresses {
            let reachable = !address.ip().is_loopback() && !address.ip().is_unspecified();
            require(reachable, OptionProblem::ParentAddress { address: *address });
        }
        for patch in &self.patches {
            if let Patch::Partial(Err(why)) = patch {
                require(false, OptionProblem::Patch { why: why.clone() });
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(InvalidOptions { problems }) }
    }
}

/// The most lines of a log that are asked for.
pub(crate) const MAX_LOG_TAIL: usize = 10_000;

/// Whether an amount looks like `250m`, `1.5Gi` or `2`. What is left over the API server finds.
pub(crate) fn is_quantity(amount: &str) -> bool {
    let number = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = amount.get(number.len()..).unwrap_or_default();
    let units = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    units.contains(&unit) && number.parse::<f64>().is_ok_and(|number| number >= 0.0 && number.is_finite())
}

/// Options of a [`KubernetesBackend`](crate::KubernetesBackend) are wrong or at odds: all that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOptions {
    /// What is wrong, in the order of the options.
    pub problems: Vec<OptionProblem>,
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its options are wrong")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{} {problem}", if index == 0 { ':' } else { ';' })?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidOptions {}

/// What is wrong with an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionProblem {
    /// It is there and says nothing.
    #[error("{option} is empty")]
    Empty {
        /// Which option.
        option: &'static str,
    },
    /// Outside of a cluster somebody must say it.
    #[error(
        "{option} must be set outside of a cluster, where there is no pod of the parent's to take it from"
    )]
    Missing {
        /// Which option.
        option: &'static str,
    },
    /// Runners live in their parent's namespace: only there can they be owned by its pod, and go with it.
    #[error(
        "namespace is {asked}, and the parent's own is {own}: runners are owned by their parent, which works in one namespace only"
    )]
    Namespace {
        /// What is set.
        asked: String,
        /// What it must be.
        own: String,
    },
    /// The parent's pod has no such container.
    #[error("container is {name}, and the parent's pod has {}", known.join(", "))]
    Container {
        /// What is set.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An amount is no quantity of Kubernetes.
    #[error("{amount:?} of {name} is no amount: it takes a number and a unit, such as 250m, 2 or 1.5Gi")]
    Quantity {
        /// Of what.
        name: String,
        /// What is set.
        amount: String,
    },
    /// GPUs are asked for in two ways.
    #[error("gpus is set, and nvidia.com/gpu among the requests or limits too: choose one")]
    GpusTwice,
    /// This variable tells a runner what it is.
    #[error("the environment variable {name} is the backend's own")]
    ReservedVariable {
        /// Which.
        name: String,
    },
    /// No environment can have it.
    #[error("{name:?} is no name of an environment variable")]
    VariableName {
        /// Which.
        name: String,
    },
    /// It has two values.
    #[error("the environment variable {name} is set twice")]
    VariableTwice {
        /// Which.
        name: String,
    },
    /// This label tells runners apart.
    #[error("the label {label} is the backend's own")]
    ReservedLabel {
        /// Which.
        label: String,
    },
    /// A runner would end before it has begun.
    #[error("max_life is {life:?}: a runner needs at least a second")]
    MaxLife {
        /// What is set.
        life: Duration,
    },
    /// That much would not fit into an error.
    #[error("log_tail is {lines} lines, and at most {MAX_LOG_TAIL} can be asked for")]
    LogTail {
        /// What is set.
        lines: usize,
    },
    /// No other machine can dial it.
    #[error("parent_address is {address}, where no pod can reach this machine")]
    ParentAddress {
        /// What is set.
        address: SocketAddr,
    },
    /// A partial pod that is none.
    #[error("pod_patch is no partial pod: {why}")]
    Patch {
        /// Why not.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let mut options = Options { gpus: Some(1), log_tail: MAX_LOG_TAIL + 1, ..Options::default() };
        options.image = Some(" ".into());
        options.limits.insert(GPU.into(), "1".into());
        options.requests.insert("cpu".into(), "half".into());
        options.env.push(("FLAME_RUNNER".into(), EnvSource::Value("x".into())));
        options.env.push(("A".into(), EnvSource::Value("x".into())));
        options.env.push(("A".into(), EnvSource::Secret { name: "s".into(), key: "k".into() }));
        options.labels.insert("flame.internal/boot".into(), "mine".into());
        options.max_life = Some(Duration::ZERO);
        options.parent_addresses.push(([127, 0, 0, 1], 0).into());
        options.patches.push(Patch::partial(json!({ "spec": { "contaniers": [{ "name": "x" }] } })));
        let error = options.validate().unwrap_err();
        for words in [
            "image is empty",
            "half",
            "gpus is set",
            "FLAME_RUNNER",
            "variable A is set twice",
            "flame.internal/boot",
            "max_life",
            "log_tail",
            "127.0.0.1",
            "a pod has no field spec.contaniers",
        ] {
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
        assert_eq!(error.problems.len(), 10);
        assert_eq!(Options::default().validate(), Ok(()));
    }

    #[test]
    fn amounts_are_those_of_kubernetes() {
        for good in ["1", "0.5", "250m", "1.5Gi", "2k", "100M"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "m", "-1", "1 Gi", "1gi", "inf", "NaN", "1GB"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn a_partial_pod_may_be_anything_that_looks_like_one() {
        let patch = json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "priorityClassName": "low", "dnsConfig": null } });
        let Patch::Partial(Ok(pod)) = Patch::partial(patch) else { panic!("it is one") };
        assert_eq!(pod.spec.unwrap().priority_class_name.as_deref(), Some("low"));
        for (patch, words) in [
            (
                json!({ "spec": { "containers": [{ "name": "runner", "imagePullPolice": "x" }] } }),
                "spec.containers[0].imagePullPolice",
            ),
            (json!({ "metadata": { "lables": { "a": "b" } } }), "metadata.lables"),
            (json!("pod"), "invalid type"),
        ] {
            let Patch::Partial(Err(why)) = Patch::partial(patch) else { panic!("{words} is known") };
            assert!(why.contains(words), "{why}");
        }
    }
}
