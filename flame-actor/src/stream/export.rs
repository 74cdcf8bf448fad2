//! The producer's side of a stream whose reader is on another node.

use std::{
    any::Any,
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use flame_transport::{Body, BulkClosed, Inbox, Owed, Question, varint};

use super::{
    error::{StreamClosed, StreamError},
    incoming::{COMES, TAKEN},
    kind::{Kind, Packed},
    slot::{Slot, Source},
};
use crate::{
    delivery::panics::words_of,
    remote::{DownReason, ExportKey, Exportable, Peer, Sendable, parse},
    watch::{EndWatch, Notify},
};

/// A stream in the form in which it is exported.
pub(super) struct Exported<K: Kind>(pub(super) Arc<Slot<K::Item>>);

impl<K: Kind> Exportable for Exported<K> {
    fn key(&self) -> ExportKey {
        ExportKey::of::<Slot<K::Item>>(Arc::as_ptr(&self.0) as usize as u64)
    }

    fn serve(self: Arc<Self>, inbox: Inbox, peer: &Arc<Peer>) {
        let task = serve::<K>(Arc::clone(&self.0), inbox, Arc::clone(peer));
        match self.0.home() {
            Some(home) => drop(home.spawn(task)),
            None => peer.spawn(task),
        }
    }

    fn original(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn recipient(&self, _: u32) -> Option<Box<dyn Any>> {
        None
    }

    /// No reader asks for this: it hears of the end in the stream itself.
    fn watch(&self, _: &Arc<Peer>, notify: Notify) -> EndWatch {
        notify.tell(DownReason::NotStarted { message: "it is a stream, not an actor".to_owned() });
        Box::new(|| ())
    }
}

/// How much is gathered before it is written.
const BATCH: usize = 64 * 1024;

/// Items with references that were sent, until the reader says that it has them: what it has not, is taken back.
type Unconfirmed = Mutex<VecDeque<Sendable>>;

/// Serves one exported stream until it has been read, or nobody can read it any more.
async fn serve<K: Kind>(slot: Arc<Slot<K::Item>>, mut inbox: Inbox, peer: Arc<Peer>) {
    let _export = peer.guard(inbox.port());
    let Some((order, mut source)) = reader(&slot, &mut inbox, &peer).await else {
        if let Some(lost) = gone(&peer) {
            slot.fate().set(lost);
        }
        return;
    };
    let unconfirmed = Unconfirmed::default();
    let closed = tokio::select! {
        biased;
        () = confirm(&mut inbox, &peer, &unconfirmed) => gone(&peer).unwrap_or(StreamClosed::Dropped),
        done = pump::<K>(&mut source, order, &peer, &unconfirmed) => {
            done.err().unwrap_or(StreamClosed::Dropped)
        }
    };
    // Known before the producer can see that its source has gone.
    slot.fate().set(closed);
    drop(source);
    // Others who would like to read it hear that it is taken, as long as they can ask.
    confirm(&mut inbox, &peer, &unconfirmed).await;
}

/// What a reader asks for: the number of the bulk stream to open, to be answered once it is open.
struct Order {
    number: u64,
    owed: Owed,
}

/// Waits for somebody who wants to read. `None` if nobody can any more.
async fn reader<I: Send + 'static>(
    slot: &Slot<I>,
    inbox: &mut Inbox,
    peer: &Arc<Peer>,
) -> Option<(Order, Source<I>)> {
    let answers = peer.link()?.answers();
    loop {
        let (number, question) = next(inbox, peer).await?;
        let Some(owed) = question.map(|question| answers.owe(question)) else { continue };
        // One that names no number is dropped, and its asker told so.
        let Some(number) = number else { continue };
        match slot.take() {
            Some(source) => return Some((Order { number, owed }, source)),
            None => owed.reply(Body::Copy(TAKEN)),
        }
    }
}

/// Hears what the reader has taken over, until it has let go of the stream.
async fn confirm(inbox: &mut Inbox, peer: &Arc<Peer>, unconfirmed: &Unconfirmed) {
    let Some(mut answers) = peer.link().map(|link| link.answers()) else { return };
    while let Some((_, question)) = next(inbox, peer).await {
        match question {
            // Somebody else who would like to read it.
            Some(question) => {
                answers.reply(question, Body::Copy(TAKEN));
                answers.flush();
            }
            None => {
                if let Some(sendable) = lock(unconfirmed).pop_front() {
                    sendable.sent();
                }
            }
        }
    }
}

/// The next message of the reader: the number in it, and whether it is answered. `None` when there will be no more.
async fn next(inbox: &mut Inbox, peer: &Arc<Peer>) -> Option<(Option<u64>, Option<Question>)> {
    poll_fn(|cx| {
        inbox.poll_next(cx).map(|message| {
            let message = message?;
            let number =
                parse(message.body, peer).ok().and_then(|mut parts| varint::take(&mut parts.payload));
            Some((number, message.question))
        })
    })
    .await
}

/// Moves a source into a bulk stream until either ends. An error says that nobody reads any more.
async fn pump<K: Kind>(
    source: &mut Source<K::Item>,
    Order { number, owed }: Order,
    peer: &Arc<Peer>,
    unconfirmed: &Unconfirmed,
) -> Result<(), StreamClosed> {
    let closed = |closed: BulkClosed| StreamClosed::from_bulk(closed, peer.node());
    let Some(link) = peer.link() else { return Ok(()) };
    let mut sender = link.open_bulk(number).await.map_err(|lost| closed(BulkClosed::Lost(lost)))?;
    // From here on the stream itself tells its reader of all that becomes of it.
    owed.reply(Body::Copy(COMES));
    let mut stopped = std::pin::pin!(sender.closed());
    loop {
        let full = sender.queued() >= BATCH;
        let next = poll_fn(|cx| {
            if full {
                return Poll::Ready(Next::Nothing);
            }
            match catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_next(cx))) {
                Ok(Poll::Ready(Some(Ok(item)))) => Poll::Ready(Next::Item(item)),
                Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(Next::Failed(error)),
                Ok(Poll::Ready(None)) => Poll::Ready(Next::End),
                // What there is goes out before it is waited for more.
                Ok(Poll::Pending) if sender.queued() > 0 => Poll::Ready(Next::Nothing),
                Ok(Poll::Pending) => match stopped.as_mut().poll(cx) {
                    Poll::Ready(reason) => Poll::Ready(Next::Closed(reason)),
                    Poll::Pending => Poll::Pending,
                },
                Err(panic) => {
                    let words = words_of(&*panic);
                    Poll::Ready(Next::Failed(StreamError::failed(format_args!("it panicked: {words}"))))
                }
            }
        })
        .await;
        let item = match next {
            Next::Item(item) => item,
            Next::Nothing => {
                sender.flush().await.map_err(closed)?;
                // A source that always has more must not keep its thread to itself.
                tokio::task::yield_now().await;
                continue;
            }
            Next::End => return sender.finish().await.map_err(closed),
            Next::Failed(StreamError::GivenUp) => return sender.give_up().await.map_err(closed),
            Next::Failed(error) => return sender.fail(&error.words()).await.map_err(closed),
            Next::Closed(reason) => return Err(closed(reason)),
        };
        match K::pack(item, peer) {
            Ok(Packed { frame, referring }) => {
                if let Some(sendable) = referring {
                    lock(unconfirmed).push_back(sendable);
                }
                sender.put(frame);
            }
            Err(error) => return sender.fail(&error.words()).await.map_err(closed),
        }
    }
}

enum Next<I> {
    Item(I),
    Nothing,
    End,
    Failed(StreamError),
    Closed(BulkClosed),
}

/// Why nobody reads any more, if the link is the reason.
fn gone(peer: &Peer) -> Option<StreamClosed> {
    let reason = peer.link()?.lost()?;
    Some(StreamClosed::NodeLost { node: peer.node().clone(), reason })
}

fn lock(unconfirmed: &Unconfirmed) -> std::sync::MutexGuard<'_, VecDeque<Sendable>> {
    unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
}
