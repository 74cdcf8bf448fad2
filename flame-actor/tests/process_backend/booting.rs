//! A runner starts and gets what it needs, and nobody else does.

use std::{fs, time::Instant};

use flame_actor::backend::{Backend, BootError, ProcessBackend, Ticket};
use rustix::process::getpgid;

use crate::{
    actors::MARK,
    support::{
        SECRET, boot, boot_error, exit_of, log_line, log_line_of, order, proc_file, runner, start,
        this_executable, ticket, to_pid, wait,
    },
};

crate::tests![
    a_runner_gets_its_ticket_arguments_and_environment,
    the_secret_is_in_neither_arguments_nor_environment,
    a_runner_leads_a_process_group_of_its_own,
    a_runners_standard_input_is_empty,
    what_a_runner_prints_is_in_the_log_and_the_tail_and_never_on_the_parents_output,
    the_tail_is_bounded,
    a_command_may_prepare_something_before_it_becomes_the_app,
    a_runner_is_a_copy_of_the_running_executable_also_after_it_was_deleted,
    a_program_that_is_not_there_is_named_in_the_error,
    a_boot_past_its_deadline_starts_nothing,
    a_ticket_that_does_not_fit_the_pipe_is_an_error,
];

fn a_runner_gets_its_ticket_arguments_and_environment() {
    let instance = boot(&runner(&["report", "a b", "c"]).env("FLAME_TEST_COLOUR", "green"));
    assert_eq!(log_line(&instance, "pool"), "thumbs");
    assert_eq!(log_line(&instance, "secret"), SECRET);
    assert_eq!(log_line(&instance, "args"), r#"["a b", "c"]"#);
    assert_eq!(log_line(&instance, "colour"), "green");
    assert_eq!(instance.describe(), format!("process {}", instance.pid().unwrap()));
    instance.kill();
}

fn the_secret_is_in_neither_arguments_nor_environment() {
    let instance = boot(&runner(&["report"]));
    log_line(&instance, "done");
    let pid = instance.pid().unwrap();
    assert!(proc_file(pid, "environ").contains("FLAME_RUNNER=process:"));
    for place in ["cmdline", "environ"] {
        assert!(!proc_file(pid, place).contains(SECRET), "{place}");
    }
    assert!(!format!("{:?} {instance:?}", order()).contains(SECRET));
    instance.kill();
}

fn a_runner_leads_a_process_group_of_its_own() {
    let instance = boot(&runner(&["report"]));
    assert_eq!(log_line(&instance, "leads-group"), "true");
    let pid = to_pid(instance.pid().unwrap());
    assert_eq!(getpgid(Some(pid)).unwrap(), pid);
    instance.kill();
}

fn a_runners_standard_input_is_empty() {
    let instance = boot(&runner(&["report"]));
    assert_eq!(log_line(&instance, "stdin-ends"), "0");
    instance.kill();
}

fn what_a_runner_prints_is_in_the_log_and_the_tail_and_never_on_the_parents_output() {
    // Room for all: what is read first of the two outputs is not told.
    let instance = boot(&runner(&["chatter"]).log_tail(200));
    exit_of(&instance);
    let tail = instance.log_tail();
    assert!(tail.iter().any(|line| line == "out 99"), "{tail:?}");
    assert!(tail.iter().any(|line| line == "err unfinished"), "{tail:?}");
    let pid = instance.pid().unwrap();
    let (out, err) = (log_line_of(pid, "out 99"), log_line_of(pid, "err one"));
    assert_eq!((out.stream.as_str(), err.stream.as_str()), ("stdout", "stderr"));
    assert_eq!((out.runner.as_str(), out.pool.as_str()), ("thumbs-1", "thumbs"));

    let parent = start(&["parent", "chatter"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&parent.stdout), "exited in order\n");
    assert_eq!(String::from_utf8_lossy(&parent.stderr), "");
}

fn the_tail_is_bounded() {
    let instance = boot(&runner(&["chatter"]).log_tail(3));
    exit_of(&instance);
    assert_eq!(instance.log_tail().len(), 3);
}

fn a_command_may_prepare_something_before_it_becomes_the_app() {
    let executable = this_executable();
    let becomes = format!("FLAME_TEST_COLOUR=blue exec {} {MARK} report", executable.display());
    // In the second one the shell stays in between and waits, as `strace` and `time` do.
    let starts = format!("FLAME_TEST_COLOUR=blue {} {MARK} report; exit 3", executable.display());
    for script in [becomes, starts] {
        let instance = boot(&ProcessBackend::command("sh").args(["-c", &script]));
        assert_eq!(log_line(&instance, "colour"), "blue", "{script}");
        assert_eq!(log_line(&instance, "secret"), SECRET, "{script}");
        instance.kill();
        exit_of(&instance);
    }
}

fn a_runner_is_a_copy_of_the_running_executable_also_after_it_was_deleted() {
    // A link, because a file that was just written may be held open for a moment by a process that another test
    // starts.
    let folder = tempfile::tempdir_in(this_executable().parent().unwrap()).unwrap();
    let app = folder.path().join("app");
    fs::hard_link(this_executable(), &app).unwrap();
    let output = std::process::Command::new(&app).args([MARK, "parent-of-itself"]).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.contains(&format!("secret {SECRET}")), "{output}");
    assert!(output.contains(&format!("name {}", app.display())), "{output}");
}

fn a_program_that_is_not_there_is_named_in_the_error() {
    let error = boot_error(&ProcessBackend::command("/no/such/app"));
    assert_eq!(error.to_string(), "could not start a runner from /no/such/app");
    assert!(matches!(error, BootError::Spawn { .. }), "{error:?}");
}

fn a_boot_past_its_deadline_starts_nothing() {
    let mut order = order();
    order.deadline = Instant::now();
    let error = wait(runner(&["report"]).boot(order)).unwrap_err();
    assert!(matches!(error, BootError::DeadlinePassed), "{error:?}");
}

fn a_ticket_that_does_not_fit_the_pipe_is_an_error() {
    let mut order = order();
    order.ticket = ticket(vec![0; Ticket::MAX_LEN / 2]);
    let error = wait(runner(&["report"]).boot(order)).unwrap_err();
    assert!(matches!(error, BootError::Ticket(_)), "{error:?}");
}
