//! How many bytes streams carry, by their protocol: what an operator pays for, and what for.
//!
//! Whoever opens a stream first says of which protocol it is to be, in the clear as far as the stream goes (multistream-select). So the muxer of a connection
//! is wrapped, and what is said first on each of its streams is read along.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use ggen_shared::protocol::names;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

/// The protocols that are counted apart, some of them in all versions. What strangers name otherwise is counted together.
const PROTOCOLS: [&str; 13] = [
    names::QUERY,
    names::PUBLISH,
    "/ipfs/bitswap/*",
    names::KADEMLIA,
    "/meshsub/*",
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/libp2p/circuit/relay/0.2.0/hop",
    "/libp2p/circuit/relay/0.2.0/stop",
    "/libp2p/dcutr",
    "/libp2p/autonat/2/dial-request",
    "/libp2p/autonat/2/dial-back",
];
/// The place of all other protocols: none in the list.
const OTHER: usize = PROTOCOLS.len();
/// What is said first: a line that says so, then the name of the protocol.
const HEADER: &[u8] = b"/multistream/1.0.0\n";
/// Bytes within which the protocol is named, if it is one of ours.
const MAX_OPENING_BYTES: usize = 128;

/// What streams have carried since the start.
#[derive(Debug, Default)]
pub struct Meter {
    protocols: [Carried; PROTOCOLS.len()],
    other: Carried,
}

/// Bytes both ways, framing of the connection not counted.
#[derive(Debug, Default)]
struct Carried {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Meter {
    /// The name of each protocol, and the bytes that streams of it received and sent; last, those of all others.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let named = PROTOCOLS.iter().copied().zip(&self.protocols).chain([("other", &self.other)]);
        named.map(|(name, carried)| (name, carried.received.load(Relaxed), carried.sent.load(Relaxed)))
    }

    /// `protocol`: its place in the list; another one: it is none of those.
    fn add(&self, protocol: usize, received: u64, sent: u64) {
        let carried = self.protocols.get(protocol).unwrap_or(&self.other);
        for (count, bytes) in [(&carried.received, received), (&carried.sent, sent)] {
            if bytes > 0 {
                count.fetch_add(bytes, Relaxed);
            }
        }
    }
}

/// A connection whose streams are counted.
pub(crate) struct Metered<M> {
    muxer: M,
    meter: Arc<Meter>,
}

impl<M> Metered<M> {
    pub(crate) fn new(muxer: M, meter: &Arc<Meter>) -> Self {
        Self { muxer, meter: meter.clone() }
    }

    fn stream<S>(&self, stream: S, is_ours: bool) -> MeteredStream<S> {
        let opening = Opening { is_ours, said: Vec::new(), received: 0, sent: 0 };
        MeteredStream { stream, meter: self.meter.clone(), protocol: Protocol::Unsaid(Box::new(opening)) }
    }
}

impl<M: StreamMuxer<Substream: Unpin> + Unpin> StreamMuxer for Metered<M> {
    type Substream = MeteredStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, M::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_inbound(context))?;
        Poll::Ready(Ok(self.stream(stream, false)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Self::Substream, M::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_outbound(context))?;
        Poll::Ready(Ok(self.stream(stream, true)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        Pin::new(&mut self.muxer).poll_close(context)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        Pin::new(&mut self.muxer).poll(context)
    }
}

/// A stream that is counted.
pub(crate) struct MeteredStream<S> {
    stream: S,
    meter: Arc<Meter>,
    protocol: Protocol,
}

/// Of which protocol a stream is.
enum Protocol {
    /// Nobody has said so yet.
    Unsaid(Box<Opening>),
    /// The place of it in the list, or [`OTHER`].
    Is(usize),
}

/// What was carried before the protocol was named.
struct Opening {
    /// Whether this side opened the stream, and says of what protocol it is.
    is_ours: bool,
    /// What the side has said that opened it.
    said: Vec<u8>,
    received: u64,
    sent: u64,
}

impl<S> MeteredStream<S> {
    /// Counts what went one way. `parts`: what it was, of which the first `count` bytes count.
    fn count<'a>(&mut self, is_sent: bool, count: usize, parts: impl IntoIterator<Item = &'a [u8]>) {
        let [received, sent] = if is_sent { [0, count as u64] } else { [count as u64, 0] };
        let opening = match &mut self.protocol {
            Protocol::Is(protocol) => return self.meter.add(*protocol, received, sent),
            Protocol::Unsaid(opening) => opening,
        };
        opening.received += received;
        opening.sent += sent;
        if opening.is_ours == is_sent {
            let mut left = count.min(MAX_OPENING_BYTES - opening.said.len());
            for part in parts {
                let part = &part[..part.len().min(left)];
                opening.said.extend_from_slice(part);
                left -= part.len();
            }
        }
        if let Some(protocol) = protocol_of(&opening.said) {
            self.meter.add(protocol, opening.received, opening.sent);
            self.protocol = Protocol::Is(protocol);
        }
    }
}

