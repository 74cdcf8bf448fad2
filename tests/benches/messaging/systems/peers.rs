//! What others have published: both ends run an executable of the workspace `tests/peers`, which is built only for this.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{CALLEE, CALLER, Callee, System};
use crate::workload::Workload;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");

/// Builds the peers.
///
/// # Errors
///
/// What to tell the user; cargo has said more on standard error.
pub(crate) fn build() -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir"]);
    let status = command.arg(target()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the peers of {MANIFEST} do not build: cargo ended with {status}")),
        Err(error) => Err(format!("the peers of {MANIFEST} do not build: cargo cannot be started: {error}")),
    }
}

/// Whether a peer has a way to do this.
pub(super) fn play(peer: System, workload: Workload) -> bool {
    match workload {
        Workload::Ask | Workload::Ask256 | Workload::Bulk => true,
        // Each request is a stream, and its connections take 512 at a time.
        Workload::Ask1024 => peer != System::Kameo,
        // Without an answer it sends nothing.
        Workload::Tell => peer != System::Tarpc,
        _ => false,
    }
}

/// Has the peer's caller take the orders of this process, on the CPU that this process has taken.
pub(super) fn call(peer: System) {
    let mut callee = Callee::spawn(peer);
    let ticket = callee.line();
    let status = Command::new(executable()).args([CALLER, peer.name(), &ticket]).status();
    assert!(status.expect("the peers' executable").success(), "{}", peer.name());
}

/// Becomes the peer's callee, on the CPU that this process has taken.
pub(super) fn serve(peer: System) {
    let error = Command::new(executable()).args([CALLEE, peer.name()]).exec();
    panic!("{}: {error}", executable().display());
}

fn executable() -> PathBuf {
    target().join("release/flame-peers")
}

/// Beside what this executable was built into, which is `TARGET/PROFILE/deps`.
fn target() -> PathBuf {
    let executable = env::current_exe().expect("this executable");
    executable.ancestors().nth(3).map_or_else(|| Path::new("target").into(), |target| target.join("peers"))
}
