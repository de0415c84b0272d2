//! Moves datagrams between a socket and one connection's state, whenever it is polled.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::clock;
use crate::error::Error;
use crate::ice::{Due, Ice};
use crate::limits::RECEIVE_BUFFER_BYTES;
use crate::port::{Arrival, Place, Port};
use crate::session::Session;
use crate::stun;

/// Datagrams that are taken before others have a turn.
const BATCH: usize = 128;

/// A timer that is due already would be polled without end.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A connection's state, which its streams share.
pub(crate) type SharedSession = Arc<Mutex<Session>>;

pub(crate) fn lock(session: &SharedSession) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a connection's datagrams come from and go to.
pub(crate) enum Path {
    /// A port that others use, too.
    Shared { place: Place, arrivals: mpsc::Receiver<Arrival> },
    /// A socket of its own, which is connected.
    Own(Arc<UdpSocket>),
}

/// Drives one connection. Dropped, it tells the peer that it is over.
pub(crate) struct Driver {
    session: SharedSession,
    ice: Ice,
    path: Path,
    timer: Pin<Box<Sleep>>,
    /// What the socket had no room for.
    unsent: Option<(Vec<u8>, SocketAddr)>,
    writable: Option<BoxFuture<'static, ()>>,
    heard: u64,
}

impl Driver {
    pub(crate) fn new(session: Session, ice: Ice, path: Path) -> Self {
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { session: Arc::new(Mutex::new(session)), ice, path, timer, unsent: None, writable: None, heard: 0 }
    }

    pub(crate) fn session(&self) -> &SharedSession {
        &self.session
    }

    /// The peer has proven who it is.
    pub(crate) fn authenticate(&self) {
        if let Path::Shared { place, .. } = &self.path {
            place.authenticate();
        }
    }

    /// Does what there is to do. Ready when the connection is over, and why.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        lock(&self.session).set_driver(context.waker());
        if let Err(error) = self.take_arrivals(context) {
            lock(&self.session).end(error);
        }
        let now = clock::now();
        match self.ice.advance(now, clock::random) {
            Due::Nothing => {}
            Due::Ask(request) => self.ask(&request),
            Due::Lost => lock(&self.session).end(Error::Lost),
        }
        if self.ice.is_answered() {
            lock(&self.session).advance(now);
            self.send(context);
        }
        if let Some(error) = lock(&self.session).take_end() {
            return Poll::Ready(error);
        }
        self.set_timer(now, context);
        Poll::Pending
    }

    fn take_arrivals(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        for _ in 0..BATCH {
            let arrival = self.path.poll_arrival(self.ice.remote(), context);
            // Behind it: with an earlier one, a round trip would seem shorter than it was.
            let now = clock::now();
            match arrival {
                Poll::Ready(Ok(Arrival::Checked(from, nominates))) => {
                    if let Some(request) = self.ice.check(now, from, nominates, clock::random) {
                        _ = self.path.try_send(&request, from);
                    }
                }
                Poll::Ready(Ok(Arrival::Datagram(from, bytes))) if stun::is_stun(&bytes) => {
                    if let Some(answer) = self.ice.receive(now, from, &bytes) {
                        self.send_beside(&answer);
                    }
                }
                Poll::Ready(Ok(Arrival::Datagram(_, bytes))) => {
                    let heard = {
                        let mut session = lock(&self.session);
                        session.receive(now, &bytes);
                        session.heard()
                    };
                    if heard != self.heard {
                        self.heard = heard;
                        self.ice.hear(now);
                    }
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(()),
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Sends what must not wait, and may be lost.
    fn send_beside(&self, datagram: &[u8]) {
        _ = self.path.try_send(datagram, self.ice.remote());
    }

    fn ask(&self, request: &[u8]) {
        match self.path.try_send(request, self.ice.remote()) {
            // That nobody listens there, the system says when something is sent the next time. Later it may be anybody who says so.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && !self.ice.is_answered() => {
                lock(&self.session).end(error.into());
            }
            _ => {}
        }
    }

    fn send(&mut self, context: &mut Context<'_>) {
        loop {
            if let Some(writable) = &mut self.writable {
                if writable.as_mut().poll(context).is_pending() {
                    return;
                }
                self.writable = None;
            }
            let next = self.unsent.take();
            let next = next.or_else(|| Some((lock(&self.session).next_datagram()?, self.ice.remote())));
            let Some((datagram, to)) = next else { return };
            // What the system refuses for good is lost, as it may be anywhere on the way.
            let sent = self.path.try_send(&datagram, to);
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                self.unsent = Some((datagram, to));
                self.writable = Some(self.path.writable());
            }
        }
    }

    fn set_timer(&mut self, now: Instant, context: &mut Context<'_>) {
        let session = if self.ice.is_answered() { lock(&self.session).deadline() } else { None };
        let deadline = session.into_iter().chain([self.ice.deadline()]).min().unwrap_or(now);
        let deadline = deadline.max(now + SHORTEST_WAIT).into();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        if self.timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    /// Ends the connection and says so to the peer, once.
    pub(crate) fn close(&mut self) {
        let mut session = lock(&self.session);
        session.close();
        // To whom nothing was said, nothing is to be taken back.
        while let Some(datagram) = session.next_datagram().filter(|_| self.ice.is_answered()) {
            _ = self.path.try_send(&datagram, self.ice.remote());
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Path {
    fn poll_arrival(&mut self, remote: SocketAddr, context: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        match self {
            Self::Shared { arrivals, .. } => match arrivals.poll_recv(context) {
                Poll::Ready(Some(arrival)) => Poll::Ready(Ok(arrival)),
                // The port has its other end for as long as the place is held.
                Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                Poll::Pending => Poll::Pending,
            },
            Self::Own(socket) => loop {
                let mut buffer = [0; RECEIVE_BUFFER_BYTES];
                let mut buffer = ReadBuf::new(&mut buffer);
                // An error is of something that was sent, which has a word of its own in it.
                if std::task::ready!(socket.poll_recv(context, &mut buffer)).is_ok() {
                    return Poll::Ready(Ok(Arrival::Datagram(remote, buffer.filled().into())));
                }
            },
        }
    }

    fn try_send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self {
            Self::Shared { place, .. } => place.port().socket().try_send_to(datagram, to),
            Self::Own(socket) => socket.try_send(datagram),
        }
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        // Of no use after an error either, which sending tells.
        match self {
            Self::Shared { place, .. } => {
                let port: Arc<Port> = place.shared_port();
                Box::pin(async move { _ = port.socket().writable().await })
            }
            Self::Own(socket) => {
                let socket = socket.clone();
                Box::pin(async move { _ = socket.writable().await })
            }
        }
    }
}