/// A stream that ends before its protocol is named.
impl<S> Drop for MeteredStream<S> {
    fn drop(&mut self) {
        if let Protocol::Unsaid(opening) = &self.protocol {
            self.meter.add(OTHER, opening.received, opening.sent);
        }
    }
}

/// Which protocol is named first by whoever opened a stream; None while that is not seen yet. Where several are proposed, one after the other, they are
/// versions of one.
fn protocol_of(said: &[u8]) -> Option<usize> {
    let other = (said.len() >= MAX_OPENING_BYTES).then_some(OTHER);
    let Some((header, rest)) = line(said) else { return other };
    if header != HEADER {
        return Some(OTHER);
    }
    let Some((name, _)) = line(rest) else { return other };
    let is_named = |protocol: &&str| match protocol.strip_suffix('*') {
        Some(all_versions) => name.starts_with(all_versions.as_bytes()),
        None => name.strip_suffix(b"\n") == Some(protocol.as_bytes()),
    };
    Some(PROTOCOLS.iter().position(is_named).unwrap_or(OTHER))
}

/// The first line, and what is behind it: its length in one byte, for longer ones are none of ours, then the line.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked((*length).into())
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.count(false, count, [&*buffer]);
        Poll::Ready(Ok(count))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_read_vectored(context, buffers))?;
        self.count(false, count, buffers.iter().map(|buffer| &**buffer));
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.count(true, count, [bytes]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts))?;
        self.count(true, count, parts.iter().map(|part| &**part));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What whoever opens a stream says first.
    fn opening(protocol: &str) -> Vec<u8> {
        let length = u8::try_from(protocol.len() + 1).expect("names are short");
        [&[19], HEADER, &[length], protocol.as_bytes(), b"\n"].concat()
    }

    fn stream(meter: &Arc<Meter>, is_ours: bool) -> MeteredStream<()> {
        Metered::new((), meter).stream((), is_ours)
    }

    fn read(meter: &Meter) -> Vec<(&'static str, u64, u64)> {
        meter.read().filter(|(_, received, sent)| received + sent > 0).collect()
    }

    #[test]
    fn all_that_a_stream_carries_counts_for_the_protocol_that_is_named_at_its_beginning() {
        for step in 1..40 {
            let meter = Arc::new(Meter::default());
            let (mut inbound, mut outbound) = (stream(&meter, false), stream(&meter, true));
            let said = opening(names::QUERY);
            for part in said.chunks(step) {
                inbound.count(false, part.len(), [part]);
            }
            inbound.count(true, 100, [&[7; 100][..]]);
            inbound.count(false, 3, [&b"abcdef"[..]]);
            let proposed = [opening("/meshsub/1.3.0"), opening("/meshsub/1.2.0")].concat();
            outbound.count(false, 20, [&said[..]]);
            for part in proposed.chunks(step) {
                let (one, other) = part.split_at(part.len() / 2);
                outbound.count(true, part.len(), [one, other]);
            }
            let (query, gossip) = (said.len() as u64, proposed.len() as u64);
            assert_eq!(read(&meter), [(names::QUERY, query + 3, 100), ("/meshsub/*", 20, gossip)], "{step}");
        }
    }

    #[test]
    fn what_strangers_say_is_counted_together_and_nothing_of_it_is_kept() {
        let long = format!("/{}", "x".repeat(200));
        let noise: [&[u8]; 6] =
            [&opening("/mine/1.0.0"), b"GET / HTTP/1.1\r\n\r\n", &[0; 4096], &[255; 4096], b"", &[19]];
        let header: Vec<u8> = [&[19], HEADER, &[201], long.as_bytes()].concat();
        for said in noise.into_iter().chain([&header[..]]) {
            let meter = Arc::new(Meter::default());
            let mut inbound = stream(&meter, false);
            for part in said.chunks(1000) {
                inbound.count(false, part.len(), [part]);
                assert!(
                    !matches!(&inbound.protocol, Protocol::Unsaid(opening) if opening.said.len() > MAX_OPENING_BYTES)
                );
            }
            inbound.count(true, 5, [&[1; 5][..]]);
            drop(inbound);
            assert_eq!(read(&meter), [("other", said.len() as u64, 5)]);
        }
    }
}
