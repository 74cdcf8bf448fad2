//! Who is expected to join. Pure: it knows no network and no clock.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::Refusal;
use crate::{
    NodeId,
    identity::{AFTER, Fingerprint},
};

/// The invitations of one listener, and what became of them.
///
/// An entry is kept until its certificate has surely expired: from then on TLS refuses the node, and it may as well be
/// unknown. So the registry holds no more than the invitations of that span.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: HashMap<NodeId, Entry>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    expires: Instant,
    forget: Instant,
    state: State,
    /// The last refusal, for whoever waits for the node to join.
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Invited,
    Joined,
    Revoked,
}

impl Registry {
    /// Expects `node` to join once within `valid_for`, with the certificate of that fingerprint.
    pub(super) fn invite(
        &mut self,
        node: NodeId,
        fingerprint: Fingerprint,
        now: Instant,
        valid_for: Duration,
    ) {
        self.entries.retain(|_, entry| entry.forget > now);
        let expires = now.checked_add(valid_for).unwrap_or(now);
        let forget = expires.checked_add(KEEP).unwrap_or(expires);
        self.entries
            .insert(node, Entry { fingerprint, expires, forget, state: State::Invited, refusal: None });
    }

    /// Refuses `node` from now on. Who was never invited is refused in any case.
    pub(super) fn revoke(&mut self, node: &NodeId) {
        if let Some(entry) = self.entries.get_mut(node) {
            entry.state = State::Revoked;
        }
    }

    pub(super) fn is_revoked(&self, node: &NodeId) -> bool {
        self.entries.get(node).is_some_and(|entry| entry.state == State::Revoked)
    }

    /// Whether `node` would be admitted with this certificate now.
    pub(super) fn check(
        &self,
        node: &NodeId,
        fingerprint: &Fingerprint,
        now: Instant,
    ) -> Result<(), Refusal> {
        let entry = self.entries.get(node).filter(|entry| entry.fingerprint == *fingerprint);
        let entry = entry.ok_or(Refusal::Unknown)?;
        match entry.state {
            State::Revoked => Err(Refusal::Revoked),
            State::Joined => Err(Refusal::Reused),
            State::Invited if now >= entry.expires => Err(Refusal::Expired),
            State::Invited => Ok(()),
        }
    }

    /// Admits `node`, once.
    pub(super) fn admit(
        &mut self,
        node: &NodeId,
        fingerprint: &Fingerprint,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check(node, fingerprint, now)?;
        if let Some(entry) = self.entries.get_mut(node) {
            entry.state = State::Joined;
        }
        Ok(())
    }

    /// Notes why `node` was refused, if it is the one that was invited and still waited for.
    pub(super) fn note(&mut self, node: &NodeId, fingerprint: &Fingerprint, refusal: &Refusal) {
        let entry = self.entries.get_mut(node);
        let waited_for =
            |entry: &&mut Entry| entry.fingerprint == *fingerprint && entry.state == State::Invited;
        if let Some(entry) = entry.filter(waited_for) {
            entry.refusal = Some(refusal.clone());
        }
    }

    /// What [`Registry::note`] noted.
    pub(super) fn refusal(&self, node: &NodeId) -> Option<Refusal> {
        self.entries.get(node)?.refusal.clone()
    }

    /// How many could still join.
    pub(super) fn invited(&self, now: Instant) -> usize {
        self.entries.values().filter(|entry| entry.state == State::Invited && now < entry.expires).count()
    }
}

/// Longer than a certificate outlives its invitation, by more than two clocks drift apart meanwhile.
const KEEP: Duration = AFTER.saturating_add(Duration::from_secs(60));

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Fingerprint = [1; 32];
    const OTHER: Fingerprint = [2; 32];
    const MINUTE: Duration = Duration::from_secs(60);

    fn invited() -> (Registry, NodeId, Instant) {
        let (mut registry, node, now) =
            (Registry::default(), NodeId::new("runner-1").unwrap(), Instant::now());
        registry.invite(node.clone(), MINE, now, MINUTE);
        (registry, node, now)
    }

    #[test]
    fn an_invitation_is_good_once() {
        let (mut registry, node, now) = invited();
        assert_eq!(registry.invited(now), 1);
        assert_eq!(registry.admit(&node, &MINE, now), Ok(()));
        assert_eq!(registry.admit(&node, &MINE, now), Err(Refusal::Reused));
        assert_eq!(registry.invited(now), 0);
    }

    #[test]
    fn another_certificate_or_another_life_of_the_same_name_is_unknown() {
        let (mut registry, node, now) = invited();
        let next_life = NodeId::new(node.name()).unwrap();
        assert_eq!(registry.admit(&node, &OTHER, now), Err(Refusal::Unknown));
        assert_eq!(registry.admit(&next_life, &MINE, now), Err(Refusal::Unknown));
        assert_eq!(registry.admit(&node, &MINE, now), Ok(()));
    }

    #[test]
    fn an_invitation_ends_at_its_time() {
        let (mut registry, node, now) = invited();
        assert_eq!(registry.check(&node, &MINE, now + MINUTE - Duration::from_nanos(1)), Ok(()));
        assert_eq!(registry.admit(&node, &MINE, now + MINUTE), Err(Refusal::Expired));
    }

    #[test]
    fn a_revoked_node_stays_out_whether_it_joined_or_not() {
        let (mut registry, node, now) = invited();
        registry.admit(&node, &MINE, now).unwrap();
        registry.revoke(&node);
        assert!(registry.is_revoked(&node));
        assert_eq!(registry.admit(&node, &MINE, now), Err(Refusal::Revoked));
        registry.revoke(&NodeId::new("stranger").unwrap());
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let (mut registry, node, now) = invited();
        registry.revoke(&node);
        let later = now + MINUTE + KEEP;
        registry.invite(NodeId::new("runner-2").unwrap(), MINE, later, MINUTE);
        assert_eq!(registry.entries.len(), 1);
        assert_eq!(registry.check(&node, &MINE, later), Err(Refusal::Unknown));
    }

    #[test]
    fn only_the_invited_certificate_leaves_a_note() {
        let (mut registry, node, _) = invited();
        registry.note(&node, &OTHER, &Refusal::Unknown);
        assert_eq!(registry.refusal(&node), None);
        registry.note(&node, &MINE, &Refusal::Expired);
        assert_eq!(registry.refusal(&node), Some(Refusal::Expired));
    }
}
