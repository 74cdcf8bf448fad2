//! What is made for a runner: a Pod, and a Secret with its ticket. Pure functions.
//!
//! A pod has layers, each over the one before: what every runner's pod is (`defaults`), what is copied from the parent's
//! pod (`copied`), what the user chose (`chosen`), what the work asks for (`asked`), the user's patch, and what must hold in
//! any case (`invariants`).

pub(crate) mod asked;
mod chosen;
mod copied;
mod defaults;
mod invariants;
pub(crate) mod names;
mod secret;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use flame_actor::{NodeId, backend::Resources};
use k8s_openapi::{
    DeepMerge,
    api::core::v1::{Container, Pod, PodSpec},
};

pub(crate) use self::secret::secret;
use crate::{
    home::Home,
    options::{Options, Patch},
};

/// What the runner's container is called.
pub const CONTAINER: &str = "runner";

/// The runner that a pod is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runner<'a> {
    /// The pod's name.
    pub(crate) name: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) node: &'a NodeId,
    /// Which life of the parent boots it.
    pub(crate) boot: &'a str,
    pub(crate) resources: &'a Resources,
    pub(crate) drain: Duration,
    /// How long its boot may take.
    pub(crate) patience: Duration,
}

impl Runner<'_> {
    fn labels(&self, home: &Home) -> BTreeMap<String, String> {
        names::labels(&home.parent, &home.name, self.boot, self.pool, self.node)
    }
}

/// The pod of a runner.
pub(crate) fn pod(options: &Options, home: &Home, runner: &Runner<'_>) -> Pod {
    let mut pod = defaults::pod(options, home, runner);
    if let Some(own) = &home.own {
        copied::onto(&mut pod, own);
    }
    chosen::onto(&mut pod, options);
    asked::onto(&mut pod, runner.resources);
    let mut pod = options.patches.iter().fold(pod, patched);
    invariants::assert(&mut pod, home, runner);
    pod
}

fn patched(mut pod: Pod, patch: &Patch) -> Pod {
    match patch {
        Patch::Partial(Ok(partial)) => pod.merge_from((**partial).clone()),
        // Told when the options were checked.
        Patch::Partial(Err(_)) => {}
        Patch::Function(change) => pod = change(pod),
    }
    pod
}

/// The specification and the runner's container, made if a patch has taken them away.
fn parts(pod: &mut Pod) -> (&mut Option<Vec<k8s_openapi::api::core::v1::Volume>>, &mut Container) {
    let PodSpec { containers, volumes, .. } = pod.spec.get_or_insert_default();
    let index = containers.iter().position(|container| container.name == CONTAINER);
    let index = index.unwrap_or_else(|| {
        containers.insert(0, Container { name: CONTAINER.to_owned(), ..Container::default() });
        0
    });
    (volumes, container_at(containers, index))
}

#[expect(clippy::indexing_slicing, reason = "the index was found in, or made at, this vector")]
fn container_at(containers: &mut [Container], index: usize) -> &mut Container {
    &mut containers[index]
}

/// The runner's container.
fn container(pod: &mut Pod) -> &mut Container {
    parts(pod).1
}
