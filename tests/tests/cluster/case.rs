//! A case: what a parent does in its pod, and what is seen of it from outside.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, RwLock},
};

use libtest_mimic::Trial;

use crate::cluster::Cluster;

pub(crate) struct Case {
    /// The promise.
    pub(crate) name: &'static str,
    /// Runs in the parent, which is a pod unless it is `outside`.
    pub(crate) parent: fn() -> Pin<Box<dyn Future<Output = ()>>>,
    /// Runs outside.
    pub(crate) test: fn(&Cluster, &Case),
    /// Whether it measures, and wants the node for itself.
    pub(crate) alone: bool,
    /// Whether its parent is no pod, so that pods must reach this machine.
    pub(crate) outside: bool,
}

/// The name of a module with `parent` and `test` as a case.
macro_rules! case {
    ($name:ident) => {
        crate::case::Case {
            name: stringify!($name),
            parent: || Box::pin($name::parent()),
            test: $name::test,
            alone: false,
            outside: false,
        }
    };
}
pub(crate) use case;

static NODE: RwLock<()> = RwLock::new(());

impl Case {
    /// What a pod of it is called.
    pub(crate) fn pod(&self) -> String {
        // A pod's name is a DNS label, and a runner's begins with 40 characters of its parent's.
        let mut name = self.name.replace('_', "-");
        name.truncate(40);
        name.trim_end_matches('-').to_owned()
    }

    pub(crate) fn trial(&'static self, cluster: Result<Arc<Cluster>, String>) -> Trial {
        let skipped = cluster.as_ref().map_or(true, |cluster| self.outside && cluster.reached_at.is_none());
        let run = move || {
            let cluster = cluster?;
            // A case that failed poisons the lock, and spoils nothing that it guards.
            if self.alone {
                let _node = NODE.write();
                (self.test)(&cluster, self);
            } else {
                let _node = NODE.read();
                (self.test)(&cluster, self);
            }
            Ok(())
        };
        Trial::test(self.name, run).with_ignored_flag(skipped)
    }
}
