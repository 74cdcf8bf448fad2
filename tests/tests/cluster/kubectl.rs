//! `kubectl`, as a person would use it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

/// `kubectl` with these arguments and an input; its output, or what it complained about.
pub(crate) fn kubectl(namespace: &str, arguments: &[&str], input: Option<&Value>) -> Result<String, String> {
    let mut child = command(namespace)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("kubectl cannot be started: {e}"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.to_string().as_bytes()).map_err(|e| format!("kubectl takes no input: {e}"))?;
    }
    let output = child.wait_with_output().map_err(|e| format!("kubectl is lost: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

pub(crate) fn command(namespace: &str) -> Command {
    let mut command = Command::new("kubectl");
    command.args(["--namespace", namespace]);
    command
}
