//! Events for whoever wants to hear of them, and for nobody at no cost.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;

/// What waits for one subscriber at most.
const BOUND: usize = 1024;

/// Where events come out.
pub(crate) struct Outlet<T> {
    subscribers: Mutex<Subscribers<T>>,
}

struct Subscribers<T> {
    inlets: Vec<Weak<Inlet<T>>>,
    closed: bool,
}

struct Inlet<T>(Mutex<Waiting<T>>);

struct Waiting<T> {
    events: VecDeque<T>,
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl<T: Clone> Outlet<T> {
    pub(crate) const fn new() -> Self {
        Self { subscribers: Mutex::new(Subscribers { inlets: Vec::new(), closed: false }) }
    }

    /// One of which nothing comes.
    pub(crate) const fn closed() -> Self {
        Self { subscribers: Mutex::new(Subscribers { inlets: Vec::new(), closed: true }) }
    }

    pub(crate) fn subscribe(&self) -> Subscription<T> {
        let mut subscribers = lock(&self.subscribers);
        let waiting = Waiting { events: VecDeque::new(), missed: 0, closed: subscribers.closed, waker: None };
        let inlet = Arc::new(Inlet(Mutex::new(waiting)));
        subscribers.inlets.push(Arc::downgrade(&inlet));
        Subscription { inlet }
    }

    /// Gives an event to all subscribers; it is not even made if there is none.
    pub(crate) fn publish(&self, event: impl FnOnce() -> T) {
        let mut wakers = Vec::new();
        let mut subscribers = lock(&self.subscribers);
        subscribers.inlets.retain(|inlet| inlet.strong_count() > 0);
        if subscribers.inlets.is_empty() {
            return;
        }
        let event = event();
        for inlet in subscribers.inlets.iter().filter_map(Weak::upgrade) {
            let mut waiting = lock(&inlet.0);
            if waiting.events.len() >= BOUND {
                waiting.events.pop_front();
                waiting.missed += 1;
            }
            waiting.events.push_back(event.clone());
            wakers.extend(waiting.waker.take());
        }
        drop(subscribers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// No more events: subscriptions end behind what waits in them.
    pub(crate) fn close(&self) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.closed = true;
        let inlets: Vec<_> = subscribers.inlets.drain(..).filter_map(|inlet| inlet.upgrade()).collect();
        drop(subscribers);
        for inlet in inlets {
            let mut waiting = lock(&inlet.0);
            waiting.closed = true;
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// A stream of events, each to every subscriber, from the moment of the subscription on.
///
/// At most 1024 wait for a subscriber; of a slower one the oldest are dropped and [counted](Self::missed). It holds
/// up nobody. Use it as a [`Stream`], or with [`next`](Self::next).
#[must_use = "events that are not taken are missed"]
pub struct Subscription<T> {
    inlet: Arc<Inlet<T>>,
}

impl<T> Subscription<T> {
    /// The next event; `None` when there will be no more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event if it is there already.
    pub fn try_next(&mut self) -> Option<T> {
        lock(&self.inlet.0).events.pop_front()
    }

    /// How many events this subscriber has missed so far, because it was slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        lock(&self.inlet.0).missed
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut waiting = lock(&self.inlet.0);
        match waiting.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if waiting.closed => Poll::Ready(None),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(cx)
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn every_subscriber_hears_every_event_in_order_until_the_end() {
        let outlet = Outlet::new();
        outlet.publish(|| -> u32 { panic!("nobody wants it") });
        let (mut one, mut two) = (outlet.subscribe(), outlet.subscribe());
        assert!(one.next().now_or_never().is_none());
        outlet.publish(|| 1);
        outlet.publish(|| 2);
        outlet.close();
        for subscription in [&mut one, &mut two] {
            let heard: Vec<_> = std::iter::from_fn(|| subscription.next().now_or_never().flatten()).collect();
            assert_eq!((heard, subscription.missed()), (vec![1, 2], 0));
        }
        assert_eq!(outlet.subscribe().next().now_or_never(), Some(None));
    }

    #[test]
    fn a_slow_subscriber_keeps_the_latest_and_is_told_how_many_it_has_missed() {
        let outlet = Outlet::new();
        let mut slow = outlet.subscribe();
        for n in 0..BOUND + 10 {
            outlet.publish(|| n);
        }
        assert_eq!((slow.missed(), slow.try_next()), (10, Some(10)));
    }
}
