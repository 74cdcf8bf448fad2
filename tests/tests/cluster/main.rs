//! The promises of pools over pods: a real cluster, real pods.
//!
//! One executable plays all parts. Outside of the cluster it is the test: it puts itself into an image, starts a *parent* pod of it for
//! each case, and looks at the pods from outside and at what the parent says. In its pod the parent boots runners, which are pods of the
//! same image. So each case has two halves, side by side: `parent`, which runs in the pod, and `test`.
//!
//! # Running them
//!
//! `KUBECONFIG` names the cluster. Of the one that `tests/cluster/up` starts, these tests make and load the image themselves. For
//! any other, push an image whose entrypoint is this executable (`cargo test -p flame-tests --test cluster --no-run` prints its path) to where
//! the nodes can pull it, and name it in `FLAME_TEST_IMAGE`; `FLAME_TEST_ADDRESS` tells where its pods reach this machine, if they do, for the one test
//! whose parent is outside. They need `kubectl`, and the right to make a namespace; all that they make is in it. Without a cluster they are skipped, and with `FLAME_REQUIRE_CLUSTER=1` they fail instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod case;
mod cluster;
mod ends;
mod failures;
mod kubectl;
mod options;
mod outside;
mod parent;
mod restricted;
mod rights;
mod streams;
mod times;
mod watch;
mod work;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::cluster::Cluster;

fn main() -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        actix::System::new().block_on(runner.serve());
        return ExitCode::SUCCESS;
    }
    let cases = || {
        [
            ends::CASES,
            failures::CASES,
            options::CASES,
            outside::CASES,
            restricted::CASES,
            rights::CASES,
            streams::CASES,
            times::CASES,
            work::CASES,
        ]
        .into_iter()
        .flatten()
    };
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "parent", name] => return parent::run(cases().find(|case| case.name == name)),
        [_, "stay"] => loop {
            std::thread::park();
        },
        [_, "kill", process] => return parent::kill(process),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let cluster = if arguments.list { Err("they are only listed".to_owned()) } else { Cluster::find() };
    if let Err(reason) = &cluster
        && !arguments.list
    {
        eprintln!("the tests on a cluster are skipped: {reason}");
        if std::env::var_os("FLAME_REQUIRE_CLUSTER").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = cases().map(|case| case.trial(cluster.clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Ok(cluster) = cluster {
        cluster.remove();
    }
    conclusion.exit_code()
}
