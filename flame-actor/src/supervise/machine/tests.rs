//! The machine's promises, one story each.

use std::time::{Duration, Instant};

use super::{Action, Event, Incarnation, Machine, Refusal};
use crate::{
    remote::DownReason,
    supervise::policy::{Between, Policy, Restart},
};

type Actions = Vec<Action<u32, &'static str, &'static str>>;

/// A machine, and a clock that only the test moves.
struct Story {
    machine: Machine<u32, &'static str, &'static str>,
    now: Instant,
    last: Actions,
}

const LEASE_END: Duration = Duration::from_secs(5);

fn permanent() -> Policy {
    Policy { restart: Restart::Permanent, ..Policy::default() }
}

fn up(policy: Policy) -> Story {
    let mut actions = Vec::new();
    let machine = Machine::new(policy, "the spec", &mut actions);
    assert_eq!(starts(&actions), [(1, "the spec")]);
    let mut story = Story { machine, now: Instant::now(), last: Vec::new() };
    story.on(Event::Started(Incarnation(1)));
    story
}

fn starts(actions: &Actions) -> Vec<(u64, &'static str)> {
    let start = |action: &Action<_, _, &'static str>| match action {
        Action::Start { incarnation, from } => Some((incarnation.0, **from)),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

fn panicked() -> DownReason {
    DownReason::Panicked { message: "on purpose".into() }
}

fn lost() -> DownReason {
    DownReason::NodeLost { message: "killed".into(), exit: None }
}

impl Story {
    fn on(&mut self, event: Event<u32, &'static str>) {
        self.last.clear();
        self.machine.on(event, self.now, &mut self.last);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.on(Event::Tick);
    }

    /// It ends with all handled that was delivered to it.
    fn ends(&mut self, incarnation: u64, reason: DownReason) {
        self.on(Event::Settled(Incarnation(incarnation)));
        self.on(Event::Ended { incarnation: Incarnation(incarnation), reason, snapshots: 0 });
    }

    fn loses(&mut self, incarnation: u64) {
        self.on(Event::Settled(Incarnation(incarnation)));
        let until = self.now + LEASE_END;
        self.on(Event::NodeLost { incarnation: Incarnation(incarnation), reason: lost(), until });
    }

    fn starts(&self) -> Vec<(u64, &'static str)> {
        starts(&self.last)
    }

    fn message(&mut self, message: u32) {
        self.on(Event::Message { message, bytes: 10 });
    }

    fn delivered(&self) -> Vec<(u64, u32)> {
        let delivery = |action: &Action<u32, _, _>| match action {
            Action::Deliver { incarnation, message } => Some((incarnation.0, *message)),
            _ => None,
        };
        self.last.iter().filter_map(delivery).collect()
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.last.iter().find_map(|action| match action {
            Action::Refuse { refusal, .. } => Some(refusal),
            _ => None,
        })
    }
}

#[test]
fn the_first_restart_waits_for_nothing_and_the_next_ones_ever_longer() {
    let mut story = up(permanent());
    story.ends(1, panicked());
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Started(Incarnation(2)));
    story.ends(2, panicked());
    assert_eq!(story.starts(), []);
    story.wait(Duration::from_millis(100));
    assert_eq!(story.starts(), [(3, "the spec")]);
}

#[test]
fn a_child_that_ends_too_often_is_given_up_and_its_watchers_hear_once() {
    let mut story = up(permanent());
    story.machine.watch("the caller").unwrap();
    for incarnation in 1..=3 {
        story.ends(incarnation, panicked());
        story.wait(Duration::from_millis(400));
        story.on(Event::Started(Incarnation(incarnation + 1)));
    }
    story.ends(4, panicked());
    assert!(matches!(story.last[..], [Action::Notify { watcher: "the caller", .. }]), "{:?}", story.last);
    assert_eq!(story.machine.watch("too late"), Err(("too late", panicked())));
}

#[test]
fn a_lost_runner_is_replaced_when_its_lease_is_over_for_certain() {
    let mut story = up(permanent());
    story.loses(1);
    story.wait(LEASE_END - Duration::from_millis(1));
    assert_eq!(story.starts(), []);
    story.wait(Duration::from_millis(1));
    assert_eq!(story.starts(), [(2, "the spec")]);
}

