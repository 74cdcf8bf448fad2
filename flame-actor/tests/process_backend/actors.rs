//! What the processes do that the tests start from this executable: [`MARK`], then the actor's name and its
//! arguments.
//!
//! Each actor is what an app's `main` could be. They report in lines on standard output.

use std::{
    env, fs,
    io::Write,
    iter,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use flame_actor::{
    backend::{Backend, ProcessBackend},
    runner::{Claimed, claim},
};
use rustix::process::{Resource, getpgrp, getpid, getrlimit, set_child_subreaper, setrlimit};

use crate::support::{boot, boot_error, exit_of, order, this_executable, wait};

/// Tells an actor's process from the test process.
pub(crate) const MARK: &str = "--act";

pub(crate) fn act(args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        // Runners.
        ["report", rest @ ..] => report(rest),
        ["exit", code] => {
            as_runner();
            std::process::exit(code.parse().unwrap())
        }
        ["abort"] => {
            as_runner();
            std::process::abort()
        }
        ["exit-leaving", whom] => {
            as_runner();
            let left = sleeper(*whom == "escaped");
            say(format!("left {}", left.id()));
            std::process::exit(0)
        }
        ["family"] => family(as_runner()),
        ["stubborn"] => stubborn(),
        ["chatter"] => chatter(),
        ["glutton"] => glutton(),
        ["wants-too-much"] => {
            as_runner();
            std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX.unsigned_abs()));
        }
        ["boots-runners"] => {
            as_runner();
            say(format!("refused {}", boot_error(&ProcessBackend::new())));
            park()
        }
        ["claims-twice"] => {
            let _claimed = as_runner();
            say(format!("again {}", claim().unwrap_err()));
            park()
        }
        ["starts-a-copy"] => {
            as_runner();
            // With a pipe, as a user's code might.
            let copy =
                Command::new(this_executable()).args([MARK, "who"]).stdin(Stdio::piped()).output().unwrap();
            say(String::from_utf8_lossy(&copy.stdout));
            park()
        }
        ["farewell", how, file] => {
            let claimed = as_runner();
            let (how, file) = (how.to_string(), file.to_string());
            claimed.guard.on_parent_lost(move || {
                fs::write(file, "farewell").unwrap();
                if how == "hangs" {
                    park()
                }
            });
            family(claimed)
        }

        // Parents.
        ["who"] => say(format!("copy is a runner: {}", claim().unwrap().is_some())),
        ["parent", rest @ ..] => parent(rest),
        ["parent-under-a-reaper", rest @ ..] => parent_under_a_reaper(rest),
        ["parent-of-itself"] => parent_of_itself(),
        ["parent-asks-twice"] => {
            say(format!("{} {}", claim().unwrap().is_none(), claim().unwrap().is_none()))
        }
        ["parent-drops-a-boot"] => parent_drops_a_boot(),
        ["parent-with-few-files"] => parent_with_few_files(),
        ["parent-with-little-memory"] => parent_with_little_memory(),
        ["forgot", log] => forgot(log, ProcessBackend::new().arg(MARK).args(["forgot", log])),
        ["forgot-and-named", log] => {
            let itself = ProcessBackend::command(this_executable()).arg(MARK);
            forgot(log, itself.args(["forgot-and-named", log]))
        }
        other => panic!("no such actor: {other:?}"),
    }
}

fn as_runner() -> Claimed {
    claim().expect("the ticket is readable").expect("this is a runner")
}

fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn park() -> ! {
    loop {
        thread::park()
    }
}

fn report(args: &[&str]) {
    let Claimed { ticket, .. } = as_runner();
    let mut rest = String::new();
    say(format!("pool {}", ticket.pool));
    say(format!("secret {}", String::from_utf8_lossy(ticket.invitation.credentials.key_der())));
    say(format!("args {args:?}"));
    say(format!("colour {}", env::var("FLAME_TEST_COLOUR").unwrap_or_default()));
    say(format!("leads-group {}", getpgrp() == getpid()));
    say(format!("stdin-ends {:?}", std::io::stdin().read_line(&mut rest).unwrap()));
    say("done");
    park()
}

/// A process of the runner that would sleep on when the runner is gone; `escaped` from its process group.
fn sleeper(escaped: bool) -> Child {
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    if escaped {
        std::os::unix::process::CommandExt::process_group(&mut sleep, 0);
    }
    sleep.spawn().unwrap()
}

