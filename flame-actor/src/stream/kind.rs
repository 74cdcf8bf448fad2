//! The kinds of streams, and how their items stand in the frames of a bulk stream.

use std::{future::Future, marker::PhantomData, sync::Arc};

use bytes::{Bytes, BytesMut};
use flame_transport::{Body, BulkReceiver};
use serde::{Serialize, de::DeserializeOwned};

use super::error::StreamError;
use crate::remote::{Encoded, Peer, Remote, Sendable, decode_keeping, encode_answer, rebase, refers};

/// What flows in a stream.
pub(super) trait Kind: 'static {
    type Item: Send + 'static;

    /// Stands in a reference to a stream where the number of a message stands in one to an actor.
    const NUMBER: u32;

    /// The frame for an item.
    fn pack(item: Self::Item, peer: &Arc<Peer>) -> Result<Packed, StreamError>;

    /// The next item of a source; `None` at the end.
    fn unpack(
        receiver: &mut BulkReceiver,
        remote: &Remote,
        peer: &Arc<Peer>,
    ) -> impl Future<Output = Result<Option<Unpacked<Self::Item>>, StreamError>> + Send;
}

/// A frame to be sent.
pub(super) struct Packed {
    pub(super) frame: Bytes,
    /// The references in it, where there are any: the reader's once it says that it has them.
    pub(super) referring: Option<Sendable>,
}

pub(super) struct Unpacked<I> {
    pub(super) item: I,
    /// The producer has to hear that its references were taken over.
    pub(super) referring: bool,
}

/// Bytes: frames are as long as they happen to be.
pub(super) struct Raw;

/// Serde items: each is one frame, with the body of an answer (see `remote::reference`).
pub(super) struct Items<T>(PhantomData<fn(T)>);

/// Serde items that are only passed on, from one link to another.
pub(super) struct Passed;

/// No actor has so many messages.
const BYTES: u32 = u32::MAX;
const ITEMS: u32 = u32::MAX - 1;

impl Kind for Raw {
    type Item = Bytes;

    const NUMBER: u32 = BYTES;

    fn pack(item: Bytes, _: &Arc<Peer>) -> Result<Packed, StreamError> {
        Ok(Packed { frame: item, referring: None })
    }

    async fn unpack(
        receiver: &mut BulkReceiver,
        _: &Remote,
        peer: &Arc<Peer>,
    ) -> Result<Option<Unpacked<Bytes>>, StreamError> {
        let part = receiver.next().await.map_err(|error| StreamError::from_bulk(error, peer.node()))?;
        Ok(part.map(|part| Unpacked { item: part.bytes, referring: false }))
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Kind for Items<T> {
    type Item = T;

    const NUMBER: u32 = ITEMS;

    fn pack(item: T, peer: &Arc<Peer>) -> Result<Packed, StreamError> {
        let encoded = encode_answer(&item, peer.max_message());
        let encoded = encoded
            .map_err(|error| StreamError::failed(format_args!("an item cannot be encoded: {error}")))?;
        Passed::pack(encoded, peer)
    }

    async fn unpack(
        receiver: &mut BulkReceiver,
        remote: &Remote,
        peer: &Arc<Peer>,
    ) -> Result<Option<Unpacked<T>>, StreamError> {
        let Some(frame) = frame(receiver, peer).await? else { return Ok(None) };
        let item = decode_keeping(&frame, peer, remote.keeper());
        let item = item.map_err(|error| StreamError::Decode { message: error.to_string() })?;
        Ok(Some(Unpacked { item, referring: refers(&frame) }))
    }
}

impl Kind for Passed {
    type Item = Encoded;

    const NUMBER: u32 = ITEMS;

    fn pack(item: Encoded, peer: &Arc<Peer>) -> Result<Packed, StreamError> {
        match item {
            Encoded::Whole(frame) => Ok(Packed { frame, referring: None }),
            referring @ Encoded::Referring { .. } => {
                let sendable = referring.for_link(peer);
                let sendable =
                    sendable.map_err(|_| StreamError::failed("an item refers to an unreachable actor"))?;
                Ok(Packed { frame: sendable.body.clone(), referring: Some(sendable) })
            }
        }
    }

    async fn unpack(
        receiver: &mut BulkReceiver,
        _: &Remote,
        peer: &Arc<Peer>,
    ) -> Result<Option<Unpacked<Encoded>>, StreamError> {
        let Some(frame) = frame(receiver, peer).await? else { return Ok(None) };
        let referring = refers(&frame);
        let item = rebase(Body::Own(frame), peer)
            .map_err(|_| StreamError::Decode { message: "an item refers to what is gone".to_owned() })?;
        Ok(Some(Unpacked { item: item.into_encoded(), referring }))
    }
}

/// The next whole frame.
async fn frame(receiver: &mut BulkReceiver, peer: &Arc<Peer>) -> Result<Option<Bytes>, StreamError> {
    // An item that is encoded fits into a message; its table of references comes on top.
    let limit = peer.max_message().saturating_mul(2);
    let mut frame = BytesMut::new();
    loop {
        let part = receiver.next().await.map_err(|error| StreamError::from_bulk(error, peer.node()))?;
        let Some(part) = part else {
            if frame.is_empty() {
                return Ok(None);
            }
            return Err(StreamError::Decode { message: "the stream ends within an item".to_owned() });
        };
        if part.ends && frame.is_empty() {
            return Ok(Some(part.bytes));
        }
        if frame.len() + part.bytes.len() > limit {
            return Err(StreamError::Decode { message: format!("an item of more than {limit} bytes") });
        }
        frame.extend_from_slice(&part.bytes);
        if part.ends {
            return Ok(Some(frame.freeze()));
        }
    }
}
