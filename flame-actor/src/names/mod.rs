//! Names for actors, within a parent's cluster: the parent and its runners.
//!
//! The parent keeps the [table](crate::node::names); on a runner, each of the functions here is a question to it.

mod error;

use std::sync::Arc;

use actix::{Actor, Context};
use flame_transport::{Body, MAIN_PORT};

pub use error::NameError;

use crate::{
    Parent, host,
    node::names::{Answer, Names, Refusal, Wish},
    registry::Registry,
    remote::{PLAIN, Peer, RemoteAddr, SendError, decode_answer, encode_whole},
    runner::guard,
};

/// Gives an actor a name, by which [`lookup`] finds it from the parent and from each of its runners.
///
/// A name is a reference like any other: it keeps a placed actor that was [detached](crate::Child::detach) alive. It goes when
/// the actor stops, when its node is lost, and with [`unregister`]. An actor may have several.
///
/// The table is that of the parent that pools share, or on a runner that of its own parent, whichever it is; a
/// [`Parent`](crate::Parent) of its own has its own.
///
/// # Errors
///
/// The name is taken, or is none: 1 to 255 bytes. The table is full: 4096 names. The actor's type has no `#[remote]` handler. On
/// a runner, the parent is lost.
///
/// # Cancel safety
///
/// Dropped midway on a runner, the name may have been given or not.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::{NameError, RemoteAddr, lookup, register, remote};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Limiter(u32);
/// impl Actor for Limiter {
///     type Context = Context<Self>;
/// }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "bool")]
/// struct May;
///
/// #[remote]
/// impl Handler<May> for Limiter {
///     type Result = bool;
///     fn handle(&mut self, _: May, _: &mut Context<Self>) -> bool {
///         self.0 = self.0.saturating_sub(1);
///         self.0 > 0
///     }
/// }
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // A placed `Child` would do as well.
///     register("limiter", &RemoteAddr::from(Limiter(10).start())).await?;
///     // Here, or in an actor or task on a runner:
///     let limiter = lookup::<Limiter>("limiter").await?;
///     assert!(limiter.send(May).await?);
///     assert!(matches!(lookup::<Limiter>("other").await, Err(NameError::Unknown { .. })));
///     Ok(())
/// }
/// ```
pub async fn register<A>(name: &str, address: &RemoteAddr<A>) -> Result<(), NameError>
where
    A: Actor<Context = Context<A>>,
{
    ask(name, registration(name, address)?).await.map(drop)
}

/// Finds the actor of this name.
///
/// # Errors
///
/// Nobody has the name, or an actor of another type has it. On a runner, the parent is lost.
///
/// # Cancel safety
///
/// Dropped midway, nothing has happened.
pub async fn lookup<A>(name: &str) -> Result<RemoteAddr<A>, NameError>
where
    A: Actor<Context = Context<A>>,
{
    found(name, ask(name, search::<A>(name)?).await?)
}

/// Takes a name back, whoever has it.
///
/// # Errors
///
/// Nobody has the name. On a runner, the parent is lost.
///
/// # Cancel safety
///
/// Dropped midway on a runner, the name may have been taken or not.
pub async fn unregister(name: &str) -> Result<(), NameError> {
    ask(name, Wish::Unregister { name: name.to_owned() }).await.map(drop)
}

impl Parent {
    /// As [`register`], in this parent's table.
    ///
    /// # Errors
    ///
    /// As [`register`].
    pub fn register<A>(&self, name: &str, address: &RemoteAddr<A>) -> Result<(), NameError>
    where
        A: Actor<Context = Context<A>>,
    {
        let answer = self.names().answer(registration(name, address)?);
        answer.map(drop).map_err(|refusal| refused(name, refusal))
    }

    /// As [`lookup`], in this parent's table.
    ///
    /// # Errors
    ///
    /// As [`lookup`].
    pub fn lookup<A>(&self, name: &str) -> Result<RemoteAddr<A>, NameError>
    where
        A: Actor<Context = Context<A>>,
    {
        let answer = self.names().answer(search::<A>(name)?);
        found(name, answer.map_err(|refusal| refused(name, refusal))?)
    }

    /// As [`unregister`], in this parent's table.
    ///
    /// # Errors
    ///
    /// As [`unregister`].
    pub fn unregister(&self, name: &str) -> Result<(), NameError> {
        let answer = self.names().answer(Wish::Unregister { name: name.to_owned() });
        answer.map(drop).map_err(|refusal| refused(name, refusal))
    }
}

fn registration<A>(name: &str, address: &RemoteAddr<A>) -> Result<Wish, NameError>
where
    A: Actor<Context = Context<A>>,
{
    let actor = number::<A>()?;
    Ok(Wish::Register { name: name.to_owned(), actor, address: address.to_any() })
}

fn search<A: Actor>(name: &str) -> Result<Wish, NameError> {
    Ok(Wish::Lookup { name: name.to_owned(), actor: number::<A>()? })
}

/// Two nodes of one build number their actor types alike.
fn number<A: Actor>() -> Result<u32, NameError> {
    let registry = Registry::get().map_err(SendError::from).map_err(NameError::Parent)?;
    registry.actor::<A>().ok_or(NameError::NotRemote { actor: std::any::type_name::<A>() })
}

fn found<A>(name: &str, answer: Answer) -> Result<RemoteAddr<A>, NameError>
where
    A: Actor<Context = Context<A>>,
{
    // Gone between the answer and here.
    answer.and_then(RemoteAddr::from_any).ok_or_else(|| NameError::Unknown { name: name.to_owned() })
}

fn refused(name: &str, refusal: Refusal) -> NameError {
    let name = name.to_owned();
    match refusal {
        Refusal::Invalid => NameError::Invalid { name },
        Refusal::Unknown => NameError::Unknown { name },
        Refusal::Taken => NameError::Taken { name },
        Refusal::Full => NameError::Full { max: Names::MAX },
        Refusal::WrongType(actor) => {
            let known = Registry::get().ok().and_then(|registry| registry.actor_name(actor));
            NameError::WrongType { name, actual: known.unwrap_or("another").to_owned() }
        }
    }
}

/// Asks the table of this node's cluster.
async fn ask(name: &str, wish: Wish) -> Result<Answer, NameError> {
    let answer = match host::here() {
        Some(host) => {
            let parent = host.parent().ok_or(NameError::Parent(SendError::NoReply))?;
            ask_parent(&parent, &wish).await.map_err(NameError::Parent)?
        }
        None if guard::standing().runner => return Err(NameError::ForeignThread),
        None => Names::shared().answer(wish),
    };
    answer.map_err(|refusal| refused(name, refusal))
}

async fn ask_parent(parent: &Arc<Peer>, wish: &Wish) -> Result<Result<Answer, Refusal>, SendError> {
    let link = parent.link().ok_or(SendError::NoReply)?;
    let sendable = encode_whole(wish, parent.max_message())?;
    let sendable = sendable.for_link(parent).map_err(|_| SendError::Unreachable)?;
    let body = [&[PLAIN], &sendable.body[..]].concat();
    let asked = link.lane(MAIN_PORT).ask(Body::Own(body.into()));
    let asked = asked.map_err(|error| SendError::from_send(error, parent.node()))?;
    sendable.sent();
    let body = asked.await.map_err(|error| SendError::from_ask(error, parent.node()))?;
    decode_answer(&body, Some(parent))
}
