//! What this executable does when a test starts it as an app: a parent that takes orders, or a world of chaos.

use std::{error::Error, iter, process, time::Duration};

use actix::System;
use flame_actor::{CallError, Pool, RemoteAddr};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::{begun, open_files, orders, say};
use crate::{Counter, calculate, chaos, eat_memory, never_yield, process_id, slow, take};

/// The apps by their names.
///
/// `parent [option=value]…` has one pool and takes orders, a line each, see the code below; what comes of them are
/// lines too. `chaos seed steps` and `slow seconds` run those, say what they found, and end with 1 if that is bad.
pub fn apps(name: &str, args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match (name, args.as_slice()) {
        ("parent", options) => System::new().block_on(parent(options)),
        ("chaos", [seed, steps]) => {
            let plan = chaos::Plan::mixed(seed.parse().unwrap(), steps.parse().unwrap());
            finish(&System::new().block_on(chaos::run(plan)));
        }
        ("kills", [seed, seconds]) => {
            let time = Duration::from_secs(seconds.parse().unwrap());
            finish(&System::new().block_on(chaos::run(chaos::Plan::kills(seed.parse().unwrap(), time))));
        }
        ("slow", [seconds]) => {
            let time = Duration::from_secs(seconds.parse().unwrap());
            finish(&System::new().block_on(slow::run(time)));
        }
        other => panic!("no such app: {other:?}"),
    }
}

/// What a long run found.
pub trait Findings: std::fmt::Display {
    /// What should not be, in words.
    fn problems(&self) -> &[String];
}

fn finish(findings: &dyn Findings) {
    say(findings);
    // The first ones tell; one fault may lead to thousands.
    findings.problems().iter().take(20).for_each(|problem| say(format!("PROBLEM {problem}")));
    process::exit(i32::from(!findings.problems().is_empty()));
}

fn pool(options: &[&str]) -> Pool {
    let ms = |value: &str| Duration::from_millis(value.parse().unwrap());
    let mut pool = Pool::builder("app").max(1).timeout(Duration::from_secs(20));
    for option in options {
        let (name, value) = option.split_once('=').unwrap();
        pool = match name {
            "max" => pool.max(value.parse().unwrap()),
            "max_concurrency" => pool.max_concurrency(value.parse().unwrap()),
            "timeout" => pool.timeout(ms(value)),
            "shutdown_timeout" => pool.shutdown_timeout(ms(value)),
            "sigterm" => pool.stop_on_sigterm(),
            other => panic!("no such option: {other}"),
        };
    }
    pool.start().unwrap()
}

async fn parent(options: &[&str]) {
    let mut orders = orders();
    let pool = pool(options);
    let mut detached: Vec<RemoteAddr<Counter>> = Vec::new();
    say(format!("parent {}", process::id()));
    if options.contains(&"sigterm=drain") {
        // The app ends when the pool has drained, as it would after its web server has.
        let stopped = pool.clone();
        actix::spawn(async move {
            stopped.stopped().await;
            say("drained");
            process::exit(0);
        });
    }
    while let Some(order) = orders.recv().await {
        let words: Vec<&str> = order.split_whitespace().collect();
        let number = || words[1].parse::<u64>().unwrap();
        match words[0] {
            // A short call, waited for: `answer pid`.
            "call" => say(outcome("answer", pool.call(process_id::task()).await)),
            // The same, with time for the back-off of boots that have failed.
            "patiently" => {
                let call = pool.call(process_id::task()).timeout(Duration::from_secs(25));
                say(outcome("answer", call.await));
            }
            // Ends its runners: `lost` when the pool has none.
            "lose" => {
                for pid in super::children(process::id()) {
                    super::Process::of(pid).signal(rustix::process::Signal::KILL);
                }
                super::until("the pool has no runner", || pool.inspect().runners.is_empty()).await;
                say("lost");
            }
            // A call of so many ms: `begun pid`, later `took pid`.
            "take" => start("took", &pool, number(), take::task),
            // One that never yields.
            "block" => start("blocked", &pool, number(), never_yield::task),
            // A plain function of so many ms, waited for: `calculated pid`.
            "calculate" => say(outcome("calculated", pool.call(calculate::task(number())).await)),
            // A cast of so many ms.
            "cast" => {
                let (to, _) = begun();
                pool.cast(take::task(number(), to));
                say("cast");
            }
            // One that takes memory until there is none.
            "eat" => say(match pool.call(eat_memory::task()).await {
                Ok(()) => "eaten".to_owned(),
                Err(error) => failed(&error),
            }),
            // An actor that nobody owns: `placed runner`.
            "place" => {
                let child = pool.place_child(Counter(0)).await.unwrap();
                say(format!("placed {}", child.runner().name()));
                detached.push(child.detach());
            }
            // Lets the process open so many files more.
            "files" => {
                let mut limit = getrlimit(Resource::Nofile);
                limit.current = Some(open_files(process::id()) as u64 + number());
                setrlimit(Resource::Nofile, limit).unwrap();
                say("limited");
            }
            "stop" => {
                pool.stop().await;
                say("stopped");
            }
            other => panic!("no such order: {other}"),
        }
    }
}

fn start<T: flame_actor::Task<Output = u32>>(
    done: &'static str,
    pool: &Pool,
    ms: u64,
    task: impl FnOnce(u64, flame_actor::RemoteRecipient<crate::Begun>) -> T,
) {
    let (to, mut heard) = begun();
    let call = pool.call(task(ms, to));
    actix::spawn(async move {
        let call = actix::spawn(call);
        if let Some(pid) = heard.recv().await {
            say(format!("begun {pid}"));
        }
        say(outcome(done, call.await.unwrap()));
    });
}

fn outcome(done: &str, outcome: Result<u32, CallError>) -> String {
    match outcome {
        Ok(pid) => format!("{done} {pid}"),
        Err(error) => failed(&error),
    }
}

/// `failed`, the kind of the error, and all its words in one line.
fn failed(error: &CallError) -> String {
    let kind = format!("{error:?}");
    let kind = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let words = iter::successors(Some(error as &dyn Error), |error: &&dyn Error| (*error).source());
    let words: Vec<String> = words.map(|error| error.to_string().replace('\n', " | ")).collect();
    format!("failed {kind}: {}", words.join(": "))
}
