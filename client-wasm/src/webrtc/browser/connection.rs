//! A connection as a muxer of streams.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::LocalBoxFuture};
use ggen_net::light::Platform;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;

use super::{Error, channel::DataChannel, peer::Peer};
use crate::platform::Browser;

/// A connection to a peer. Dropping it closes it.
///
/// libp2p wants connections that could move between threads. Nothing on wasm32 does, and the wrapper panics rather than be
/// wrong where something did.
pub(crate) struct Connection(SendWrapper<Inner>);

struct Inner {
    peer: Peer,
    departures: Departures,
}

type Timer = LocalBoxFuture<'static, ()>;
type Departures = webrtc_direct::Departures<DataChannel, Box<dyn Fn() -> Timer>, Timer>;

impl Connection {
    pub(super) fn new(peer: Peer) -> Self {
        let patience = super::patience(peer.version());
        let departures = Departures::new(Box::new(move || Browser.sleep(patience).boxed_local()));
        Self(SendWrapper::new(Inner { peer, departures }))
    }

    /// The stream over a channel of this connection.
    pub(super) fn stream(&self, channel: DataChannel) -> Stream {
        Stream(SendWrapper::new(self.0.departures.stream(channel)))
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.0.peer.poll_channel(context).map_ok(|channel| self.stream(channel))
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.0.peer.poll_open(context).map_ok(|channel| self.stream(channel))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.peer.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.0.departures.poll(context);
        Poll::Pending
    }
}

/// One stream. Dropping it without closing it resets it.
pub(crate) struct Stream(SendWrapper<webrtc_direct::Stream<DataChannel>>);

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write(context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_close(context)
    }
}
