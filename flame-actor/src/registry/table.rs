//! The entries of this executable, sorted, checked and numbered.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    panic::Location,
    sync::OnceLock,
};

use actix::{Actor, Context};
use ring::digest::{self, SHA256};

use super::{HandlerEntry, MethodId, RegistryError, TaskEntry};
use crate::{
    delivery::Methods,
    host::PlaceFn,
    task::{RunFn, Task},
};

/// Every remote handler and task of this executable, by its number on the wire.
///
/// Numbers from a peer are looked up here: one that nobody has is `None`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Registry {
    actors: Vec<ActorRow>,
    actor_numbers: HashMap<TypeId, u32>,
    tasks: Vec<&'static TaskEntry>,
    task_numbers: HashMap<TypeId, u32>,
    digest: [u8; 32],
}

#[derive(Debug)]
struct ActorRow {
    id: TypeId,
    name: &'static str,
    place: Option<PlaceFn>,
    handlers: Vec<&'static HandlerEntry>,
    method_ids: HashMap<TypeId, MethodId>,
    /// `Box<[Methods<A>]>`, by method number.
    methods: Box<dyn Any + Send + Sync>,
}

impl Registry {
    /// That of this executable, made at the first call.
    ///
    /// # Errors
    ///
    /// Two actors, two messages of an actor, or two tasks have one name.
    pub fn get() -> Result<&'static Self, &'static RegistryError> {
        static REGISTRY: OnceLock<Result<Registry, RegistryError>> = OnceLock::new();
        REGISTRY
            .get_or_init(|| {
                let handlers = inventory::iter::<HandlerEntry>.into_iter();
                let tasks = inventory::iter::<TaskEntry>.into_iter();
                Self::build(handlers.collect(), tasks.collect())
            })
            .as_ref()
    }

    /// Numbers the entries, whose order does not matter.
    pub(super) fn build(
        handlers: Vec<&'static HandlerEntry>,
        tasks: Vec<&'static TaskEntry>,
    ) -> Result<Self, RegistryError> {
        let actors = number_handlers(handlers)?;
        let tasks = number_tasks(tasks)?;
        Ok(Self {
            actor_numbers: (0..).zip(&actors).map(|(number, row)| (row.id, number)).collect(),
            task_numbers: (0..).zip(&tasks).map(|(number, task)| ((task.id)(), number)).collect(),
            digest: digest_of(&actors, &tasks),
            actors,
            tasks,
        })
    }

    /// A fingerprint of all names in their order: two nodes with the same one mean the same by each number.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The number of the actor type `A`; `None` if it has no `#[remote]` handler in this executable.
    #[must_use]
    pub fn actor<A: Actor>(&self) -> Option<u32> {
        self.actor_numbers.get(&TypeId::of::<A>()).copied()
    }

    /// The name of an actor type, for logs and errors.
    #[must_use]
    pub fn actor_name(&self, actor: u32) -> Option<&'static str> {
        Some(self.row(actor)?.name)
    }

    /// How to start an actor of this number; `None` also if its type does not implement `Serialize` and `Deserialize`.
    #[must_use]
    pub fn place(&self, actor: u32) -> Option<PlaceFn> {
        self.row(actor)?.place
    }

    /// What `A` can do with each of its messages, by method number; empty without a `#[remote]` handler.
    #[must_use]
    pub fn methods<A: Actor<Context = Context<A>>>(&self) -> &[Methods<A>] {
        let row = self.actor::<A>().and_then(|actor| self.row(actor));
        row.and_then(|row| row.methods.downcast_ref::<Box<[Methods<A>]>>()).map_or(&[], |methods| methods)
    }

    /// The number of the message `M` among those of `A`.
    #[must_use]
    pub fn method<A: Actor, M: 'static>(&self) -> Option<MethodId> {
        let row = self.row(self.actor::<A>()?)?;
        row.method_ids.get(&TypeId::of::<M>()).copied()
    }

    /// The name of a message type of an actor, for logs and errors.
    #[must_use]
    pub fn message_name(&self, actor: u32, method: u32) -> Option<&'static str> {
        let handler = self.row(actor)?.handlers.get(usize::try_from(method).ok()?)?;
        Some((handler.message_name)())
    }

    /// The number of the task `T`.
    #[must_use]
    pub fn task<T: Task>(&self) -> Option<u32> {
        self.task_numbers.get(&TypeId::of::<T>()).copied()
    }

    /// The name of a task, for logs and errors.
    #[must_use]
    pub fn task_name(&self, task: u32) -> Option<&'static str> {
        Some((self.task_entry(task)?.name)())
    }

    /// How to run a task of this number.
    #[must_use]
    pub fn task_run(&self, task: u32) -> Option<RunFn> {
        Some(self.task_entry(task)?.run)
    }

    fn row(&self, actor: u32) -> Option<&ActorRow> {
        self.actors.get(usize::try_from(actor).ok()?)
    }

    fn task_entry(&self, task: u32) -> Option<&'static TaskEntry> {
        self.tasks.get(usize::try_from(task).ok()?).copied()
    }
}

