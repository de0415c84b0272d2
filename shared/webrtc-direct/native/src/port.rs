//! One UDP socket for all connections that were not dialed from here: answers requests, and hands every other datagram to whom it
//! belongs to.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use webrtc_direct::ufrag::UserName;

use crate::admission::{Asker, Id, Owner, Table};
use crate::clock;
use crate::limits::{MAX_WAITING_CONNECTIONS, MAX_WAITING_DATAGRAMS, MAX_WAITING_OF_HANDSHAKE, RECEIVE_BUFFER_BYTES};
use crate::return_path::{Asked, ReturnPath};
use crate::stun::{self, Class, Message, Transaction};

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;

/// What the operating system is asked to keep of what has come, in bytes. It may give less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Datagrams that are taken before others have a turn.
const BATCH: usize = 64;

/// What came for a connection.
pub(crate) enum Arrival {
    /// A datagram that is not looked into.
    Datagram(SocketAddr, Vec<u8>),
    /// A request, which was verified and answered, and whether it nominates.
    Checked(SocketAddr, bool),
}

/// Where a connection's arrivals go.
#[derive(Clone)]
struct Inbox {
    sender: mpsc::Sender<Arrival>,
    is_authenticated: Arc<AtomicBool>,
}

/// Somebody who begins a handshake.
pub(crate) struct Newcomer {
    pub(crate) remote: SocketAddr,
    /// A valid user name.
    pub(crate) name: Arc<str>,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) place: Place,
}

/// What was done with the datagrams that have come to the sockets of a transport.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Requests whose sender was asked first whether they receive where they send from.
    pub asked: AtomicU64,
    /// Requests that were not looked at, because too many came from their address.
    pub throttled: AtomicU64,
    /// Messages of STUN that are none, or not signed by whom they say, or of an unknown version.
    pub invalid: AtomicU64,
    /// Handshakes that have begun.
    pub begun: AtomicU64,
    /// Handshakes that were refused because there were too many.
    pub refused: AtomicU64,
    /// Datagrams that nobody expected.
    pub unexpected: AtomicU64,
    /// Datagrams that were dropped because their connection did not take those before.
    pub dropped: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A socket with its peers. It works for as long as somebody has it.
pub(crate) struct Port {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    socket: UdpSocket,
    table: Mutex<Table<Inbox>>,
    return_path: Mutex<ReturnPath>,
    counters: Arc<Counters>,
}

/// A connection's place at its port, given back when dropped.
pub(crate) struct Place {
    port: Arc<Port>,
    id: Id,
    is_authenticated: Arc<AtomicBool>,
}

