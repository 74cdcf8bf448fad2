//! The Secret that carries a runner's ticket.

use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::Runner;
use crate::home::Home;

/// The ticket's key in the Secret, and its file's name in the runner's pod.
pub(super) const KEY: &str = "ticket";

/// An immutable Secret of the pod's name, owned by the parent's pod, so that one that is left behind goes with it.
pub(crate) fn secret(home: &Home, runner: &Runner<'_>, ticket: Vec<u8>) -> Secret {
    let owner = home.owner.clone().map(|owner| OwnerReference { controller: None, ..owner });
    Secret {
        metadata: ObjectMeta {
            name: Some(runner.name.to_owned()),
            namespace: Some(home.namespace.clone()),
            labels: Some(runner.labels(home)),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some([(KEY.to_owned(), ByteString(ticket))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
