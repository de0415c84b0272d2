//! Streams whose users are gone, until both ends have said all.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::AtomicWaker;

use crate::stream::{Channel, Line, Stream};

/// Makes the streams of one connection, and sees them off when they are dropped: sends what they still owe, waits for the peer
/// to confirm that it has all, and closes their channels.
///
/// `wait` makes the timer, for each of them anew, after which a channel is closed whatever the peer has confirmed. Dropped with
/// its connection; a stream that is dropped later closes its channel at once.
pub struct Departures<C: Channel, F, T> {
    shared: Arc<Shared<C>>,
    wait: F,
    leaving: FuturesUnordered<Leaving<C, T>>,
}

/// What a stream knows of its [`Departures`]. Holds each stream that was dropped since the last poll, so no more than there are.
pub(crate) struct Shared<C> {
    arrived: Mutex<Vec<Line<C>>>,
    waker: AtomicWaker,
}

struct Leaving<C, T> {
    line: Line<C>,
    timer: T,
}

impl<C: Channel, F: Fn() -> T, T: Future<Output = ()> + Unpin> Departures<C, F, T> {
    /// For a new connection.
    pub fn new(wait: F) -> Self {
        let shared = Arc::new(Shared { arrived: Mutex::default(), waker: AtomicWaker::new() });
        Self { shared, wait, leaving: FuturesUnordered::new() }
    }

    /// The stream over a channel that was opened by either end. It need not be open yet.
    pub fn stream(&self, channel: C) -> Stream<C> {
        Stream::new(channel, Arc::downgrade(&self.shared))
    }

    /// How many streams were dropped whose channels are not closed yet, as of the last poll.
    pub fn len(&self) -> usize {
        self.leaving.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty()
    }
}

impl<C: Channel + Unpin, F: Fn() -> T, T: Future<Output = ()> + Unpin> Departures<C, F, T> {
    /// Does what there is to do. To be called whenever the waker is woken, for as long as the connection lasts.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        self.shared.waker.register(context.waker());
        let arrived = std::mem::take(&mut *self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        self.leaving.extend(arrived.into_iter().map(|line| Leaving { line, timer: (self.wait)() }));
        while let Poll::Ready(Some(())) = self.leaving.poll_next_unpin(context) {}
    }
}

impl<C> Shared<C> {
    pub(crate) fn add(&self, line: Line<C>) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.waker.wake();
    }
}

impl<C: Channel + Unpin, T: Future<Output = ()> + Unpin> Future for Leaving<C, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let departed = self.line.poll_departed(context.waker());
        if departed.is_pending() && Pin::new(&mut self.timer).poll(context).is_pending() {
            return Poll::Pending;
        }
        self.line.close();
        Poll::Ready(())
    }
}

impl<C: Channel, F, T> fmt::Debug for Departures<C, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departures").field("leaving", &self.leaving.len()).finish_non_exhaustive()
    }
}