impl Port {
    /// Binds a socket. Returns it with what comes of it, in turn.
    pub(crate) fn bind(
        address: SocketAddr,
        counters: Arc<Counters>,
    ) -> io::Result<(Arc<Self>, mpsc::Receiver<Newcomer>)> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // So that another socket can have the same port of IPv4, as other transports leave it.
            socket.set_only_v6(true)?;
        }
        // As much as there may be.
        _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let return_path = ReturnPath::new(clock::random(), u64::from_ne_bytes(clock::random()));
        let (table, return_path) = (Mutex::new(Table::new()), Mutex::new(return_path));
        let shared = Arc::new(Shared { socket, table, return_path, counters });
        let (sender, newcomers) = mpsc::channel(MAX_WAITING_CONNECTIONS);
        // The task has no port, so that a port that nobody has ends it.
        let (handle, receiver) = tokio::sync::oneshot::channel::<std::sync::Weak<Self>>();
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                if let Ok(port) = receiver.await {
                    shared.serve(&port, &sender).await;
                }
            }
        });
        let port = Arc::new(Self { shared, task: task.abort_handle() });
        // The task waits for it.
        _ = handle.send(Arc::downgrade(&port));
        Ok((port, newcomers))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.socket.local_addr()
    }

    /// The socket, to send by.
    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.shared.socket
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table<Inbox>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, port: &std::sync::Weak<Port>, newcomers: &mpsc::Sender<Newcomer>) {
        let mut buffer = [0; RECEIVE_BUFFER_BYTES];
        loop {
            if let Err(error) = self.socket.readable().await {
                tracing::warn!(%error, "the UDP socket of WebRTC-direct has failed");
                return;
            }
            for _ in 0..BATCH {
                match self.socket.try_recv_from(&mut buffer) {
                    Ok((length, from)) => self.take(port, newcomers, from, &buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Some systems tell here of what was sent before and did not arrive.
                    Err(error) => tracing::debug!(%error, "a datagram could not be received"),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, port: &std::sync::Weak<Port>, newcomers: &mpsc::Sender<Newcomer>, from: SocketAddr, bytes: &[u8]) {
        if stun::is_stun(bytes) { self.take_stun(from, bytes) } else { self.take_other(port, newcomers, from, bytes) }
    }

    fn take_stun(&self, from: SocketAddr, bytes: &[u8]) {
        let now = clock::now();
        if !self.table().may_ask(now, from) {
            return count(&self.counters.throttled);
        }
        let Ok(message) = Message::parse(bytes) else { return count(&self.counters.invalid) };
        if message.class != Class::Request {
            let asked = if message.class == Class::Success { self.answered(now, from, &message) } else { None };
            if let Some(asked) = asked {
                let connection = self.table().admit(now, from, &asked.name);
                return self.answer(from, &asked.transaction, asked.server_password(), connection, asked.nominates);
            }
            // An answer to a question of a connection's, which knows whether it is.
            return match self.table().owner(now, from) {
                Owner::Connection(connection) => self.pass(&connection, Arrival::Datagram(from, bytes.into())),
                _ => count(&self.counters.unexpected),
            };
        }
        let name = message.user_name.and_then(|name| UserName::parse(name).ok());
        let Some(name) = name.filter(|name| message.is_signed_by(name.server_password())) else {
            return count(&self.counters.invalid);
        };
        let asker = self.table().asker(now, from, &name.to_string());
        let connection = match asker {
            Asker::Connection(connection) => Some(connection),
            Asker::Candidate => None,
            Asker::Stranger => {
                let question = self.question(now, from, &name, &message);
                // No request that ICE allows is shorter. Whoever receives it there asks again if it is lost.
                if question.len() <= bytes.len() && self.socket.try_send_to(&question, from).is_ok() {
                    count(&self.counters.asked);
                }
                return;
            }
            Asker::Nobody => return count(&self.counters.unexpected),
        };
        self.answer(from, &message.transaction, name.server_password(), connection, message.nominates);
    }

    fn answered(&self, now: Instant, from: SocketAddr, answer: &Message<'_>) -> Option<Asked> {
        self.return_path.lock().unwrap_or_else(PoisonError::into_inner).answered(now, from, answer)
    }

    fn question(&self, now: Instant, from: SocketAddr, name: &UserName<'_>, request: &Message<'_>) -> Vec<u8> {
        self.return_path.lock().unwrap_or_else(PoisonError::into_inner).ask(now, from, name, request)
    }

    /// Answers a request, and tells its connection if there is one.
    fn answer(
        &self,
        from: SocketAddr,
        transaction: &Transaction,
        password: &str,
        connection: Option<Inbox>,
        nominates: bool,
    ) {
        // Its sender asks again if there is no room.
        let answer = stun::success(transaction, from, password);
        if self.socket.try_send_to(&answer, from).is_ok() {
            count(&self.counters.answered);
        }
        if let Some(connection) = connection {
            self.pass(&connection, Arrival::Checked(from, nominates));
        }
    }

    fn take_other(
        &self,
        port: &std::sync::Weak<Port>,
        newcomers: &mpsc::Sender<Newcomer>,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        let now = clock::now();
        let owner = self.table().owner(now, from);
        match owner {
            Owner::Connection(connection) => self.pass(&connection, Arrival::Datagram(from, bytes.into())),
            Owner::Candidate if is_client_hello(bytes) => {
                // Who waits for the swarm takes none of the room of those who are at work.
                let (Ok(permit), Some(port)) = (newcomers.try_reserve(), port.upgrade()) else {
                    return count(&self.counters.refused);
                };
                let (sender, arrivals) = mpsc::channel(MAX_WAITING_DATAGRAMS);
                let is_authenticated = Arc::new(AtomicBool::new(false));
                let inbox = Inbox { sender, is_authenticated: is_authenticated.clone() };
                let Some((id, name)) = self.table().begin(now, from, inbox.clone()) else {
                    return count(&self.counters.refused);
                };
                count(&self.counters.begun);
                self.pass(&inbox, Arrival::Datagram(from, bytes.into()));
                permit.send(Newcomer { remote: from, name, arrivals, place: Place { port, id, is_authenticated } });
            }
            Owner::Candidate | Owner::Nobody => count(&self.counters.unexpected),
        }
    }

    fn pass(&self, connection: &Inbox, arrival: Arrival) {
        if !connection.has_room() || connection.sender.try_send(arrival).is_err() {
            count(&self.counters.dropped);
        }
    }
}

impl Inbox {
    fn has_room(&self) -> bool {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        waiting < MAX_WAITING_OF_HANDSHAKE || self.is_authenticated.load(Ordering::Relaxed)
    }
}

/// Whether a datagram begins a handshake of DTLS: a record of that kind, unencrypted, with the client's first message.
fn is_client_hello(bytes: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    matches!(bytes, [HANDSHAKE, 0xfe, _, 0, 0, _, _, _, _, _, _, _, _, CLIENT_HELLO, ..])
}

impl Place {
    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    pub(crate) fn shared_port(&self) -> Arc<Port> {
        self.port.clone()
    }

    /// The peer has proven who it is.
    pub(crate) fn authenticate(&self) {
        self.is_authenticated.store(true, Ordering::Relaxed);
        self.port.shared.table().authenticate(self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.port.shared.table().remove(self.id);
    }
}
