//! The process backend with real processes. This executable is the tests, and, told so by its first argument, also
//! the parents and runners that they start.

// `clippy.toml` allows these in functions marked `#[test]`, which a harness of one's own has none of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod actors;
mod bombs;
mod booting;
mod ending;
mod foreign;
mod limits;
mod orphans;
mod support;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(actors::MARK) {
        return actors::act(&args.collect::<Vec<_>>());
    }
    support::capture_logs();
    let tests = [
        booting::tests(),
        ending::tests(),
        orphans::tests(),
        bombs::tests(),
        limits::tests(),
        foreign::tests(),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().flatten().collect()).exit();
}

/// One trial per function, under the function's name.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<crate::Trial> {
            vec![$(crate::Trial::test(
                concat!(module_path!(), "::", stringify!($name)).trim_start_matches("process_backend::"),
                || { $name(); Ok(()) },
            )),*]
        }
    };
}
use tests;