#[test]
fn a_lost_runner_is_replaced_at_once_when_the_backend_confirms_its_end() {
    let mut story = up(permanent());
    story.loses(1);
    story.on(Event::Gone(Incarnation(1)));
    assert_eq!(story.starts(), [(2, "the spec")]);
}

#[test]
fn messages_between_two_incarnations_wait_in_order_up_to_their_bound() {
    let mut story = up(Policy { between: Between::Queue(2), ..permanent() });
    story.loses(1);
    (0..2).for_each(|n| story.message(n));
    assert_eq!(story.delivered(), []);
    story.message(2);
    assert_eq!(story.refusal(), Some(&Refusal::Full));
    story.on(Event::Gone(Incarnation(1)));
    story.on(Event::Started(Incarnation(2)));
    assert_eq!(story.delivered(), [(2, 0), (2, 1)]);
}

#[test]
fn messages_wait_from_the_moment_at_which_the_runner_is_silent() {
    let mut story = up(permanent());
    story.on(Event::Silent(Incarnation(1)));
    story.message(7);
    assert_eq!(story.delivered(), []);
    story.loses(1);
    story.on(Event::Gone(Incarnation(1)));
    story.on(Event::Started(Incarnation(2)));
    assert_eq!(story.delivered(), [(2, 7)]);
}

#[test]
fn messages_between_two_incarnations_are_refused_where_the_user_wants_that() {
    let mut story = up(Policy { between: Between::Refuse, ..permanent() });
    story.loses(1);
    story.message(0);
    assert_eq!(story.refusal(), Some(&Refusal::Restarting));
}

#[test]
fn what_waits_for_a_child_that_is_given_up_is_refused() {
    let mut story = up(permanent());
    story.loses(1);
    story.message(0);
    story.on(Event::Stop { reason: DownReason::Stopped, grace: None });
    assert_eq!(story.refusal(), Some(&Refusal::Gone(DownReason::Stopped)));
}

#[test]
fn the_next_incarnation_starts_from_the_last_snapshot_also_if_the_end_overtakes_it() {
    let mut story = up(permanent());
    story.on(Event::Settled(Incarnation(1)));
    story.on(Event::Ended { incarnation: Incarnation(1), reason: panicked(), snapshots: 1 });
    assert_eq!(story.starts(), []);
    story.on(Event::Snapshot { incarnation: Incarnation(1), from: "the snapshot" });
    assert_eq!(story.starts(), [(2, "the snapshot")]);
}

#[test]
fn a_child_that_stops_by_itself_is_started_again_only_if_it_is_permanent() {
    for (restart, again) in [(Restart::Permanent, 1), (Restart::Transient, 0), (Restart::Temporary, 0)] {
        let mut story = up(Policy { restart, ..Policy::default() });
        story.ends(1, DownReason::Stopped);
        assert_eq!(story.starts().len(), again, "{restart:?}");
    }
}

#[test]
fn a_child_that_was_to_end_is_never_started_again() {
    for reason in [
        DownReason::Deadline { lifetime: Duration::from_secs(1) },
        DownReason::Shutdown { reason: "enough".into() },
    ] {
        let mut story = up(permanent());
        story.ends(1, reason);
        assert!(story.machine.gone().is_some());
    }
}

#[test]
fn a_child_whose_runner_has_to_go_hands_over_and_that_does_not_count_as_a_restart() {
    let mut story = up(Policy { intensity: (0, Duration::from_secs(5)), ..permanent() });
    story.on(Event::Drain(Incarnation(1)));
    assert!(matches!(story.last[..], [Action::HandOver(Incarnation(1))]), "{:?}", story.last);
    story.message(7);
    assert_eq!(story.delivered(), []);
    story.ends(1, DownReason::Stopped);
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Started(Incarnation(2)));
    assert_eq!(story.delivered(), [(2, 7)]);
}

#[test]
fn a_child_whose_end_is_told_before_its_start_is_started_again() {
    let mut actions = Vec::new();
    let machine = Machine::new(permanent(), "the spec", &mut actions);
    let mut story = Story { machine, now: Instant::now(), last: Vec::new() };
    story.ends(1, panicked());
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Started(Incarnation(1)));
    assert_eq!(story.machine.serving(), None);
}

