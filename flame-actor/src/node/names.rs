//! The parent's table of names, and what is asked of it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use flame_transport::Owed;
use serde::{Deserialize, Serialize};

use crate::{
    delivery::reply_owed,
    remote::{AnyAddr, Peer, parse, scope},
};

/// The names of one cluster.
#[derive(Default)]
pub(crate) struct Names {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    /// The number of the actor's type.
    actor: u32,
    address: AnyAddr,
}

/// What is asked of the table.
#[derive(Serialize, Deserialize)]
pub(crate) enum Wish {
    Register { name: String, actor: u32, address: AnyAddr },
    Lookup { name: String, actor: u32 },
    Unregister { name: String },
}

/// What it answers: an address, if one was looked for.
pub(crate) type Answer = Option<AnyAddr>;

/// Why a wish is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Invalid,
    Unknown,
    Taken,
    Full,
    WrongType(u32),
}

impl Names {
    /// The most names there can be.
    pub(crate) const MAX: usize = 4096;
    /// The longest name, in bytes.
    pub(crate) const MAX_NAME: usize = 255;

    /// Those of the parent that pools share. They are there before its first pool.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Names>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }

    /// Answers what a runner asks over its link.
    pub(crate) fn answer_from_afar(&self, body: &[u8], owed: Owed, peer: &Arc<Peer>) {
        let wish = parse(body, peer).ok().map(|parts| scope::decode(parts.payload, parts.table));
        match wish {
            Some(Ok(wish)) => reply_owed(&self.answer(wish), owed, peer),
            _ => tracing::warn!(runner = %peer.node(), "a runner asks for what cannot be understood"),
        }
    }

    pub(crate) fn answer(&self, wish: Wish) -> Result<Answer, Refusal> {
        match wish {
            Wish::Register { name, actor, address } => {
                self.add(name, Entry { actor, address }).map(|()| None)
            }
            Wish::Lookup { name, actor } => self.find(&name, actor).map(Some),
            Wish::Unregister { name } => self.remove(&name).map(|_| None),
        }
    }

    fn add(&self, name: String, entry: Entry) -> Result<(), Refusal> {
        if name.is_empty() || name.len() > Self::MAX_NAME {
            return Err(Refusal::Invalid);
        }
        let mut entries = self.entries();
        // A name goes with its actor. Names are given seldom enough to look at all of them then.
        let gone: Vec<_> = entries.extract_if(|_, entry| entry.address.is_gone()).collect();
        let refusal = match entries.len() {
            _ if entries.contains_key(&name) => Some(Refusal::Taken),
            Self::MAX.. => Some(Refusal::Full),
            _ => {
                entries.insert(name, entry);
                None
            }
        };
        drop(entries);
        // Outside of the lock: these may have been the last references to something.
        drop(gone);
        refusal.map_or(Ok(()), Err)
    }

    fn find(&self, name: &str, actor: u32) -> Result<AnyAddr, Refusal> {
        let entries = self.entries();
        let entry = entries.get(name).filter(|entry| !entry.address.is_gone()).ok_or(Refusal::Unknown)?;
        if entry.actor == actor { Ok(entry.address.clone()) } else { Err(Refusal::WrongType(entry.actor)) }
    }

    fn remove(&self, name: &str) -> Result<AnyAddr, Refusal> {
        let gone = self.entries().remove(name).ok_or(Refusal::Unknown)?;
        Ok(gone.address)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names({})", self.entries().len())
    }
}
