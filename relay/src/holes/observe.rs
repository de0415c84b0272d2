//! Where relays see us, over each transport, when we dial from where we listen: that is what the other end of a hole dials.
//!
//! Whoever serves listens from the start. Whoever fetches does not, until a relay is all that leads to a provider: then it listens, asks the relays
//! that it is connected to by a further connection from there, and is connected to the provider through its relay once more, because what a hole
//! is punched with is what was known when a circuit began. Meanwhile blocks come through the first one.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{CloseConnection, ConnectionId, FromSwarm, ListenOpts, NetworkBehaviour};
use libp2p::swarm::{THandlerInEvent, ToSwarm, dummy};
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Instant, Sleep, sleep_until};

use super::address::{Kind, Listening, kind_of};

/// How long addresses are collected that come one by one, until something is made of them.
const COLLECT: Duration = Duration::from_millis(50);
/// How long a relay may take to say where it sees us: some round trips. Over a transport that the network blocks none ever does.
const OBSERVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long any may take at all: some connections have long ways.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a second circuit is kept for its hole to be punched.
const PUNCH_TIMEOUT: Duration = Duration::from_secs(15);
/// Peers that may be asked where they see us.
const MAX_PEERS: usize = 16;
/// Addresses of each.
const MAX_ADDRESSES: usize = 16;
/// Peers that are asked over one transport: one may be gone.
const MAX_ASKED: usize = 2;
/// Circuits that wait for a hole.
const MAX_CIRCUITS: usize = 16;

/// When a peer finds out where it is seen.
#[derive(Debug)]
pub enum When {
    /// From the start: it listens, and is dialed through relays.
    Always,
    /// Once it is connected to somebody through a relay. Then it listens on these addresses.
    Relayed(Vec<Multiaddr>),
    /// Never: nobody is to know where it is.
    Never,
}

/// A peer that we dialed, and is connected.
#[derive(Debug, Default)]
struct Known {
    addresses: Vec<Multiaddr>,
    /// Over which transports it was asked.
    asked: Vec<Kind>,
}

/// A circuit that began before it was known where we are seen.
#[derive(Debug)]
struct Circuit {
    peer: PeerId,
    address: Multiaddr,
    connection: ConnectionId,
}

/// A circuit beside the first one.
#[derive(Debug)]
struct Second {
    peer: PeerId,
    first: ConnectionId,
    connection: ConnectionId,
    until: Instant,
}

/// What finds out where we are seen.
#[derive(Debug)]
pub struct Observe {
    /// Where to listen as soon as there is a reason to.
    to_listen: Vec<Multiaddr>,
    listening: Listening,
    /// Whether somebody saw us come from a port that we listen on, or would have, by kind.
    is_seen: [bool; 2],
    peers: HashMap<PeerId, Known>,
    ask_at: Option<Instant>,
    circuits: Vec<Circuit>,
    /// When circuits are dialed again, if anything is known then; later, as soon as it is.
    again_at: Option<Instant>,
    /// When circuits are left as they are.
    give_up_at: Option<Instant>,
    seconds: Vec<Second>,
    timer: Option<Pin<Box<Sleep>>>,
    queue: VecDeque<ToSwarm<Infallible, Infallible>>,
}

impl Observe {
    pub(super) fn new(when: When) -> Self {
        Self {
            to_listen: if let When::Relayed(addresses) = when { addresses } else { Vec::new() },
            listening: Listening::default(),
            is_seen: [false; 2],
            peers: HashMap::new(),
            ask_at: None,
            circuits: Vec::new(),
            again_at: None,
            give_up_at: None,
            seconds: Vec::new(),
            timer: None,
            queue: VecDeque::new(),
        }
    }

    fn on_connected(&mut self, ConnectionEstablished { peer_id, connection_id, endpoint, .. }: ConnectionEstablished) {
        match endpoint {
            ConnectedPoint::Dialer { address, .. } if endpoint.is_relayed() => {
                let is_second = self.seconds.iter().any(|second| second.connection == connection_id);
                if !is_second && !self.knows_enough() && self.circuits.len() < MAX_CIRCUITS {
                    let listen = std::mem::take(&mut self.to_listen).into_iter();
                    self.queue.extend(listen.map(|address| ToSwarm::ListenOn { opts: ListenOpts::new(address) }));
                    self.circuits.push(Circuit { peer: peer_id, address: address.clone(), connection: connection_id });
                    let now = Instant::now();
                    self.again_at.get_or_insert(now + OBSERVE_TIMEOUT);
                    self.give_up_at = Some(now + GIVE_UP_TIMEOUT);
                }
            }
            _ if endpoint.is_relayed() => {}
            _ => {
                self.circuits.retain(|circuit| circuit.peer != peer_id);
                let done = self.seconds.extract_if(.., |second| second.peer == peer_id);
                self.queue.extend(done.map(|second| close(&second)));
                if endpoint.is_dialer() && (self.peers.len() < MAX_PEERS || self.peers.contains_key(&peer_id)) {
                    self.peers.entry(peer_id).or_default();
                }
            }
        }
    }

