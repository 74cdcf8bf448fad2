//! The two kinds of streams, and how their items stand in the frames of a bulk stream.

use std::{future::Future, marker::PhantomData, sync::Arc};

use bytes::{Bytes, BytesMut};
use flame_transport::BulkReceiver;
use serde::{Serialize, de::DeserializeOwned};

use super::error::StreamError;
use crate::remote::{Encoded, Peer, Remote, Sendable, decode_keeping, encode_whole, refers};

/// What flows in a stream.
pub(super) trait Kind: 'static {
    type Item: Send + 'static;

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

impl Kind for Raw {
    type Item = Bytes;

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

    fn pack(item: T, peer: &Arc<Peer>) -> Result<Packed, StreamError> {
        let encoded = encode_whole(&item, peer.max_message())
            .map_err(|error| StreamError::failed(format_args!("an item cannot be encoded: {error}")))?;
        match encoded {
            Encoded::Whole(frame) => Ok(Packed { frame, referring: None }),
            referring @ Encoded::Referring { .. } => {
                let sendable = referring
                    .for_link(peer)
                    .map_err(|_| StreamError::failed("an item refers to an unreachable actor"))?;
                Ok(Packed { frame: sendable.body.clone(), referring: Some(sendable) })
            }
        }
    }

    async fn unpack(
        receiver: &mut BulkReceiver,
        remote: &Remote,
        peer: &Arc<Peer>,
    ) -> Result<Option<Unpacked<T>>, StreamError> {
        // An item that is encoded fits into a message; its table of references comes on top.
        let limit = peer.max_message().saturating_mul(2);
        let decode = |message: String| StreamError::Decode { message };
        let mut frame = BytesMut::new();
        loop {
            let part = receiver.next().await.map_err(|error| StreamError::from_bulk(error, peer.node()))?;
            let Some(part) = part else {
                return if frame.is_empty() {
                    Ok(None)
                } else {
                    Err(decode("it ends within an item".into()))
                };
            };
            if frame.len() + part.bytes.len() > limit {
                return Err(decode(format!("an item of more than {limit} bytes")));
            }
            let whole = if part.ends && frame.is_empty() {
                part.bytes
            } else {
                frame.extend_from_slice(&part.bytes);
                if !part.ends {
                    continue;
                }
                frame.split().freeze()
            };
            let item =
                decode_keeping(&whole, peer, remote.keeper()).map_err(|error| decode(error.to_string()))?;
            let referring = refers(&whole);
            return Ok(Some(Unpacked { item, referring }));
        }
    }
}
