//! An app that does not know its role boots no copies without end.

use std::fs;

use crate::support::{boot, log_line, runner, start};

crate::tests![
    an_app_without_a_role_line_gets_an_error_and_stays_one_process,
    an_app_without_a_role_line_that_names_itself_stays_at_one_copy,
    a_runner_boots_no_runners,
    a_runners_role_is_given_out_once,
    a_parent_may_ask_for_its_role_again,
    a_copy_that_a_runner_starts_is_no_runner,
];

fn an_app_without_a_role_line_gets_an_error_and_stays_one_process() {
    let log = run_forgetful("forgot");
    let [process, error] = log.as_slice() else { panic!("{log:#?}") };
    assert!(process.starts_with("process "));
    assert!(error.contains("never asked for its role") && error.contains("`main`"), "{error}");
}

fn an_app_without_a_role_line_that_names_itself_stays_at_one_copy() {
    let log = run_forgetful("forgot-and-named");
    let processes = log.iter().filter(|line| line.starts_with("process ")).count();
    assert_eq!(processes, 2, "{log:#?}");
    assert!(log.iter().any(|line| line.contains("never asked for its role")), "{log:#?}");
}

/// What the processes of the app wrote in its one log, to the end of the last.
fn run_forgetful(actor: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let output = start(&[actor, log.to_str().unwrap()]).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
}

fn a_runner_boots_no_runners() {
    let instance = boot(&runner(&["boots-runners"]));
    let error = log_line(&instance, "refused");
    assert!(error.contains("itself a runner"), "{error}");
    instance.kill();
}

fn a_runners_role_is_given_out_once() {
    let instance = boot(&runner(&["claims-twice"]));
    let error = log_line(&instance, "again");
    assert!(error.contains("asked for twice"), "{error}");
    instance.kill();
}

fn a_parent_may_ask_for_its_role_again() {
    let output = start(&["parent-asks-twice"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "true true\n");
}

fn a_copy_that_a_runner_starts_is_no_runner() {
    let instance = boot(&runner(&["starts-a-copy"]));
    assert_eq!(log_line(&instance, "copy is a runner:"), "false");
    instance.kill();
}
