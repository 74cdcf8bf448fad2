//! Runners of [`flame_actor`] as pods: its pools boot copies of the app's pod, and let them go when there is no work.
//!
//! ```no_run
//! use flame_actor::Pool;
//! use flame_k8s::KubernetesBackend;
//!
//! # #[actix::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! if let Some(runner) = flame_actor::runner() {
//!     runner.serve().await;
//!     return Ok(());
//! }
//! let pool = Pool::builder("thumbs").backend(KubernetesBackend::new()).start()?;
//! # Ok(())
//! # }
//! ```
//!
//! Inside a cluster, this is all. [`Pool::start`](flame_actor::PoolBuilder::start) reads the pod that the app runs in, and
//! has the API server look at a runner's pod without making it (a dry run), so that what it refuses is found there.
//! A parent outside of the cluster (on a laptop, with a kubeconfig) says which image, which namespace, and at which
//! address pods reach it.
//!
//! The app chooses the version of the Kubernetes API that it is built for, as every user of the `kube` crates does:
//! `k8s-openapi = { version = "0.29", features = ["latest"] }` in its `Cargo.toml`.
//!
//! # What a runner's pod is
//!
//! - It is called `<parent>-<pool>-<10 characters>`, and its parent's pod owns it: when that is deleted, so are its runners.
//! - It has the parent's image (by its digest, where that can be pulled), command, arguments, environment, resources, image
//!   pull secrets, node selector, tolerations and affinity; and the ConfigMaps, Secrets, empty folders and projected volumes
//!   that the app's container mounts. It has not the parent's labels, probes, ports, init containers, sidecars, tokens and
//!   claims.
//! - It meets Pod Security "restricted" if the parent does not run as root: no root, no privileges, a read-only root with a
//!   folder for temporary files. [`KubernetesBackend::pod_patch`] can change that.
//! - It runs once, holds no API token, asks autoscalers not to move it, and meshes to leave it alone (they do not carry
//!   UDP).
//! - Its ticket is an immutable Secret in a file that only its group can read. It is deleted when the runner has joined or its
//!   boot has failed.
//! - It dials the parent's pod by its IP, over UDP. A network whose packets have less than 1280 bytes will not do; where the
//!   network drops offloaded packets, [`LinkConfig::with_gso`](flame_actor::LinkConfig::with_gso) switches that off.
//!
//! # How it ends
//!
//! The pool hears of a runner's loss from its link, within seconds. The pod says why:
//! [`ExitReason`](flame_actor::backend::ExitReason) tells out of memory, evicted, preempted, deleted and node lost apart.
//! A pod that does not become a runner gives a [`PodFailure`], which tells image, quota, scheduling and all else apart, how
//! far the pod got, on which node, the last event, and the end of its log. What cannot succeed fails at once; what may is
//! tried until the boot's time, 120 s by default, is over.
//!
//! A runner whose parent is lost ends by itself within seconds, and what a parent's earlier life left behind (its container
//! restarted) is deleted at its start and every minute.
//!
//! # Rights
//!
//! The parent's service account needs the Role in `manifests/rbac.yaml`: pods (create, get, list, watch, delete), their logs
//! (get), Secrets (create, delete) and events (list). Mind that who may create pods can read every Secret of the namespace, by
//! mounting it: give runners a namespace of their own with their parent. A runner needs no rights at all.

mod api;
mod backend;
mod cluster;
mod error;
mod exit;
mod failure;
mod home;
mod instance;
mod manifest;
mod mark;
mod network;
mod options;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;

pub use k8s_openapi;

pub use self::{
    backend::KubernetesBackend,
    error::{Cause, Phase, PodFailure, SetupError},
    manifest::{CONTAINER, names::label},
    options::{InvalidOptions, OptionProblem},
};

/// The `tracing` target of what the backend says.
pub const LOG_TARGET: &str = "flame::k8s";
