//! A connection as a muxer of streams.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::time::Sleep;
use webrtc_direct::{Channel, Departures};

use crate::driver::{Driver, SharedSession, lock};
use crate::error::Error;
use crate::limits::MAX_FAREWELL;
use crate::session::ChannelId;

type Timer = Pin<Box<Sleep>>;

/// One stream of a connection.
pub type Stream = webrtc_direct::Stream<DataChannel>;

/// An authenticated connection. Dropping it closes it.
pub struct Connection {
    driver: Driver,
    departures: Departures<DataChannel, fn() -> Timer, Timer>,
}

/// A data channel of a connection.
pub struct DataChannel {
    session: SharedSession,
    id: ChannelId,
    /// The channel of the handshake stays: whoever reuses its number might find its peer has not closed it.
    stays: bool,
}

fn farewell() -> Timer {
    Box::pin(tokio::time::sleep(MAX_FAREWELL))
}

impl Connection {
    pub(crate) fn new(driver: Driver) -> Self {
        Self { driver, departures: Departures::new(farewell) }
    }

    /// Drives the connection until a future is done, and what that has sent is on its way.
    pub(crate) async fn until<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            let done = future.as_mut().poll(context);
            match (done, StreamMuxer::poll(Pin::new(self), context)) {
                (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (Poll::Pending, _) => Poll::Pending,
            }
        })
        .await
    }

    /// Drives the connection until channels can be used.
    pub(crate) async fn until_established(&mut self) -> Result<(), Error> {
        poll_fn(|context| {
            let driven = self.driver.poll(context);
            if lock(self.driver.session()).is_established() {
                return Poll::Ready(Ok(()));
            }
            driven.map(Err)
        })
        .await
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The stream of the Noise handshake.
    pub(crate) fn handshake_stream(&self) -> Stream {
        let session = self.driver.session().clone();
        let id = lock(&session).handshake();
        self.departures.stream(DataChannel { session, id, stays: true })
    }

    fn stream(&self, id: ChannelId) -> Stream {
        self.departures.stream(DataChannel { session: self.driver.session().clone(), id, stays: false })
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let opened = std::task::ready!(lock(self.driver.session()).poll_opened(context));
        Poll::Ready(opened.map(|id| self.stream(id)).ok_or(Error::Closed))
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let opened = std::task::ready!(lock(self.driver.session()).poll_open(context));
        Poll::Ready(opened.map(|id| self.stream(id)).ok_or(Error::Closed))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.driver.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.departures.poll(context);
        self.driver.poll(context).map(Err)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("departures", &self.departures).finish_non_exhaustive()
    }
}

impl Channel for DataChannel {
    /// What came in several messages may come at once here: frames are bytes.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>> {
        lock(&self.session).poll_receive(self.id, context)
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.session).poll_ready(self.id, context)
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        lock(&self.session).send(self.id, message)
    }

    fn close(&mut self) {
        if !self.stays {
            lock(&self.session).close_channel(self.id);
        }
    }
}
