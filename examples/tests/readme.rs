//! The README's first app is the one in `src/bin/first.rs`, and it works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::{Command, Stdio};

#[test]
fn the_readme_shows_the_first_app_as_it_is() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let app = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/first.rs")).unwrap();
    let shown = readme.split("<!-- first -->\n```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let code: String = app.split_inclusive('\n').skip_while(|line| line.starts_with("//!")).collect();
    assert_eq!(shown.map(str::trim), Some(code.trim()));
}

#[test]
fn the_first_app_reaches_its_counter_in_another_process() {
    let output = Command::new(env!("CARGO_BIN_EXE_first")).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("numbers-1 says 42"), "{text}");
    let mut processes = text.split("process ").nth(1).unwrap().split(", the runner is ");
    let (parent, runner) = (processes.next().unwrap(), processes.next().unwrap().trim());
    assert_ne!(parent, runner, "{text}");
}
