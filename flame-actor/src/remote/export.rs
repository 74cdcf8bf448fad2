//! Actors of this node that other nodes may address.

use std::{
    any::{Any, TypeId},
    hash::{Hash, Hasher},
    sync::Arc,
};

use actix::{Actor, Addr, Context, Message, Recipient, WeakAddr};
use flame_transport::Inbox;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{error::DownReason, peer::Peer, target::Remote};
use crate::{
    delivery::{fate::Fate, forward},
    registry::Registry,
    watch::{EndWatch, Notify, local},
};

/// Which actor it is, and as what it is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ExportKey {
    /// The actor's mailbox.
    pointer: u64,
    kind: TypeId,
}

impl ExportKey {
    pub(crate) fn of<K: 'static>(pointer: u64) -> Self {
        Self { pointer, kind: TypeId::of::<K>() }
    }
}

/// An actor of this node in the form in which it is exported; a stream is exported the same way.
pub(crate) trait Exportable: Send + Sync {
    fn key(&self) -> ExportKey;

    /// Delivers what comes to the inbox, until it ends.
    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>);

    /// The `Addr<A>` or `Recipient<M>` itself; `None` if the actor has gone.
    fn original(&self) -> Option<Box<dyn Any>>;

    /// The `Recipient<M>` of one of the actor's messages.
    fn recipient(&self, method: u32) -> Option<Box<dyn Any>>;

    /// Has someone told of the actor's end.
    fn watch(&self, peer: &Arc<Peer>, notify: Notify) -> EndWatch;

    /// How the actor ended, once it no longer serves its port; `None` where that is not known.
    fn end(&self) -> Option<DownReason> {
        None
    }

    /// Whether the actor has gone.
    fn is_gone(&self) -> bool {
        self.original().is_none()
    }

    /// The actor of another node that this only stands for.
    fn relayed(&self) -> Option<&Arc<Remote>> {
        None
    }
}

/// An actor that is known by its address.
pub(crate) struct ExportedAddr<A: Actor>(pub(crate) Addr<A>);

impl<A: Actor<Context = Context<A>>> Exportable for ExportedAddr<A> {
    fn key(&self) -> ExportKey {
        key_of::<A>(&self.0)
    }

    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>) {
        peer.spawn(forward::to_addr(self.0.clone(), inbox, Arc::clone(peer)));
    }

    fn original(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.0.clone()))
    }

    fn recipient(&self, method: u32) -> Option<Box<dyn Any>> {
        recipient_of(&self.0, method)
    }

    fn watch(&self, peer: &Arc<Peer>, notify: Notify) -> EndWatch {
        tell_when(local::end_of(self.0.downgrade()), peer, notify)
    }

    fn is_gone(&self) -> bool {
        !self.0.connected()
    }
}

/// An actor of which one message is known.
pub(crate) struct ExportedRecipient<M>(pub(crate) Recipient<M>)
where
    M: Message + Send,
    M::Result: Send;

impl<M> Exportable for ExportedRecipient<M>
where
    M: Message + DeserializeOwned + Send + 'static,
    M::Result: Serialize + Send,
{
    fn key(&self) -> ExportKey {
        key_of::<Recipient<M>>(&self.0)
    }

    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>) {
        peer.spawn(forward::to_recipient(self.0.clone(), inbox, Arc::clone(peer)));
    }

    fn original(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.0.clone()))
    }

    fn recipient(&self, _method: u32) -> Option<Box<dyn Any>> {
        self.original()
    }

    fn watch(&self, peer: &Arc<Peer>, notify: Notify) -> EndWatch {
        tell_when(local::end_of_recipient(self.0.downgrade()), peer, notify)
    }
}

/// A placed actor, which is kept alive by its lanes and not by being exported. What comes for it is not served here
/// but by the lane in its own context.
pub(crate) struct ExportedChild<A: Actor> {
    address: WeakAddr<A>,
    key: ExportKey,
    fate: Fate,
}

impl<A: Actor> ExportedChild<A> {
    pub(crate) fn new(address: &Addr<A>, fate: Fate) -> Self {
        Self { address: address.downgrade(), key: key_of::<A>(address), fate }
    }
}

impl<A: Actor<Context = Context<A>>> Exportable for ExportedChild<A> {
    fn key(&self) -> ExportKey {
        self.key
    }

    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>) {
        // Its port was released and it is being named again, on its last legs or by itself: as any other actor.
        if let Some(address) = self.address.upgrade() {
            peer.spawn(forward::to_addr(address, inbox, Arc::clone(peer)));
        }
    }

    fn original(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.address.upgrade()?))
    }

    fn recipient(&self, method: u32) -> Option<Box<dyn Any>> {
        recipient_of(&self.address.upgrade()?, method)
    }

    fn watch(&self, _peer: &Arc<Peer>, notify: Notify) -> EndWatch {
        self.fate.watch(notify)
    }

    fn end(&self) -> Option<DownReason> {
        Some(self.fate.get())
    }
}

/// Tells of an end that is looked for.
fn tell_when(
    end: impl Future<Output = DownReason> + Send + 'static,
    peer: &Arc<Peer>,
    notify: Notify,
) -> EndWatch {
    let (wanted, unwanted) = oneshot::channel::<()>();
    peer.spawn(async move {
        tokio::select! {
            reason = end => notify.tell(reason),
            _ = unwanted => {}
        }
    });
    Box::new(move || drop(wanted))
}

/// The identity of the actor behind an address or recipient: what its `Hash` feeds, which is the mailbox's pointer.
pub(crate) fn pointer_of(address: &impl Hash) -> u64 {
    address_hash(address)
}

fn key_of<K: 'static>(address: &impl Hash) -> ExportKey {
    ExportKey::of::<K>(address_hash(address))
}

fn recipient_of<A: Actor<Context = Context<A>>>(address: &Addr<A>, method: u32) -> Option<Box<dyn Any>> {
    let methods = Registry::get().ok()?.methods::<A>();
    Some((methods.get(method as usize)?.recipient)(address))
}

fn address_hash(address: &impl Hash) -> u64 {
    /// Keeps the one word that it is fed.
    struct Word(u64);

    impl Hasher for Word {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = (self.0 << 8) | u64::from(byte);
            }
        }

        fn write_usize(&mut self, word: usize) {
            self.0 = word as u64;
        }
    }

    let mut word = Word(0);
    address.hash(&mut word);
    word.finish()
}