fn returns(story: &mut Story, incarnation: u64, message: u32) {
    story.on(Event::Returned { incarnation: Incarnation(incarnation), message, bytes: 100 });
}

#[test]
fn what_an_incarnation_did_not_handle_goes_to_the_next_before_what_came_later() {
    let mut story = up(permanent());
    story.message(1);
    story.message(2);
    // The word that it takes no more comes before the one on its end.
    returns(&mut story, 1, 1);
    story.message(3);
    returns(&mut story, 1, 2);
    story.on(Event::Ended { incarnation: Incarnation(1), reason: panicked(), snapshots: 0 });
    assert_eq!(story.starts(), [], "more may return");
    story.on(Event::Settled(Incarnation(1)));
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Started(Incarnation(2)));
    assert_eq!(story.delivered(), [(2, 1), (2, 2), (2, 3)]);
}

#[test]
fn what_an_incarnation_did_not_handle_is_refused_where_nothing_is_to_wait_or_the_child_is_gone() {
    let mut story = up(Policy { between: Between::Refuse, ..permanent() });
    story.message(1);
    returns(&mut story, 1, 1);
    story.on(Event::Ended { incarnation: Incarnation(1), reason: panicked(), snapshots: 0 });
    let refusal = Refusal::Restarting;
    assert!(
        story.last.iter().any(|a| matches!(a, Action::Refuse { message: 1, refusal: r } if *r == refusal))
    );
    let mut story = up(Policy { restart: Restart::Transient, ..Policy::default() });
    story.message(1);
    story.on(Event::Ended { incarnation: Incarnation(1), reason: DownReason::Stopped, snapshots: 0 });
    returns(&mut story, 1, 1);
    let refusal = Refusal::Gone(DownReason::Stopped);
    assert!(
        story.last.iter().any(|a| matches!(a, Action::Refuse { message: 1, refusal: r } if *r == refusal))
    );
}

#[test]
fn a_child_whose_runner_has_to_go_while_it_starts_there_hands_over_as_soon_as_it_has_started() {
    let mut actions = Vec::new();
    let policy = Policy { intensity: (0, Duration::from_secs(5)), ..permanent() };
    let mut story = Story {
        machine: Machine::new(policy, "the spec", &mut actions),
        now: Instant::now(),
        last: Vec::new(),
    };
    story.on(Event::Handed(Incarnation(1)));
    story.message(7);
    story.on(Event::Drain(Incarnation(1)));
    story.on(Event::Started(Incarnation(1)));
    assert_eq!(story.delivered(), [(1, 7)]);
    assert!(matches!(story.last.last(), Some(Action::HandOver(Incarnation(1)))), "{:?}", story.last);
    story.message(8);
    story.ends(1, DownReason::Stopped);
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Started(Incarnation(2)));
    assert_eq!(story.delivered(), [(2, 8)]);
    assert_eq!(story.machine.serving(), Some(Incarnation(2)));
}

#[test]
fn a_start_that_another_runner_takes_over_has_nothing_to_do_with_the_first_one() {
    let mut actions = Vec::new();
    let machine = Machine::new(permanent(), "the spec", &mut actions);
    let mut story = Story { machine, now: Instant::now(), last: Vec::new() };
    story.on(Event::Handed(Incarnation(1)));
    story.on(Event::Drain(Incarnation(1)));
    // The first runner has not begun it.
    story.on(Event::Handed(Incarnation(1)));
    story.on(Event::Started(Incarnation(1)));
    assert_eq!(story.machine.serving(), Some(Incarnation(1)));
}

#[test]
fn a_start_that_is_lost_with_a_runner_which_had_to_go_is_no_restart() {
    let mut story = up(Policy { intensity: (1, Duration::from_secs(60)), ..permanent() });
    story.ends(1, panicked());
    assert_eq!(story.starts(), [(2, "the spec")]);
    story.on(Event::Drain(Incarnation(2)));
    let incarnation = Incarnation(2);
    story.on(Event::StartFailed { incarnation, reason: lost(), doubt: None, hopeless: false });
    assert_eq!(story.starts(), [(3, "the spec")], "the one restart was before");
    let incarnation = Incarnation(3);
    story.on(Event::StartFailed { incarnation, reason: lost(), doubt: None, hopeless: false });
    assert!(story.machine.gone().is_some());
}
