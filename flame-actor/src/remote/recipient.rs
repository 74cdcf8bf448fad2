//! The address of an actor for one message type, wherever it is.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use actix::{Message, Recipient};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    error::SendError,
    export::ExportedRecipient,
    field::{GONE_HOME, WRONG_KIND, deserialize_reference, serialize_reference},
    line::Patience,
    outgoing::{SerdeMessage, ask, dead_letter, from_mailbox, tell},
    proxy,
    reference::{Reference, Resolved},
    request::Request,
    target::Remote,
};

/// The address of an actor, of this node or another one, that takes the message `M`.
///
/// It can be a field of messages and of placed actors. Use it where errors matter; where the code should stay plain
/// actix, take an `actix::Recipient<M>` with `#[serde(with = "flame_actor::recipient")]` instead.
pub struct RemoteRecipient<M>
where
    M: Message + Send,
    M::Result: Send,
{
    target: Target<M>,
}

enum Target<M>
where
    M: Message + Send,
    M::Result: Send,
{
    Local(Recipient<M>),
    Remote(Arc<Remote>, u32),
}

impl<M: SerdeMessage> RemoteRecipient<M> {
    pub(super) fn local(recipient: Recipient<M>) -> Self {
        Self { target: Target::Local(recipient) }
    }

    pub(super) fn remote(remote: Arc<Remote>, method: u32) -> Self {
        Self { target: Target::Remote(remote, method) }
    }

    /// As [`RemoteAddr::send`](super::RemoteAddr::send).
    pub fn send(&self, message: M) -> Request<M> {
        match &self.target {
            Target::Local(recipient) => Request::local(recipient.send(message)),
            Target::Remote(remote, method) => ask(remote, *method, &message, Patience::Bounded),
        }
    }

    /// As [`RemoteAddr::do_send`](super::RemoteAddr::do_send).
    pub fn do_send(&self, message: M) {
        match &self.target {
            Target::Local(recipient) => recipient.do_send(message),
            Target::Remote(remote, method) => {
                dead_letter::<M>(tell(remote, *method, &message, Patience::Bounded))
            }
        }
    }

    /// As [`RemoteAddr::try_send`](super::RemoteAddr::try_send).
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the actor is behind, and whatever else is known of it at this moment.
    pub fn try_send(&self, message: M) -> Result<(), SendError> {
        match &self.target {
            Target::Local(recipient) => recipient.try_send(message).map_err(from_mailbox),
            Target::Remote(remote, method) => tell(remote, *method, &message, Patience::None),
        }
    }

    /// A genuine `actix::Recipient` of the same actor.
    #[must_use]
    pub fn recipient(&self) -> Recipient<M> {
        match &self.target {
            Target::Local(recipient) => recipient.clone(),
            Target::Remote(remote, method) => proxy::recipient(remote, *method),
        }
    }

    fn reference(&self) -> Reference {
        match &self.target {
            Target::Local(recipient) => match proxy::original(recipient) {
                Some((remote, method)) => Reference::Remote(remote, method),
                None => Reference::Local(Arc::new(ExportedRecipient(recipient.clone())), 0),
            },
            Target::Remote(remote, method) => Reference::Remote(Arc::clone(remote), *method),
        }
    }
}

impl<M: SerdeMessage> From<Recipient<M>> for RemoteRecipient<M> {
    /// A recipient that stands for an actor of another node stays that actor's.
    fn from(recipient: Recipient<M>) -> Self {
        match proxy::original(&recipient) {
            Some((remote, method)) => Self::remote(remote, method),
            None => Self::local(recipient),
        }
    }
}

impl<M> Clone for RemoteRecipient<M>
where
    M: Message + Send,
    M::Result: Send,
{
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Local(recipient) => Target::Local(recipient.clone()),
            Target::Remote(remote, method) => Target::Remote(Arc::clone(remote), *method),
        };
        Self { target }
    }
}

impl<M: SerdeMessage> PartialEq for RemoteRecipient<M> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Target::Local(a), Target::Local(b)) => a == b,
            (Target::Remote(a, m), Target::Remote(b, n)) => a.identity() == b.identity() && m == n,
            _ => false,
        }
    }
}

impl<M: SerdeMessage> Eq for RemoteRecipient<M> {}

impl<M: SerdeMessage> Hash for RemoteRecipient<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.target {
            Target::Local(recipient) => recipient.hash(state),
            Target::Remote(remote, method) => (remote.identity(), method).hash(state),
        }
    }
}

impl<M> fmt::Debug for RemoteRecipient<M>
where
    M: Message + Send,
    M::Result: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<M>();
        match &self.target {
            Target::Local(_) => write!(f, "RemoteRecipient<{name}>(this node)"),
            Target::Remote(remote, _) => write!(f, "RemoteRecipient<{name}>({})", remote.place()),
        }
    }
}

impl<M: SerdeMessage> Serialize for RemoteRecipient<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_reference(self.reference(), serializer)
    }
}

impl<'de, M: SerdeMessage> Deserialize<'de> for RemoteRecipient<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserialize_reference(deserializer)? {
            Resolved::Remote(remote, method) => Ok(Self::remote(remote, method)),
            Resolved::Home(actor, method) => {
                let original = actor.recipient(method).ok_or_else(|| de::Error::custom(GONE_HOME))?;
                let recipient =
                    original.downcast::<Recipient<M>>().map_err(|_| de::Error::custom(WRONG_KIND))?;
                Ok(Self::local(*recipient))
            }
        }
    }
}

/// Lets a plain `actix::Recipient<M>` travel as a field, with `#[serde(with = "flame_actor::recipient")]`.
///
/// On the other node the field is a genuine `Recipient<M>` too: what is sent to it lands in the original's mailbox. The
/// type in the field needs no attribute of this crate; `M` and its result have to be serde types.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "()")]
/// struct Progress(u32);
///
/// #[derive(Serialize, Deserialize)]
/// struct Job {
///     #[serde(with = "flame_actor::recipient")]
///     progress: Recipient<Progress>,
/// }
/// ```
pub mod serde_recipient {
    use super::{Deserialize, Deserializer, Recipient, RemoteRecipient, SerdeMessage, Serialize, Serializer};

    /// Serialises the recipient as a reference.
    ///
    /// # Errors
    ///
    /// Outside of a message to another node, to which a reference could mean nothing.
    pub fn serialize<M: SerdeMessage, S: Serializer>(
        recipient: &Recipient<M>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        RemoteRecipient::local(recipient.clone()).serialize(serializer)
    }

    /// Makes a recipient of a reference.
    ///
    /// # Errors
    ///
    /// Outside of a message of another node, and if the reference is to something else.
    pub fn deserialize<'de, M: SerdeMessage, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Recipient<M>, D::Error> {
        Ok(RemoteRecipient::deserialize(deserializer)?.recipient())
    }
}
