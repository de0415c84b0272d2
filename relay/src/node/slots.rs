//! Who may be connected: slots for connections, shared by groups of IP addresses.
//!
//! As long as there are free ones, anybody may have them. Where there are none left, a newcomer takes one of the group that has most, and of these
//! the one that was taken last: a flood of connections takes its own places, and those who were here before it stay.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};

use ggen_net::address::{IpGroup, is_this_machine};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour};
use libp2p::swarm::{THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy};

use crate::policy;

/// How many slots there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections that others made.
    connections: usize,
    /// Connections that are still shaking hands.
    pending: usize,
    /// Of these, those of one group.
    pending_of_group: usize,
    /// Handshakes over QUIC, where the sender of the first packet may be anybody. They are counted apart, and in no group.
    pending_unproven: usize,
    /// Connections of one peer, whoever made them.
    of_peer: usize,
    /// Connections that others made, with those that are being closed.
    inbound: usize,
    /// Connections of a proxy on this machine before they count as those of a group do.
    of_proxy: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: policy::MAX_CONNECTIONS as usize,
            pending: policy::MAX_PENDING_CONNECTIONS as usize,
            pending_of_group: policy::MAX_PENDING_CONNECTIONS_PER_GROUP,
            pending_unproven: policy::MAX_PENDING_UNPROVEN,
            of_peer: policy::MAX_CONNECTIONS_PER_PEER as usize,
            inbound: (policy::MAX_CONNECTIONS + policy::MAX_CONNECTIONS_CLOSING) as usize,
            of_proxy: policy::MAX_CONNECTIONS as usize / 2,
        }
    }
}

/// Lets connections in, and closes those that have to make room.
pub(super) struct Slots {
    limits: Limits,
    pending: HashMap<ConnectionId, Handshake>,
    /// The slots, by their number: later ones are higher.
    taken: BTreeMap<u64, Slot>,
    numbers: HashMap<ConnectionId, u64>,
    next: u64,
    to_close: VecDeque<Slot>,
    /// How many connections each peer has that has any.
    of_peers: HashMap<PeerId, usize>,
    /// Connections that others made, those that are being closed among them.
    inbound: HashSet<ConnectionId>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    peer: PeerId,
    connection: ConnectionId,
    place: Place,
}

/// Who shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    /// A proxy on this machine, which speaks for everybody.
    Proxy,
    /// Addresses that are one party's as a rule.
    Group(IpGroup),
}

impl Place {
    fn of(address: &Multiaddr) -> Self {
        if is_this_machine(address) { Self::Proxy } else { Self::Group(IpGroup::of(address)) }
    }
}

/// A handshake that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    /// Over TCP, or WebRTC, which has asked back by then: whoever began it can be answered there.
    At(Place),
    /// Over QUIC.
    Unproven,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("too many connections are shaking hands")]
    Pending,
    #[error("all slots are taken, and nobody else has more of them")]
    Full,
    #[error("the peer has as many connections as it may")]
    Peer,
}

impl Slots {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pending: HashMap::new(),
            taken: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            to_close: VecDeque::new(),
            of_peers: HashMap::new(),
            inbound: HashSet::new(),
        }
    }

    /// Whether a peer may have one more connection.
    fn may_connect(&self, peer: &PeerId) -> Result<(), Refused> {
        let has_room = self.of_peers.get(peer).is_none_or(|count| *count < self.limits.of_peer);
        has_room.then_some(()).ok_or(Refused::Peer)
    }

    fn may_shake_hands(&self, handshake: Handshake) -> bool {
        let same = self.pending.values().filter(|other| **other == handshake).count();
        let Handshake::At(place) = handshake else { return same < self.limits.pending_unproven };
        let proven = self.pending.values().filter(|other| **other != Handshake::Unproven).count();
        proven < self.limits.pending && (place == Place::Proxy || same < self.limits.pending_of_group)
    }

    /// Takes a slot, another's if there is none left.
    fn take(&mut self, slot: Slot) -> Result<(), Refused> {
        self.may_connect(&slot.peer)?;
        if self.inbound.len() >= self.limits.inbound {
            return Err(Refused::Full);
        }
        if self.taken.len() >= self.limits.connections {
            let number = self.to_give_up(slot.place).ok_or(Refused::Full)?;
            if let Some(closed) = self.taken.remove(&number) {
                self.numbers.remove(&closed.connection);
                self.to_close.push_back(closed);
            }
        }
        self.taken.insert(self.next, slot);
        self.numbers.insert(slot.connection, self.next);
        self.next += 1;
        Ok(())
    }

    /// The slot that was taken last of the place that has most, if that has more than this one.
    fn to_give_up(&self, newcomer: Place) -> Option<u64> {
        let mut places: HashMap<Place, (usize, u64)> = HashMap::new();
        for (number, slot) in &self.taken {
            let (count, last) = places.entry(slot.place).or_default();
            (*count, *last) = (*count + 1, *number);
        }
        if let Some((count, _)) = places.get_mut(&Place::Proxy) {
            *count = count.saturating_sub(self.limits.of_proxy);
        }
        let own = places.get(&newcomer).map_or(0, |(count, _)| *count);
        let (most, last) = places.into_values().max()?;
        (most > own + 1).then_some(last)
    }

    fn leave(&mut self, connection: ConnectionId) {
        self.pending.remove(&connection);
        if let Some(number) = self.numbers.remove(&connection) {
            self.taken.remove(&number);
        }
    }
}

