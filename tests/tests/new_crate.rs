//! The README's first app, pasted into a new crate as the README says, builds and runs there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[test]
fn the_first_app_works_in_a_new_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let dependencies =
        block(&readme, "<!-- first-dependencies -->\n```toml\n").replace('…', root.to_str().unwrap());
    let app = block(&readme, "<!-- first -->\n```rust\n");

    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"newcomer\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{dependencies}\n[workspace]\n"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    // The versions of this workspace, so that nothing has to be fetched.
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.rs"), app).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", target())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("numbers-1 says 42"), "{said}");
}

/// What stands in the code block that begins so.
fn block<'a>(readme: &'a str, start: &str) -> &'a str {
    readme.split(start).nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

/// The target folder of this very build: most of what the new crate needs is there already.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}
