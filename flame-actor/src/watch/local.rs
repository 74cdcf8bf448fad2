//! The end of an actor of which only an address is known. actix tells nobody of it, so it is looked for.

use std::time::Duration;

use actix::{Actor, Message, Recipient, WeakAddr, WeakRecipient};

use crate::remote::DownReason;

/// How late such an end is noticed, at the most.
const LOOK: Duration = Duration::from_millis(100);

/// Resolves when the actor has ended. Keeps it alive no more than any weak address.
pub(crate) async fn end_of<A: Actor<Context = actix::Context<A>>>(address: WeakAddr<A>) -> DownReason {
    until_not(|| address.upgrade().is_some_and(|address| address.connected())).await
}

/// The same, for an actor of which one message is known.
pub(crate) async fn end_of_recipient<M>(recipient: WeakRecipient<M>) -> DownReason
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    until_not(|| recipient.upgrade().is_some_and(|recipient: Recipient<M>| recipient.connected())).await
}

async fn until_not(is_there: impl Fn() -> bool) -> DownReason {
    while is_there() {
        tokio::time::sleep(LOOK).await;
    }
    DownReason::Stopped
}
