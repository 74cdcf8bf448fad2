//! Long runs, shortened: the full ones are `cargo run --release -p flame-tests --bin soak`. (31, 37, and random steps)

use std::time::Duration;

use flame_tests::{support::App, tests};

tests![
    three_hundred_random_steps_leave_every_promise_whole,
    a_slow_consumer_keeps_memory_flat_on_both_sides,
    random_kills_end_in_runner_lost_alone_and_the_pool_converges,
];

/// Set another with `FLAME_CHAOS_SEED`.
fn seed() -> String {
    std::env::var("FLAME_CHAOS_SEED").unwrap_or_else(|_| "20".to_owned())
}

async fn three_hundred_random_steps_leave_every_promise_whole() {
    finish(App::start("chaos", &[&seed(), "300"])).await;
}

async fn a_slow_consumer_keeps_memory_flat_on_both_sides() {
    finish(App::start("slow", &["20"])).await;
}

async fn random_kills_end_in_runner_lost_alone_and_the_pool_converges() {
    finish(App::start("kills", &[&seed(), "20"])).await;
}

async fn finish(app: App) {
    let (success, said) = app.end(Duration::from_secs(200)).await;
    assert!(success, "again with FLAME_CHAOS_SEED={}:\n{said}", seed());
}