fn number_handlers(mut handlers: Vec<&'static HandlerEntry>) -> Result<Vec<ActorRow>, RegistryError> {
    // The location only makes errors come out the same each time.
    handlers.sort_by_key(|entry| ((entry.actor_name)(), (entry.message_name)(), entry.location));
    handlers.chunk_by(|a, b| (a.actor_name)() == (b.actor_name)()).map(actor_row).collect()
}

/// `handlers` are all those of one actor name, sorted by the names of their messages, and not empty.
fn actor_row(handlers: &[&'static HandlerEntry]) -> Result<ActorRow, RegistryError> {
    let Some(first) = handlers.first() else { return Err(RegistryError::NotRegistered) };
    let (id, name) = ((first.actor)(), (first.actor_name)());
    if let Some(other) = handlers.iter().find(|entry| (entry.actor)() != id) {
        return Err(RegistryError::DuplicateActor {
            actor: name,
            first: first.location,
            second: other.location,
        });
    }
    let mut neighbours = handlers.iter().zip(handlers.iter().skip(1));
    if let Some((a, b)) = neighbours.find(|(a, b)| (a.message_name)() == (b.message_name)()) {
        return Err(RegistryError::DuplicateMessage {
            actor: name,
            message: (a.message_name)(),
            first: a.location,
            second: b.location,
        });
    }
    Ok(ActorRow {
        id,
        name,
        place: (first.place)(),
        method_ids: (0..)
            .zip(handlers)
            .map(|(number, entry)| ((entry.message)(), MethodId(number)))
            .collect(),
        methods: (first.table)(handlers),
        handlers: handlers.to_vec(),
    })
}

fn number_tasks(mut tasks: Vec<&'static TaskEntry>) -> Result<Vec<&'static TaskEntry>, RegistryError> {
    tasks.sort_by_key(|task| ((task.name)(), task.location));
    let same_name = |a: &&TaskEntry, b: &&TaskEntry| (a.name)() == (b.name)();
    let mut neighbours = tasks.iter().zip(tasks.iter().skip(1));
    match neighbours.find(|(a, b)| same_name(a, b) && !are_told_apart(a.location, b.location)) {
        Some((a, b)) => {
            Err(RegistryError::DuplicateTask { task: (a.name)(), first: a.location, second: b.location })
        }
        None => Ok(tasks),
    }
}

/// Two blocks of one function body can each hold a task of one name: their places in the file order them. Two files
/// are two versions of a crate, whose order would depend on where the sources lie.
fn are_told_apart(a: &Location<'_>, b: &Location<'_>) -> bool {
    a.file() == b.file() && (a.line(), a.column()) != (b.line(), b.column())
}

/// Counts and lengths stand before what they count, so that no two registries feed the same bytes.
fn digest_of(actors: &[ActorRow], tasks: &[&'static TaskEntry]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    let count = |context: &mut digest::Context, n: usize| context.update(&(n as u64).to_le_bytes());
    let name = |context: &mut digest::Context, name: &str| {
        count(context, name.len());
        context.update(name.as_bytes());
    };
    context.update(b"flame registry 1\n");
    count(&mut context, actors.len());
    for actor in actors {
        name(&mut context, actor.name);
        context.update(&[u8::from(actor.place.is_some())]);
        count(&mut context, actor.handlers.len());
        for handler in &actor.handlers {
            name(&mut context, (handler.message_name)());
        }
    }
    count(&mut context, tasks.len());
    for task in tasks {
        name(&mut context, (task.name)());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