fn family(claimed: Claimed) {
    let mut child = sleeper(false);
    say(format!("family {} {}", std::process::id(), child.id()));
    child.wait().unwrap();
    drop(claimed);
}

/// Goes on when it is asked to end.
fn stubborn() {
    as_runner();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let terminate = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(terminate).unwrap();
        let mut child = sleeper(false);
        say(format!("family {} {}", std::process::id(), child.id()));
        while child.try_wait().unwrap().is_none() {
            terminate.recv().await;
            say("no");
        }
    })
}

fn chatter() {
    as_runner();
    for n in 0..100 {
        say(format!("out {n}"));
    }
    eprintln!("err one");
    eprint!("err unfinished");
    std::process::exit(0)
}

fn glutton() {
    as_runner();
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&eaten);
    }
}

fn parent(runner_acts_as: &[&str]) {
    assert!(claim().unwrap().is_none());
    crate::support::capture_logs();
    let instance = boot(&ProcessBackend::command(this_executable()).arg(MARK).args(runner_acts_as));
    if runner_acts_as == ["chatter"] {
        say(exit_of(&instance));
    } else {
        let family = crate::support::log_line_of(instance.pid().unwrap(), "family ").text;
        say(format!("parent {} {family}", std::process::id()));
        park()
    }
}

/// Adopts what its parent process leaves behind, as a session manager does. Being of the same session it keeps the
/// kernel from waking the stopped processes that are left behind.
fn parent_under_a_reaper(runner_acts_as: &[&str]) {
    set_child_subreaper(Some(getpid())).unwrap();
    let mut parent = Command::new(this_executable());
    let mut parent = parent.args([MARK, "parent"]).args(runner_acts_as).spawn().unwrap();
    parent.wait().unwrap();
    park()
}

/// An ordinary app: one executable, found by the backend itself, which is deleted meanwhile.
fn parent_of_itself() {
    assert!(claim().unwrap().is_none());
    crate::support::capture_logs();
    fs::remove_file(this_executable()).unwrap();
    let instance = boot(&ProcessBackend::new().arg(MARK).args(["report"]));
    say(format!("secret {}", crate::support::log_line(&instance, "secret")));
    say(format!("name {}", crate::support::proc_file(instance.pid().unwrap(), "cmdline")));
}

fn parent_drops_a_boot() {
    let backend = crate::support::runner(&["family"]);
    wait(async {
        let mut boot = backend.boot(order());
        // Polled once, so begun, and dropped then, with the instance if it is there already.
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(boot.as_mut().poll(cx))).await;
        drop(polled);
    });
    // Boots are done in order, so the first is done when the second is.
    let second = boot(&backend).pid().unwrap();
    let gone = crate::support::gone_within(second, Duration::from_secs(5));
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !children().is_empty() && std::time::Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    say(format!("second gone {gone}, left {:?}", children()));
}

fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let lists =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn parent_with_few_files() {
    // What is made once and kept is made before the limit.
    let backend = crate::support::runner(&["exit", "0"]);
    exit_of(&boot(&backend));
    let limit = getrlimit(Resource::Nofile);
    let mut few = limit;
    few.current = Some(200);
    setrlimit(Resource::Nofile, few).unwrap();
    let mut taken: Vec<_> = iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    for spare in 0..12 {
        match wait(backend.boot(order())) {
            Ok(instance) => say(format!("with {spare} it {}", exit_of(&instance))),
            Err(error) => say(format!("with {spare} {error:?}")),
        }
        taken.pop();
    }
    drop(taken);
    say(format!("after that it {}", exit_of(&boot(&backend))));
    say(format!("left {:?}", children()));
}

/// Enters the memory group that the environment names, and boots one that eats.
fn parent_with_little_memory() {
    fs::write(env::var("FLAME_TEST_GROUP").unwrap(), std::process::id().to_string()).unwrap();
    say(exit_of(&boot(&crate::support::runner(&["glutton"]))));
}

/// An app without a role line. Leaves a line for every process that it becomes.
fn forgot(log: &str, backend: ProcessBackend) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    writeln!(file, "process {}", std::process::id()).unwrap();
    match wait(backend.boot(order())) {
        Ok(instance) => {
            writeln!(file, "booted").unwrap();
            exit_of(&instance);
        }
        Err(error) => writeln!(file, "{error}").unwrap(),
    }
}
