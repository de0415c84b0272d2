//! A stream of bytes over one data channel.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};

use futures::task::{ArcWake, AtomicWaker, waker_ref};
use futures::{AsyncRead, AsyncWrite};

use crate::departures::Shared;
use crate::frame::Frame;
use crate::machine::Machine;

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

/// One data channel of a back end: whole messages, reliable and in order.
///
/// Nothing here has to move between threads. Each method that takes a context may forget the one of an earlier call: a stream
/// always passes the same waker, whatever task it is polled by.
pub trait Channel {
    /// The next message. `None` once the peer has closed the channel and all messages before are taken; an error if the channel
    /// or its connection failed. Either is the last that is asked for.
    ///
    /// A message that is not taken should hold back the peer, or, where the platform can't do that, count against a bound that
    /// makes this an error once it is passed. A text message is an error, too.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>>;

    /// Ready when [`Channel::send`] may be called once: while the channel opens, or has much to send, it is pending.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends one message, of at most [`MAX_FRAME_BYTES`](crate::frame::MAX_FRAME_BYTES), behind those before it.
    ///
    /// # Errors
    /// Of the channel, which is of no more use then.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Closes the channel once what was sent is on its way, and gives its number back. Called at most once, and last. A channel
    /// that is dropped without it belongs to a connection that is gone.
    fn close(&mut self);
}

/// One stream of libp2p. Made by [`Departures::stream`](crate::Departures::stream).
///
/// `close` says that all is written, and does not wait for the peer to confirm it: whoever drops the stream after that leaves the
/// rest to its [`Departures`](crate::Departures). A stream that is dropped without being closed is reset.
pub struct Stream<C: Channel> {
    /// There until the stream is dropped.
    line: Option<Line<C>>,
    departures: Weak<Shared<C>>,
}

/// A channel, and what both ends have said on it.
pub(crate) struct Line<C> {
    machine: Machine,
    channel: C,
    tasks: Arc<Tasks>,
}

/// Who waits for the channel. A stream may be read by one task and written by another, while a channel knows one waker; so that
/// one wakes both.
#[derive(Default)]
struct Tasks {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl ArcWake for Tasks {
    fn wake_by_ref(tasks: &Arc<Self>) {
        tasks.reader.wake();
        tasks.writer.wake();
    }
}

impl<C: Channel> Stream<C> {
    pub(crate) fn new(channel: C, departures: Weak<Shared<C>>) -> Self {
        let line = Line { machine: Machine::new(), channel, tasks: Arc::default() };
        Self { line: Some(line), departures }
    }

    fn line(&mut self) -> &mut Line<C> {
        self.line.as_mut().expect("a stream has its line until it is dropped")
    }
}

impl<C: Channel> Line<C> {
    /// Takes the next message of the channel; pending if there is none.
    fn poll_receive(&mut self) -> Poll<()> {
        let waker = waker_ref(&self.tasks);
        match ready!(self.channel.poll_receive(&mut Context::from_waker(&waker))) {
            Some(Ok(message)) => self.machine.receive(&message),
            Some(Err(_)) | None => self.machine.channel_closed(),
        }
        Poll::Ready(())
    }

    /// Ready once all flags are sent that are owed, and one more message may be; an error if there is no channel any more.
    fn poll_ready(&mut self) -> Poll<io::Result<()>> {
        loop {
            let waker = waker_ref(&self.tasks);
            let sent = match ready!(self.channel.poll_ready(&mut Context::from_waker(&waker))) {
                Ok(()) => match self.machine.next_flag() {
                    Some(flag) => self.channel.send(&Frame::flag(flag).encode()),
                    None => return Poll::Ready(Ok(())),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                self.machine.channel_closed();
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Ready once all flags are sent that are owed. A channel that is gone owes none.
    fn poll_flags(&mut self) -> Poll<()> {
        if self.machine.owes() {
            // An error is the machine's matter now.
            _ = ready!(self.poll_ready());
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, waker: &Waker, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.tasks.reader.register(waker);
        loop {
            // A FIN that was just taken is confirmed at once, if the channel has room; else by whoever looks next.
            _ = self.poll_flags();
            if let Some(read) = self.machine.read(buffer)? {
                return Poll::Ready(Ok(read));
            }
            ready!(self.poll_receive());
            // It may have been what a writer has to know.
            self.tasks.writer.wake();
        }
    }

    fn poll_write(&mut self, waker: &Waker, data: &[u8]) -> Poll<io::Result<usize>> {
        self.tasks.writer.register(waker);
        self.look_ahead();
        self.machine.check_writable()?;
        ready!(self.poll_ready())?;
        let frame = Frame::data(data);
        if !frame.data.is_empty() {
            self.channel.send(&frame.encode()).inspect_err(|_| self.machine.channel_closed())?;
        }
        Poll::Ready(Ok(frame.data.len()))
    }

    fn poll_close(&mut self, waker: &Waker) -> Poll<io::Result<()>> {
        self.tasks.writer.register(waker);
        self.machine.finish();
        ready!(self.poll_flags());
        Poll::Ready(Ok(self.machine.check_finished()?))
    }

    /// Takes what has come, as far as there is room, so that a writer learns of a peer that reads no more.
    fn look_ahead(&mut self) {
        let mut came = false;
        while self.machine.has_room() && !self.machine.is_over() && self.poll_receive().is_ready() {
            came = true;
        }
        if came {
            self.tasks.reader.wake();
        }
    }

    /// Ready once the channel may be closed, of which the user is gone.
    pub(crate) fn poll_departed(&mut self, waker: &Waker) -> Poll<()> {
        self.tasks.reader.register(waker);
        loop {
            let flags = self.poll_flags();
            if self.machine.is_done() {
                return Poll::Ready(());
            }
            if self.machine.is_over() {
                // All that is left is a RESET, which waits for room in the channel.
                return flags;
            }
            ready!(self.poll_receive());
        }
    }

    pub(crate) fn close(&mut self) {
        self.channel.close();
    }
}

impl<C: Channel> Drop for Stream<C> {
    fn drop(&mut self) {
        let Some(mut line) = self.line.take() else { return };
        line.machine.leave();
        match self.departures.upgrade() {
            Some(departures) if !line.machine.is_done() => departures.add(line),
            // The connection is gone, or there is nothing more to say.
            _ => line.close(),
        }
    }
}

impl<C: Channel + Unpin> AsyncRead for Stream<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.line().poll_read(cx.waker(), buffer)
    }
}

impl<C: Channel + Unpin> AsyncWrite for Stream<C> {
    /// Writes one frame at most.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.line().poll_write(cx.waker(), data)
    }

    /// Nothing to do: what is written is the channel's.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that all is written. Waits for room in the channel and not for the peer.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line().poll_close(cx.waker())
    }
}

impl<C: Channel> fmt::Debug for Stream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("machine", &self.line.as_ref().map(|line| &line.machine)).finish_non_exhaustive()
    }
}
