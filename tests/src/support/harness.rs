//! A test executable's `main`, and how its tests wait.

use std::{env, future::Future, num::NonZero, process::ExitCode, thread, time::Duration};

use actix::System;
use libtest_mimic::{Arguments, Trial};

/// What a test executable does when it is started again as an app of this name, with these arguments.
type Apps = fn(name: &str, args: &[String]);

/// No test takes so long, on a machine that has other work too.
const LONGEST: Duration = Duration::from_secs(240);

/// How many tests run at a time at least: most of them wait for most of their time.
const AT_ONCE: usize = 3;

/// The argument before an app's name.
pub(super) const APP: &str = "--app";

/// The `main` of a test executable, which is at once its runners and the apps that its tests start.
pub fn main(apps: Apps, tests: impl IntoIterator<Item = Vec<Trial>>) -> ExitCode {
    if let Some(runner) = flame_actor::runner() {
        System::new().block_on(runner.serve());
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, rest @ ..] = args.as_slice()
        && flag == APP
    {
        apps(name, rest);
        return ExitCode::SUCCESS;
    }
    super::capture_logs();
    let trials: Vec<Trial> = tests.into_iter().flatten().collect();
    let mut arguments = Arguments::from_args();
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(cpus.max(AT_ONCE));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a test in an actix system, as an app would.
pub fn run(test: impl Future<Output = ()>) {
    System::new().block_on(within(LONGEST, "the whole test", test));
}

/// What happens at once, on a machine that may be busy.
pub async fn soon<F: Future>(future: F) -> F::Output {
    within(Duration::from_secs(30), "what was to happen soon", future).await
}

/// What happens within a time that is a promise.
pub async fn within<F: Future>(time: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(time, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {time:?}: {what}"),
    }
}

/// Looks again until it is so, for what comes with no event.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(Duration::from_secs(20), what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// One trial per function, under the function's name and its file's.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$(libtest_mimic::Trial::test(
                concat!(module_path!(), "::", stringify!($name)).split_once("::").unwrap().1,
                || { $crate::support::run($name()); Ok(()) },
            )),*]
        }
    };
}
