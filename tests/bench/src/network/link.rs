//! Connections in memory that take their time: a transport on which every pair of peers has a round trip of its own, and the dead say nothing.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, Ready, ready};
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, StreamExt};
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::multiaddr::{Multiaddr, Protocol};
use tokio::time::Sleep;

/// Round trips between peers: the shortest, and the longest.
const ROUND_TRIP: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// Bytes on their way in one direction: what a system's buffers hold.
const MAX_BYTES_ON_THE_WAY: usize = 256 * 1024;
/// Connections that wait to be accepted by one peer.
const BACKLOG: usize = 128;

/// Who listens where.
#[derive(Default)]
pub(super) struct Net(Mutex<HashMap<Ipv4Addr, Host>>);

#[derive(Clone)]
struct Host {
    accept: mpsc::Sender<(Ipv4Addr, Stream)>,
    is_dead: Arc<AtomicBool>,
}

impl Net {
    fn hosts(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing comes from this peer, not even that its connections ended.
    pub(super) fn kill(&self, ip: Ipv4Addr) {
        if let Some(host) = self.hosts().get(&ip) {
            host.is_dead.store(true, Relaxed);
        }
    }
}

/// The address of a peer.
pub(super) fn address(ip: Ipv4Addr) -> Multiaddr {
    Multiaddr::from(Protocol::Ip4(ip)).with(Protocol::Tcp(4801))
}

/// The round trip of two peers: the same both ways and each time, any from the shortest to the longest.
fn round_trip(one: Ipv4Addr, other: Ipv4Addr) -> Duration {
    let (low, high) = (one.min(other), one.max(other));
    let mixed = (u64::from(low.to_bits()) << 32 | u64::from(high.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let share = (mixed >> 40) as f64 / (1_u64 << 24) as f64;
    ROUND_TRIP.0 + (ROUND_TRIP.1 - ROUND_TRIP.0).mul_f64(share)
}

/// The transport of one peer.
pub(super) struct Links {
    net: Arc<Net>,
    ip: Ipv4Addr,
    is_dead: Arc<AtomicBool>,
    listener: Option<(ListenerId, mpsc::Receiver<(Ipv4Addr, Stream)>)>,
    is_told: bool,
}

impl Links {
    pub(super) fn new(net: Arc<Net>, ip: Ipv4Addr) -> Self {
        Self { net, ip, is_dead: Arc::default(), listener: None, is_told: false }
    }
}

impl Transport for Links {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Stream>>;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(&mut self, id: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let (accept, accepted) = mpsc::channel(BACKLOG);
        self.net.hosts().insert(self.ip, Host { accept, is_dead: self.is_dead.clone() });
        self.listener = Some((id, accepted));
        Ok(())
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        self.listener.take().is_some()
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(Protocol::Ip4(ip)) = address.iter().next() else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let host = self.net.hosts().get(&ip).cloned();
        let (local, own) = (self.ip, self.is_dead.clone());
        Ok(Box::pin(async move {
            let trip = round_trip(local, ip);
            tokio::time::sleep(trip).await;
            let Some(mut host) = host.filter(|host| !host.is_dead.load(Relaxed)) else {
                return std::future::pending().await;
            };
            let dead = [own, host.is_dead.clone()];
            let ways: [Arc<Mutex<Way>>; 2] = Default::default();
            let stream = |from: usize| Stream::new(ways[from].clone(), ways[1 - from].clone(), trip / 2, dead.clone());
            let (ours, theirs) = (stream(0), stream(1));
            host.accept.try_send((local, theirs)).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(ours)
        }))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let ip = self.ip;
        let is_told = std::mem::replace(&mut self.is_told, true);
        let Some((listener_id, accepted)) = &mut self.listener else { return Poll::Pending };
        let listener_id = *listener_id;
        if !is_told {
            return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr: address(ip) });
        }
        let Poll::Ready(Some((from, stream))) = accepted.poll_next_unpin(context) else { return Poll::Pending };
        let (local_addr, send_back_addr) = (address(ip), address(from));
        Poll::Ready(TransportEvent::Incoming { listener_id, upgrade: ready(Ok(stream)), local_addr, send_back_addr })
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Way {
    /// What is on its way, and when it is there.
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the reader is told that nothing more comes.
    closed: Option<Instant>,
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One end of a connection.
pub(super) struct Stream {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
    delay: Duration,
    timer: Pin<Box<Sleep>>,
    dead: [Arc<AtomicBool>; 2],
}

impl Stream {
    fn new(incoming: Arc<Mutex<Way>>, outgoing: Arc<Mutex<Way>>, delay: Duration, dead: [Arc<AtomicBool>; 2]) -> Self {
        Self { incoming, outgoing, delay, timer: Box::pin(tokio::time::sleep(Duration::ZERO)), dead }
    }

    fn is_dead(&self) -> bool {
        self.dead.iter().any(|dead| dead.load(Relaxed))
    }

    fn close(&self) {
        if self.is_dead() {
            return;
        }
        let mut way = lock(&self.outgoing);
        way.closed.get_or_insert(Instant::now() + self.delay);
        way.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.is_dead() {
            return Poll::Pending;
        }
        loop {
            let now = Instant::now();
            let incoming = self.incoming.clone();
            let mut guard = lock(&incoming);
            let way = &mut *guard;
            let due = match (way.chunks.front_mut(), way.closed) {
                (Some((due, chunk)), _) if *due <= now => {
                    let length = chunk.len().min(into.len());
                    into[..length].copy_from_slice(&chunk[..length]);
                    if length == chunk.len() {
                        way.chunks.pop_front();
                    } else {
                        chunk.drain(..length);
                    }
                    way.bytes -= length;
                    way.writer.take().into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(length));
                }
                (None, Some(closed)) if closed <= now => return Poll::Ready(Ok(0)),
                (Some((due, _)), _) => *due,
                (None, Some(closed)) => closed,
                (None, None) => {
                    way.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            };
            drop(guard);
            self.timer.as_mut().reset(due.into());
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_dead() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let mut way = lock(&self.outgoing);
        if way.is_abandoned || way.closed.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if way.bytes >= MAX_BYTES_ON_THE_WAY {
            way.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        way.bytes += bytes.len();
        way.chunks.push_back((Instant::now() + self.delay, bytes.to_vec()));
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
        if !self.is_dead() {
            let mut way = lock(&self.incoming);
            way.is_abandoned = true;
            way.writer.take().into_iter().for_each(Waker::wake);
        }
    }
}
