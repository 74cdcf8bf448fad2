//! What the user chose by options.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvVar, EnvVarSource, Pod, SecretKeySelector},
    apimachinery::pkg::api::resource::Quantity,
};

use super::container;
use crate::options::{EnvSource, GPU, Options};

pub(super) fn onto(pod: &mut Pod, options: &Options) {
    let runner = container(pod);
    if let Some(image) = &options.image {
        runner.image = Some(image.clone());
    }
    let env = runner.env.get_or_insert_default();
    for (name, source) in &options.env {
        env.retain(|variable| variable.name != *name);
        env.push(variable(name, source));
    }
    let mut limits = options.limits.clone();
    if let Some(gpus) = options.gpus {
        limits.insert(GPU.to_owned(), gpus.to_string());
    }
    if !options.requests.is_empty() || !limits.is_empty() {
        let resources = runner.resources.get_or_insert_default();
        put(&mut resources.requests, &options.requests);
        put(&mut resources.limits, &limits);
    }

    let spec = pod.spec.get_or_insert_default();
    if !options.node_selector.is_empty() {
        spec.node_selector.get_or_insert_default().extend(options.node_selector.clone());
    }
    for toleration in &options.tolerations {
        let tolerations = spec.tolerations.get_or_insert_default();
        if toleration.key.is_some() {
            tolerations.retain(|other| (&other.key, &other.effect) != (&toleration.key, &toleration.effect));
        }
        tolerations.push(toleration.clone());
    }
    if let Some(account) = &options.service_account {
        spec.service_account_name = Some(account.clone());
    }
    pod.metadata.labels.get_or_insert_default().extend(options.labels.clone());
    pod.metadata.annotations.get_or_insert_default().extend(options.annotations.clone());
}

fn variable(name: &str, source: &EnvSource) -> EnvVar {
    let mut variable = EnvVar { name: name.to_owned(), ..EnvVar::default() };
    match source {
        EnvSource::Value(value) => variable.value = Some(value.clone()),
        EnvSource::Secret { name, key } => {
            let (name, key) = (name.clone(), key.clone());
            let secret = SecretKeySelector { name, key, ..SecretKeySelector::default() };
            let source = EnvVarSource { secret_key_ref: Some(secret), ..EnvVarSource::default() };
            variable.value_from = Some(source);
        }
    }
    variable
}

fn put(into: &mut Option<BTreeMap<String, Quantity>>, amounts: &BTreeMap<String, String>) {
    if !amounts.is_empty() {
        let amounts = amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone())));
        into.get_or_insert_default().extend(amounts);
    }
}
