//! A connection as a stream of bytes.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use futures_timer::Delay;
use send_wrapper::SendWrapper;

use super::{
    super::{
        Error,
        outbound::{Outbound, Throttle},
    },
    socket::Socket,
};

/// An open WebSocket. Dropping it closes the socket.
///
/// libp2p wants connections that could move between threads. Nothing on wasm32 does, and the wrapper panics rather than
/// be wrong where something did.
pub(crate) struct Connection(SendWrapper<Inner>);

struct Inner {
    socket: Socket,
    outbound: Outbound,
    throttle: Throttle,
    /// Runs while a writer waits.
    timer: Option<Delay>,
}

impl Connection {
    /// Opens `url` and returns when the socket is open. Dropping the future gives up.
    pub(super) async fn open(url: String) -> Result<Self, Error> {
        let socket = Socket::new(url)?;
        poll_fn(|context| socket.poll_open(context)).await?;
        let inner = Inner { socket, outbound: Outbound::default(), throttle: Throttle::default(), timer: None };
        Ok(Self(SendWrapper::new(inner)))
    }
}

impl Inner {
    /// Ready when the browser should be given more, or cannot take more ever again.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.socket.check_open()?;
            if self.throttle.admits(self.socket.buffered_bytes()) {
                self.timer = None;
                return Poll::Ready(Ok(()));
            }
            self.socket.register_writer(context);
            let timer = self.timer.get_or_insert_with(|| Delay::new(self.throttle.next_wait()));
            ready!(Pin::new(timer).poll(context));
            self.timer = None;
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.outbound.flush(|message| self.socket.send(message))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.socket.poll_read(context, buffer).map_err(io::Error::from)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let inner: &mut Inner = &mut self.get_mut().0;
        ready!(inner.poll_room(context))?;
        ready!(inner.socket.poll_turn(context));
        let written = inner.outbound.write(data, |message| inner.socket.send(message))?;
        Poll::Ready(Ok(written))
    }

    /// Done when the browser has the bytes; with nothing gathered it succeeds after the end too, so that a reader that
    /// flushes first still gets what arrived.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.flush()?;
        Poll::Ready(Ok(()))
    }

    /// Done when the browser has the bytes and the order to close: it sends them before the closing handshake, which
    /// needs nobody's wait. A peer that is gone would otherwise hold up its own removal.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner: &mut Inner = &mut self.get_mut().0;
        let flushed = inner.flush();
        inner.socket.close();
        flushed?;
        Poll::Ready(Ok(()))
    }
}
