//! A connection as a muxer of streams.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite, Stream as _, stream::FuturesUnordered};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p_webrtc_utils::DropListener;
use send_wrapper::SendWrapper;

use super::{Error, channel::Channel, peer::Peer};

/// A connection to a peer. Dropping it closes it.
///
/// libp2p wants connections that could move between threads. Nothing on wasm32 does, and the wrapper panics rather than be
/// wrong where something did.
pub(crate) struct Connection(SendWrapper<Inner>);

struct Inner {
    peer: Peer,
    /// Each tells the peer when its stream is dropped, so there are as many as there are streams.
    dropped: FuturesUnordered<DropListener<Channel>>,
    /// Who polls `dropped` while it is empty.
    idle: Option<Waker>,
}

impl Connection {
    pub(super) fn new(peer: Peer) -> Self {
        Self(SendWrapper::new(Inner { peer, dropped: FuturesUnordered::new(), idle: None }))
    }
}

impl Inner {
    fn stream(&mut self, channel: Channel) -> Stream {
        let (stream, dropped) = libp2p_webrtc_utils::Stream::new(channel);
        self.dropped.push(dropped);
        if let Some(waker) = self.idle.take() {
            waker.wake();
        }
        Stream(SendWrapper::new(stream))
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let channel = std::task::ready!(self.0.peer.poll_channel(context))?;
        Poll::Ready(Ok(self.0.stream(channel)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let channel = self.0.peer.open()?;
        Poll::Ready(Ok(self.0.stream(channel)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.peer.close();
        Poll::Ready(Ok(()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        // Whether the peer could be told is of no interest: it can't when the channel is gone.
        while let Some(_told) = std::task::ready!(Pin::new(&mut self.0.dropped).poll_next(context)) {}
        self.0.idle = Some(context.waker().clone());
        Poll::Pending
    }
}

/// One stream. Dropping it without closing it resets it.
pub(crate) struct Stream(SendWrapper<libp2p_webrtc_utils::Stream<Channel>>);

impl Stream {
    /// The stream of the handshake, of which nobody is told when it is dropped.
    pub(super) fn handshake(channel: Channel) -> Self {
        let (stream, _) = libp2p_webrtc_utils::Stream::new(channel);
        Self(SendWrapper::new(stream))
    }
}

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
