//! The reader's side of a stream whose source is on another node.

use std::sync::Arc;

use bytes::BytesMut;
use flame_transport::{Body, BulkReceiver, varint};
use futures_util::stream;

use super::{
    error::StreamError,
    kind::{Kind, Unpacked},
    slot::Source,
};
use crate::remote::{Patience, Peer, Ready, Remote, put_head};

/// Answers of a source to the one who asks for it.
pub(super) const COMES: &[u8] = &[1];
pub(super) const TAKEN: &[u8] = &[0];

/// A source of this node that is the one behind a port of another. It is asked for when it is first polled.
pub(super) fn source<K: Kind>(remote: Arc<Remote>) -> Source<K::Item> {
    let flow = stream::unfold(Phase::Unread(remote), |phase| async {
        let mut reading = match phase {
            Phase::Unread(remote) => match Reading::begin(remote).await {
                Ok(reading) => reading,
                Err(error) => return Some((Err(error), Phase::Ended)),
            },
            Phase::Reading(reading) => reading,
            Phase::Ended => return None,
        };
        match K::unpack(&mut reading.receiver, &reading.remote, &reading.peer).await {
            Ok(Some(Unpacked { item, referring })) => {
                if referring {
                    reading.say_taken();
                }
                Some((Ok(item), Phase::Reading(reading)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), Phase::Ended)),
        }
    });
    Box::pin(flow)
}

enum Phase {
    Unread(Arc<Remote>),
    Reading(Reading),
    Ended,
}

struct Reading {
    // Stopped before the port is given back, which would tell the producer nothing of why.
    receiver: BulkReceiver,
    /// Keeps the port, and with it whatever the source's node counts for it.
    remote: Arc<Remote>,
    peer: Arc<Peer>,
}

impl Reading {
    async fn begin(remote: Arc<Remote>) -> Result<Self, StreamError> {
        let peer = remote.peer().ok_or(StreamError::Gone)?;
        let link = peer.link().ok_or(StreamError::Gone)?;
        let expected = link.expect_bulk();
        let mut order = BytesMut::new();
        put_head(&mut order, 0, &[], false);
        varint::put(&mut order, expected.number());
        let asked = remote.ask(Ready::Plain(Body::Copy(&order)), Patience::Bounded);
        let (answer, _) = asked.map_err(StreamError::from_send)?.await.map_err(StreamError::from_send)?;
        if answer != COMES {
            return Err(StreamError::Taken);
        }
        let receiver =
            expected.arrived().await.map_err(|error| StreamError::from_bulk(error, peer.node()))?;
        Ok(Self { receiver, remote, peer })
    }

    /// Tells the producer that the references in its next item are this node's now.
    fn say_taken(&self) {
        let mut word = BytesMut::new();
        put_head(&mut word, 0, &[], false);
        // If it cannot be told, the link is lost, or this node will be taken for one that has not got them.
        let _ = self.remote.tell(Ready::Plain(Body::Copy(&word)), Patience::Bounded);
    }
}