impl NetworkBehaviour for Slots {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let is_quic = local.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1));
        let handshake = if is_quic { Handshake::Unproven } else { Handshake::At(Place::of(remote)) };
        if !self.may_shake_hands(handshake) {
            return Err(ConnectionDenied::new(Refused::Pending));
        }
        self.pending.insert(connection, handshake);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.take(Slot { peer, connection, place: Place::of(remote) }).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.may_connect(&peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                *self.of_peers.entry(established.peer_id).or_default() += 1;
                if established.endpoint.is_listener() {
                    self.inbound.insert(established.connection_id);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.inbound.remove(&closed.connection_id);
                if closed.remaining_established == 0 {
                    self.of_peers.remove(&closed.peer_id);
                } else if let Some(count) = self.of_peers.get_mut(&closed.peer_id) {
                    *count -= 1;
                }
                self.leave(closed.connection_id);
            }
            FromSwarm::ListenFailure(failure) => self.leave(failure.connection_id),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Nothing else wakes us: every push comes from a call by the swarm, which polls again.
        let Some(Slot { peer, connection, .. }) = self.to_close.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::One(connection) })
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::ConnectedPoint;
    use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};

    use super::*;

    const FLOOD: &str = "/ip4/10.66.0.1/tcp/1";

    fn connect(slots: &mut Slots, number: usize, from: &str) -> Result<(), ConnectionDenied> {
        let (id, from) = (ConnectionId::new_unchecked(number), from.parse().unwrap());
        let local: Multiaddr = "/ip4/192.0.2.1/tcp/4801".parse().unwrap();
        slots.handle_pending_inbound_connection(id, &local, &from)?;
        slots.handle_established_inbound_connection(id, PeerId::random(), &local, &from)?;
        Ok(())
    }

    fn has(slots: &Slots, number: usize) -> bool {
        slots.numbers.contains_key(&ConnectionId::new_unchecked(number))
    }

    #[test]
    fn a_flood_gives_up_its_own_slots_to_newcomers_and_takes_none_of_others() {
        let mut slots = Slots::new(Limits { connections: 100, of_proxy: 50, ..Limits::default() });
        for number in 0..10 {
            connect(&mut slots, number, &format!("/ip4/198.{number}.0.1/tcp/1")).unwrap();
        }
        let let_in = (100..400).filter(|number| connect(&mut slots, *number, FLOOD).is_ok()).count();
        assert_eq!(let_in, 90);
        // From this machine, and from other networks.
        for number in 10..60 {
            let from =
                if number % 2 == 0 { "/ip4/127.0.0.1/tcp/1".into() } else { format!("/ip4/199.{number}.0.1/tcp/1") };
            connect(&mut slots, number, &from).unwrap();
        }
        assert!((0..60).all(|number| has(&slots, number)));
        assert_eq!(slots.taken.len(), 100);
        assert_eq!(slots.to_close.len(), 50);
        assert!(has(&slots, 100) && !has(&slots, 189), "those that came last make room");
        for number in 0..100 {
            slots.leave(ConnectionId::new_unchecked(number));
        }
        assert_eq!((slots.taken.len(), slots.numbers.len(), slots.pending.len()), (40, 40, 0));
    }

    #[test]
    fn nobody_makes_room_for_who_has_as_much() {
        let mut slots = Slots::new(Limits { connections: 4, ..Limits::default() });
        for number in 0..4 {
            connect(&mut slots, number, &format!("/ip4/198.{}.0.1/tcp/1", number % 2)).unwrap();
        }
        assert!(connect(&mut slots, 4, "/ip4/198.0.0.9/tcp/1").is_err());
        assert!(connect(&mut slots, 5, "/ip4/198.7.0.9/tcp/1").is_ok());
    }

    #[test]
    fn a_proxy_has_half_of_the_slots_and_shares_the_rest() {
        let mut slots = Slots::new(Limits { connections: 40, of_proxy: 20, ..Limits::default() });
        let let_in = (0..80).filter(|number| connect(&mut slots, *number, "/ip4/127.0.0.1/tcp/1").is_ok()).count();
        assert_eq!(let_in, 40);
        for number in 100..140 {
            _ = connect(&mut slots, number, &format!("/ip4/198.{number}.0.1/tcp/1"));
        }
        let of_proxy = slots.taken.values().filter(|slot| slot.place == Place::Proxy).count();
        assert!((20..=22).contains(&of_proxy), "{of_proxy}");
        assert_eq!(slots.taken.len(), 40);
    }

    #[test]
    fn handshakes_are_bounded_for_each_group_and_where_the_sender_may_be_anybody() {
        let mut slots =
            Slots::new(Limits { pending: 20, pending_of_group: 5, pending_unproven: 10, ..Limits::default() });
        let quic: Multiaddr = "/ip4/192.0.2.1/udp/4801/quic-v1".parse().unwrap();
        let webrtc: Multiaddr = "/ip4/192.0.2.1/udp/4803/webrtc-direct".parse().unwrap();
        let tcp: Multiaddr = "/ip4/192.0.2.1/tcp/4801".parse().unwrap();
        let mut number = 0;
        let mut begin = |local: &Multiaddr, from: String| {
            number += 1;
            let id = ConnectionId::new_unchecked(number);
            slots.handle_pending_inbound_connection(id, local, &from.parse().unwrap()).is_ok()
        };
        assert_eq!((0..20).filter(|_| begin(&tcp, FLOOD.into())).count(), 5);
        let forged = |number| format!("/ip4/198.{number}.0.1/udp/1");
        assert_eq!((0..20).filter(|number| begin(&quic, forged(*number))).count(), 10);
        // Which keeps nobody out whose address is proven.
        assert!(begin(&webrtc, "/ip4/197.1.0.1/udp/1".into()));
        assert!(!begin(&webrtc, FLOOD.replace("tcp", "udp")), "counted where it is");
        assert_eq!((0..20).filter(|number| begin(&tcp, format!("/ip4/199.{number}.0.1/tcp/1"))).count(), 14);
    }

    /// Tells of a connection that another one made.
    fn established(slots: &mut Slots, number: usize, peer: PeerId, left: Option<usize>) {
        let (connection_id, address): (_, Multiaddr) = (ConnectionId::new_unchecked(number), FLOOD.parse().unwrap());
        let endpoint = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address };
        slots.on_swarm_event(match left {
            None => FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established: 0,
            }),
            Some(remaining_established) => FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id: peer,
                connection_id,
                endpoint: &endpoint,
                cause: None,
                remaining_established,
            }),
        });
    }

    #[test]
    fn a_peer_has_some_connections_and_leaves_nothing_behind() {
        let mut slots = Slots::new(Limits { of_peer: 2, inbound: 4, ..Limits::default() });
        let peer = PeerId::random();
        let again = |slots: &mut Slots, number| {
            let (id, from) = (ConnectionId::new_unchecked(number), FLOOD.parse().unwrap());
            slots.handle_established_inbound_connection(id, peer, &from, &from).is_ok()
        };
        for number in 0..2 {
            assert!(again(&mut slots, number));
            established(&mut slots, number, peer, None);
        }
        assert!(!again(&mut slots, 2), "one too many");
        let (id, to) = (ConnectionId::new_unchecked(3), FLOOD.parse().unwrap());
        let dialed = slots.handle_established_outbound_connection(id, peer, &to, Endpoint::Dialer, PortUse::New);
        assert!(dialed.is_err(), "whoever made it");
        established(&mut slots, 0, peer, Some(1));
        assert!(again(&mut slots, 4));
        established(&mut slots, 4, peer, None);
        // Past all that there may be nobody is let in, and nobody makes room.
        for number in 5..7 {
            connect(&mut slots, number, FLOOD).unwrap();
            established(&mut slots, number, PeerId::random(), None);
        }
        assert!(connect(&mut slots, 7, "/ip4/198.1.0.1/tcp/1").is_err() && slots.to_close.is_empty());
        for (number, left) in [(1, 1), (4, 0)] {
            established(&mut slots, number, peer, Some(left));
        }
        assert!(!slots.of_peers.contains_key(&peer), "who is gone is forgotten");
        assert_eq!((slots.inbound.len(), slots.taken.len()), (2, 2));
    }
}
