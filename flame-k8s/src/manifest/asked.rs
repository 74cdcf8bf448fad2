//! What the work asks for that the runner is booted for.

use std::collections::BTreeMap;

use flame_actor::backend::Resources;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};

use super::container;
use crate::{
    error::Cause,
    options::{GPU, is_quantity},
};

/// Over what the options say, and under the user's patch.
pub(super) fn onto(pod: &mut Pod, asked: &Resources) {
    if asked.is_empty() {
        return;
    }
    let resources = container(pod).resources.get_or_insert_default();
    let (requests, limits) =
        (resources.requests.get_or_insert_default(), resources.limits.get_or_insert_default());
    if let Some(cpu) = asked.cpu() {
        requests.insert("cpu".to_owned(), Quantity(format!("{cpu}m")));
        // A limit of the parent's might be less. CPU beyond what is asked for is taken from nobody.
        limits.remove("cpu");
    }
    let mut both = |name: &str, amount: String| {
        requests.insert(name.to_owned(), Quantity(amount.clone()));
        limits.insert(name.to_owned(), Quantity(amount));
    };
    if let Some(memory) = asked.memory() {
        // What is not asked for is not there when the node is full: a runner that uses more would be the first to go.
        both("memory", memory.to_string());
    }
    if let Some(gpus) = asked.gpus() {
        both(GPU, gpus.to_string());
    }
    for (name, amount) in asked.others() {
        both(name, amount.to_owned());
    }
    let nothing = |amounts: &BTreeMap<_, _>| amounts.is_empty();
    resources.requests.take_if(|requests| nothing(requests));
    resources.limits.take_if(|limits| nothing(limits));
}

/// Checks that Kubernetes can give what is asked for by name.
pub(crate) fn check(asked: &Resources) -> Result<(), Cause> {
    let known =
        |name: &str| name == "ephemeral-storage" || name.starts_with("hugepages-") || name.contains('/');
    match asked.others().find(|(name, amount)| !known(name) || !is_quantity(amount)) {
        None => Ok(()),
        Some((name, amount)) => Err(Cause::Rejected {
            message: format!(
                "{amount:?} of {name:?} was asked for, and Kubernetes has amounts of ephemeral-storage, hugepages-<size> and \
                 <domain>/<resource> only"
            ),
        }),
    }
}
