//! Noise that sends together what is written together.
//!
//! Yamux flushes after each of its frames of 16 KiB, and each flush of Noise is a message of its own: of a WebSocket, too, and one more event in a
//! browser. But whoever has nothing more to write turns to reading. So a flush is noted, and done when the next read begins, or the connection closes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};

/// So much is sent without waiting for the rest: a browser works on one message while the next one comes, which larger ones keep it from.
const ENOUGH_BYTES: usize = 48 * 1024;

/// The upgrade: it speaks what [`noise::Config`] speaks.
#[derive(Clone)]
pub struct Noise(noise::Config);

impl Noise {
    /// Proves this identity.
    ///
    /// # Errors
    /// As [`noise::Config::new`].
    pub fn new(identity: &Keypair) -> Result<Self, noise::Error> {
        noise::Config::new(identity).map(Self)
    }
}

impl UpgradeInfo for Noise {
    type Info = <noise::Config as UpgradeInfo>::Info;
    type InfoIter = <noise::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

type Upgrading<S> = Pin<Box<dyn Future<Output = Result<(PeerId, Gathering<noise::Output<S>>), noise::Error>> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<S> for Noise {
    type Output = (PeerId, Gathering<noise::Output<S>>);
    type Error = noise::Error;
    type Future = Upgrading<S>;

    fn upgrade_inbound(self, socket: S, info: Self::Info) -> Self::Future {
        let secured = self.0.upgrade_inbound(socket, info);
        Box::pin(async { secured.await.map(|(peer, stream)| (peer, Gathering::new(stream))) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<S> for Noise {
    type Output = (PeerId, Gathering<noise::Output<S>>);
    type Error = noise::Error;
    type Future = Upgrading<S>;

    fn upgrade_outbound(self, socket: S, info: Self::Info) -> Self::Future {
        let secured = self.0.upgrade_outbound(socket, info);
        Box::pin(async { secured.await.map(|(peer, stream)| (peer, Gathering::new(stream))) })
    }
}

/// A stream whose flushes wait for the next read. What is above it has to read whenever it has nothing to write, as multiplexers do.
#[derive(Debug)]
pub struct Gathering<S> {
    stream: S,
    /// Whether something is to be flushed.
    is_due: bool,
    /// Bytes that were written since the last flush.
    gathered: usize,
}

impl<S> Gathering<S> {
    const fn new(stream: S) -> Self {
        Self { stream, is_due: false, gathered: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        (self.is_due, self.gathered) = (false, 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.is_due {
            // A reader is woken by what comes as well as by room to write, and then flushes what is left.
            if let Poll::Ready(sent) = self.poll_send(context) {
                sent?;
            }
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered >= ENOUGH_BYTES {
            ready!(self.poll_send(context))?;
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, data))?;
        self.gathered += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_due = true;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};

    use super::*;

    /// Notes what is done with it. It has a byte to read, and flushes when it may.
    #[derive(Default)]
    struct Noted {
        done: Vec<String>,
        is_full: bool,
    }

    impl AsyncRead for Noted {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            self.done.push("read".into());
            buffer[0] = 7;
            Poll::Ready(Ok(1))
        }
    }

    impl AsyncWrite for Noted {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.done.push(format!("write {}", data.len()));
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.done.push("flush".into());
            if self.is_full { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.done.push("close".into());
            Poll::Ready(Ok(()))
        }
    }

    fn write(stream: &mut Gathering<Noted>, bytes: usize) {
        stream.write_all(&vec![0; bytes]).now_or_never().unwrap().unwrap();
        stream.flush().now_or_never().unwrap().unwrap();
    }

    fn read(stream: &mut Gathering<Noted>) {
        assert_eq!(stream.read(&mut [0]).now_or_never().unwrap().unwrap(), 1);
    }

    #[test]
    fn what_is_written_together_is_flushed_once_and_before_anything_is_read() {
        let mut stream = Gathering::new(Noted::default());
        write(&mut stream, 3);
        write(&mut stream, 4);
        read(&mut stream);
        read(&mut stream);
        assert_eq!(stream.stream.done, ["write 3", "write 4", "flush", "read", "read"]);
    }

    #[test]
    fn what_can_not_be_flushed_yet_is_tried_again_and_keeps_nobody_from_reading() {
        let mut stream = Gathering::new(Noted { is_full: true, ..Noted::default() });
        write(&mut stream, 3);
        read(&mut stream);
        stream.stream.is_full = false;
        read(&mut stream);
        read(&mut stream);
        assert_eq!(stream.stream.done, ["write 3", "flush", "read", "flush", "read", "read"]);
    }

    #[test]
    fn what_is_enough_for_a_message_is_sent_before_more_is_taken() {
        let mut stream = Gathering::new(Noted::default());
        write(&mut stream, ENOUGH_BYTES - 1);
        write(&mut stream, 5);
        write(&mut stream, 6);
        read(&mut stream);
        assert_eq!(stream.stream.done, ["write 49151", "write 5", "flush", "write 6", "flush", "read"]);
    }

    #[test]
    fn closing_leaves_flushing_to_the_stream_below() {
        let mut stream = Gathering::new(Noted::default());
        write(&mut stream, 3);
        stream.close().now_or_never().unwrap().unwrap();
        assert_eq!(stream.stream.done, ["write 3", "close"]);
    }
}
