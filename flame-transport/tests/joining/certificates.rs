//! The certificate matrix: whoever cannot prove to be an invited runner, or the parent, gets nowhere.

use std::time::Duration;

use flame_transport::{Authority, JoinError, NodeId, Refusal};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

use crate::support::*;

#[tokio::test]
async fn no_certificate_is_refused() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let (_endpoint, connection) = dial(&invitation, false, ALPN).await;
    let end = match connection {
        Ok(connection) => end_of(&connection).await,
        Err(end) => end,
    };
    assert!(is_alert(&end, 116), "{end:?}");
    assert_eq!(listener.stats().failed, 1);
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let foreign = Authority::new().unwrap().issue(&invitation.parent, &invitation.node, MINUTE).unwrap();
    invitation.credentials = leaf_trusting(&foreign, &invitation.credentials);
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::CertificateRefused { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_parent_of_another_authority_is_not_trusted() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let foreign = Authority::new().unwrap().issue(&invitation.parent, &invitation.node, MINUTE).unwrap();
    invitation.credentials = leaf_trusting(&invitation.credentials, &foreign);
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTheParent { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_certificate_outside_its_time_is_refused() {
    let listener = listen();
    for times in [(-600, -300), (300, 600)] {
        let mut invitation = listener.invite("r", MINUTE).unwrap();
        invitation.credentials = odd_leaf(listener.authority(), &invitation, ClientAuth, times);
        let error = join_with(&invitation).await.unwrap_err();
        let JoinError::CertificateRefused { why, .. } = error else { panic!("{error:?}") };
        assert!(why.contains("expired") || why.contains("not valid yet"), "{why}");
    }
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_certificate_for_being_dialled_cannot_dial() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    invitation.credentials = odd_leaf(listener.authority(), &invitation, ServerAuth, (-60, 60));
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::CertificateRefused { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_runner_cannot_pose_as_the_parent() {
    let listener = listen();
    let attacker = listener.invite("attacker", MINUTE).unwrap();
    let mut victim = listener.invite("victim", MINUTE).unwrap();
    victim.addresses = vec![impostor(&attacker.credentials, ALPN, &[])];
    let error = join_with(&victim).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTheParent { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_runner_cannot_pose_as_the_parent_with_a_certificate_for_being_dialled() {
    let listener = listen();
    let mut victim = listener.invite("victim", MINUTE).unwrap();
    let stolen = odd_leaf(listener.authority(), &victim, ServerAuth, (-60, 60));
    victim.addresses = vec![impostor(&stolen, ALPN, &[])];
    let error = join_with(&victim).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTheParent { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn another_life_of_the_parent_is_not_the_parent() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    invitation.parent = NodeId::new("parent").unwrap();
    let error = join_with(&invitation).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTheParent { .. }), "{error:?}");
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn two_parents_in_one_process_take_their_own_runners_only() {
    let (one, two) = (listen(), listen());
    let mut stray = one.invite("r", MINUTE).unwrap();
    stray.addresses = vec![two.local_addr()];
    let error = join_with(&stray).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTheParent { .. }), "{error:?}");
    assert_nobody_got_in(&one).await;
    assert_nobody_got_in(&two).await;
}

#[tokio::test]
async fn a_signed_certificate_without_an_invitation_is_refused() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let stranger = NodeId::new("stranger").unwrap();
    invitation.credentials = listener.authority().issue(&invitation.parent, &stranger, MINUTE).unwrap();
    invitation.node = stranger;
    assert_refused(join_with(&invitation).await, &Refusal::Unknown);
    assert_eq!(listener.stats().refused, 1);
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_second_certificate_of_an_invited_node_is_refused_and_the_first_still_joins() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let mut copy = invitation.clone();
    copy.credentials = listener.authority().issue(&copy.parent, &copy.node, MINUTE).unwrap();
    assert_refused(join_with(&copy).await, &Refusal::Unknown);
    join_with(&invitation).await.unwrap();
}

#[tokio::test]
async fn an_invitation_is_good_for_one_join_even_after_the_first_has_gone() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let first = join_with(&invitation).await.unwrap();
    assert_refused(join_with(&invitation).await, &Refusal::Reused);
    let at_parent = accept(&listener).await;
    drop(first);
    let (connection, ..) = at_parent.into_parts();
    end_of(&connection).await;
    assert_refused(join_with(&invitation).await, &Refusal::Reused);
    assert_eq!(listener.stats().joined, 1);
}

#[tokio::test]
async fn of_many_who_use_one_invitation_at_once_one_joins() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let all = (0..8).map(|_| join_with(&invitation));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all.iter().filter(|joined| joined.is_ok()).count(), 1);
    for refused in all.into_iter().filter(Result::is_err) {
        assert_refused(refused, &Refusal::Reused);
    }
    assert_eq!(listener.stats().joined, 1);
}

#[tokio::test]
async fn a_node_that_was_given_up_is_refused() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    listener.revoke(&invitation.node);
    assert_refused(join_with(&invitation).await, &Refusal::Revoked);
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn a_node_that_is_given_up_before_it_is_accepted_is_cut_off() {
    let listener = listen();
    let invitation = listener.invite("r", MINUTE).unwrap();
    let joined = join_with(&invitation).await.unwrap();
    listener.revoke(&invitation.node);
    // The next to be accepted is the next who joins.
    link(&listener, "honest").await;
    let (connection, ..) = joined.into_parts();
    assert_eq!(close_code(&end_of(&connection).await), Some(5));
}

#[tokio::test]
async fn an_expired_invitation_is_refused_with_the_reason() {
    let listener = listen();
    let mut invitation = listener.invite("r", Duration::ZERO).unwrap();
    invitation.valid_for = MINUTE;
    assert_refused(join_with(&invitation).await, &Refusal::Expired);
    assert_eq!(listener.refusal(&invitation.node), Some(Refusal::Expired));
    assert_nobody_got_in(&listener).await;
}

#[tokio::test]
async fn damaged_credentials_are_an_error_at_once() {
    let listener = listen();
    let mut invitation = listener.invite("r", MINUTE).unwrap();
    let (whole, other) = (invitation.credentials.clone(), listener.invite("s", MINUTE).unwrap().credentials);
    let (ca, leaf, key) = (whole.authority_der(), whole.certificate_der(), whole.key_der());
    for (ca, leaf, key) in [
        (&[][..], leaf, key),
        (ca, &[][..], key),
        (ca, leaf, &[][..]),
        (&ca[1..], leaf, key),
        (ca, leaf, other.key_der()),
    ] {
        use flame_transport::Credentials;
        invitation.credentials = Credentials::from_der(ca.to_vec(), leaf.to_vec(), key.to_vec());
        let error = join_with(&invitation).await.unwrap_err();
        assert!(matches!(error, JoinError::Identity(_)), "{error:?}");
    }
    assert_nobody_got_in(&listener).await;
}

#[test]
fn secrets_do_not_show() {
    let authority = Authority::new().unwrap();
    let (parent, node) = (NodeId::new("parent").unwrap(), NodeId::new("r").unwrap());
    let credentials = authority.issue(&parent, &node, MINUTE).unwrap();
    let shown = format!("{credentials:?} {authority:?}");
    assert!(shown.contains("secret") && shown.len() < 200, "{shown}");
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, JoinError>, reason: &Refusal) {
    match result {
        Err(JoinError::Refused(refusal)) => assert_eq!(&refusal, reason),
        other => panic!("{other:?} and not {reason:?}"),
    }
}