    fn on_closed(&mut self, closed: &ConnectionClosed) {
        let is_it = |connection: ConnectionId| connection == closed.connection_id;
        self.circuits.retain(|circuit| !is_it(circuit.connection));
        // The one that is left may be in use.
        self.seconds.retain(|second| !is_it(second.first) && !is_it(second.connection));
        if closed.remaining_established == 0 {
            self.peers.remove(&closed.peer_id);
        }
    }

    fn ask_soon(&mut self) {
        self.ask_at.get_or_insert_with(|| Instant::now() + COLLECT);
    }

    /// Whether there is nothing to wait for: it is known where we are seen, over all that we listen on.
    fn knows_enough(&self) -> bool {
        let mut listening = Kind::ALL.into_iter().filter(|kind| self.listening.over(*kind)).peekable();
        listening.peek().is_some() && listening.all(|kind| self.is_seen[kind as usize])
    }

    /// Dials peers from where we listen, over each transport of which it is not known where we are seen.
    fn ask(&mut self) {
        for kind in Kind::ALL {
            if !self.listening.over(kind) || self.is_seen[kind as usize] {
                continue;
            }
            let busy = self.peers.values().filter(|known| known.asked.contains(&kind)).count();
            let fresh = self.peers.iter_mut().filter(|(_, known)| !known.asked.contains(&kind));
            let of_kind = |address: &&Multiaddr| kind_of(address).is_some_and(|(of, _)| of == kind);
            let asked = fresh.filter_map(|(peer, known)| {
                let addresses: Vec<_> = known.addresses.iter().filter(of_kind).cloned().collect();
                (!addresses.is_empty()).then(|| {
                    known.asked.push(kind);
                    let opts = DialOpts::peer_id(*peer).addresses(addresses).condition(PeerCondition::Always).build();
                    ToSwarm::Dial { opts }
                })
            });
            self.queue.extend(asked.take(MAX_ASKED.saturating_sub(busy)));
        }
    }

    /// Is connected once more where a hole may be punched now.
    fn dial_again(&mut self) {
        (self.again_at, self.give_up_at) = (None, None);
        for Circuit { peer, address, connection } in self.circuits.drain(..) {
            let opts = DialOpts::peer_id(peer).addresses(vec![address]).condition(PeerCondition::Always).build();
            let until = Instant::now() + PUNCH_TIMEOUT;
            self.seconds.push(Second { peer, first: connection, connection: opts.connection_id(), until });
            self.queue.push_back(ToSwarm::Dial { opts });
        }
    }

    fn on_seen(&mut self, kind: Kind) {
        self.is_seen[kind as usize] = true;
        // Past its time the first one that is seen is enough.
        if self.knows_enough() || self.again_at.is_none() {
            self.dial_again();
        }
    }

    fn on_time(&mut self, now: Instant) {
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = None;
            self.ask();
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            if self.is_seen.contains(&true) {
                self.dial_again();
            }
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            self.circuits.clear();
        }
        let over = self.seconds.extract_if(.., |second| second.until <= now);
        self.queue.extend(over.map(|second| close(&second)));
    }

    fn next_step(&self) -> Option<Instant> {
        let seconds = self.seconds.iter().map(|second| second.until);
        seconds.chain(self.ask_at).chain(self.again_at).chain(self.give_up_at).min()
    }
}

const fn close(second: &Second) -> ToSwarm<Infallible, Infallible> {
    ToSwarm::CloseConnection { peer_id: second.peer, connection: CloseConnection::One(second.connection) }
}

impl NetworkBehaviour for Observe {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    without_streams!();

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.listening.on_swarm_event(&event);
        match event {
            FromSwarm::ConnectionEstablished(connected) => self.on_connected(connected),
            FromSwarm::ConnectionClosed(closed) => self.on_closed(&closed),
            FromSwarm::DialFailure(failure) => {
                self.seconds.retain(|second| second.connection != failure.connection_id);
            }
            FromSwarm::NewExternalAddrOfPeer(told) => {
                if let Some(known) = self.peers.get_mut(&told.peer_id)
                    && known.addresses.len() < MAX_ADDRESSES
                    && !known.addresses.contains(told.addr)
                {
                    known.addresses.push(told.addr.clone());
                    self.ask_soon();
                }
            }
            FromSwarm::NewListenAddr(_) => self.ask_soon(),
            // Who moved to another network is seen elsewhere.
            FromSwarm::ExpiredListenAddr(gone) => {
                if let Some((kind, _)) = kind_of(gone.addr) {
                    self.is_seen[kind as usize] = false;
                    self.peers.values_mut().for_each(|known| known.asked.retain(|asked| *asked != kind));
                    self.ask_soon();
                }
            }
            FromSwarm::NewExternalAddrCandidate(candidate) if self.listening.has(candidate.addr) => {
                if let Some((kind, _)) = kind_of(candidate.addr) {
                    self.on_seen(kind);
                }
            }
            _ => {}
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        loop {
            if let Some(next) = self.queue.pop_front() {
                return Poll::Ready(next);
            }
            let Some(at) = self.next_step() else { return Poll::Pending };
            let now = Instant::now();
            if at <= now {
                self.on_time(now);
                continue;
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
