//! How long it takes, beside what the cluster itself takes for a pod.

use std::time::Duration;

use flame_actor::pool::machine::RunnerPhase;
use flame_tests::{Add, Counter};
use futures_util::future;
use serde_json::json;

use crate::{
    case::{Case, case},
    cluster::Cluster,
    parent::{self, Parent, say},
    watch::{is_running, is_scheduled},
};

pub(crate) const CASES: &[Case] =
    &[Case { alone: true, ..case!(the_time_from_an_empty_pool_to_a_childs_first_reply_is_measured) }];

/// How often; the medians are printed.
const TIMES: usize = 5;

mod the_time_from_an_empty_pool_to_a_childs_first_reply_is_measured {
    use super::*;

    pub(super) async fn parent() {
        // All stay until the test has seen them: the API shows only after a second that a container runs.
        let mut pools = Vec::new();
        for _ in 0..TIMES {
            let pool = parent::pool("timed").start().unwrap();
            say("begins", json!({}));
            let placing = pool.place_child(Counter(0));
            let joined = async {
                while !pool.inspect().runners.iter().any(|runner| runner.phase != RunnerPhase::Booting) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                say("joined", json!({}));
            };
            let (child, ()) = tokio::join!(placing, joined);
            say("placed", json!({}));
            child.unwrap().send(Add(1)).await.unwrap();
            say("replied", json!({}));
            pools.push(pool);
        }
        future::pending::<()>().await;
        drop(pools);
    }

    pub(super) fn test(cluster: &Cluster, case: &Case) {
        const PHASES: [&str; 7] =
            ["created", "scheduled", "running", "joined", "placed", "replied", "a bare pod: running"];
        let mut parent = Parent::start(cluster, case);
        let mut known = Vec::new();
        let mut times: [Vec<Duration>; PHASES.len()] = Default::default();
        for time in 0..TIMES {
            let begins = parent.says("begins").at;
            let said = ["joined", "placed", "replied"].map(|event| parent.says(event).at);
            let runner = parent
                .runners(Duration::from_secs(10), time + 1, |pod| pod.first(is_running).is_some())
                .into_iter()
                .find(|runner| !known.contains(runner))
                .unwrap();
            let seen = cluster.pods.seen();
            let pod = seen.get(&runner).unwrap();
            let seen = [pod.created(), pod.first(is_scheduled).unwrap(), pod.first(is_running).unwrap()];
            for (times, at) in times.iter_mut().zip(seen.into_iter().chain(said)) {
                times.push(at.saturating_duration_since(begins));
            }
            known.push(runner);
        }
        for time in 0..TIMES {
            times.last_mut().unwrap().push(bare_pod(cluster, &format!("bare-{time}")));
        }
        let [created, .., replied, bare] = times.each_ref().map(|times| median(times));
        println!("from place_child on an empty pool to the child's first reply, median of {TIMES}:");
        for (phase, times) in PHASES.iter().zip(&times) {
            println!("  {phase:<20} after {:6.3} s", median(times).as_secs_f64());
        }
        assert!(created < replied);
        assert!(replied < bare + Duration::from_secs(5), "{replied:?}, and {bare:?} for the pod alone");
    }

    /// The time from the creation of a pod that does nothing to its container running, as the API shows it.
    fn bare_pod(cluster: &Cluster, name: &str) -> Duration {
        cluster.create(&cluster.pod(name, &["stay"]));
        let time = cluster.pods.until(Duration::from_secs(60), "the bare pod runs", |pods| {
            let pod = pods.get(name)?;
            Some(pod.first(is_running)?.saturating_duration_since(pod.created()))
        });
        cluster.delete_pod(name);
        time
    }

    fn median(times: &[Duration]) -> Duration {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2]
    }
}
