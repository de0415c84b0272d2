//! Hole punching (DCUtR), within bounds. The other end says where it is to be dialed, and it is a stranger: nothing is dialed but TCP and QUIC at
//! addresses of the kind of network that we are in ourselves.

use std::collections::{HashMap, HashSet};
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm};
use libp2p::swarm::{THandler, THandlerInEvent, THandlerOutEvent};
use libp2p::{Multiaddr, PeerId, dcutr};

use super::address::{Listening, Reach, kind_of, reach};

/// Addresses at which one peer may be dialed for one hole: TCP and QUIC, IPv4 and IPv6, twice.
const MAX_ADDRESSES: usize = 8;
/// Attempts on one circuit; libp2p begins no more itself, but another end may.
const MAX_ATTEMPTS: u8 = 3;
/// Holes that are punched at once. Others stay with their relay.
const MAX_PUNCHES: usize = 16;

/// What punches holes.
pub struct Punch {
    inner: dcutr::Behaviour,
    listening: Listening,
    /// How near the nearest peer is that we dialed by an address of our own choice: who dials relays in a private network has others there too.
    nearest: Reach,
    /// Dials of holes, from when they are wanted until they end.
    dials: HashSet<ConnectionId>,
    /// Attempts by circuit.
    attempts: HashMap<ConnectionId, u8>,
}

/// Why a hole is not punched.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("more addresses are named than one peer needs")]
    TooManyAddresses,
    #[error("{0} is not where a peer would be")]
    Address(Multiaddr),
    #[error("enough holes are being punched")]
    TooManyPunches,
}

impl Punch {
    pub(super) fn new(local: PeerId) -> Self {
        Self {
            inner: dcutr::Behaviour::new(local),
            listening: Listening::default(),
            nearest: Reach::Anywhere,
            dials: HashSet::new(),
            attempts: HashMap::new(),
        }
    }

    fn check(&self, addresses: &[Multiaddr]) -> Result<(), Refused> {
        if addresses.len() > MAX_ADDRESSES {
            return Err(Refused::TooManyAddresses);
        }
        if self.dials.len() > MAX_PUNCHES {
            return Err(Refused::TooManyPunches);
        }
        let is_good = |address: &&Multiaddr| kind_of(address).is_some() && reach(address) >= self.nearest;
        match addresses.iter().find(|address| !is_good(address)) {
            Some(bad) => Err(Refused::Address(bad.clone())),
            None => Ok(()),
        }
    }
}

impl NetworkBehaviour for Punch {
    type ConnectionHandler = <dcutr::Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = dcutr::Event;

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        // Nobody else dials in the part of who was dialed.
        if self.dials.contains(&connection) || role == Endpoint::Listener {
            self.check(addresses).map_err(ConnectionDenied::new)?;
        }
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.listening.on_swarm_event(&event);
        match &event {
            FromSwarm::ConnectionEstablished(it) => {
                let was_punched = self.dials.remove(&it.connection_id);
                if let (ConnectedPoint::Dialer { address, .. }, false, false) =
                    (it.endpoint, was_punched, it.endpoint.is_relayed())
                {
                    self.nearest = self.nearest.min(reach(address));
                }
            }
            FromSwarm::DialFailure(it) => _ = self.dials.remove(&it.connection_id),
            FromSwarm::ConnectionClosed(it) => _ = self.attempts.remove(&it.connection_id),
            // What others are told is where we listen, as it is seen: not the port of some connection.
            FromSwarm::NewExternalAddrCandidate(it) if !self.listening.has(it.addr) => return,
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let attempts = self.attempts.entry(connection).or_default();
        if *attempts < MAX_ATTEMPTS {
            *attempts += 1;
            self.inner.on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<dcutr::Event, THandlerInEvent<Self>>> {
        let next = self.inner.poll(context);
        if let Poll::Ready(ToSwarm::Dial { opts }) = &next {
            self.dials.insert(opts.connection_id());
        }
        next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn refuses(punch: &Punch, address: &str) -> bool {
        punch.check(&[address.parse().unwrap()]).is_err()
    }

    const HOSTILE: [&str; 9] = [
        "/ip4/127.0.0.1/tcp/22",
        "/ip4/192.168.1.1/tcp/80",
        "/ip4/169.254.169.254/tcp/80",
        "/ip6/::1/tcp/80",
        "/ip6/::ffff:10.0.0.1/tcp/80",
        "/ip6/fd00::1/udp/53/quic-v1",
        "/dns4/intranet.example/tcp/80",
        "/ip4/203.0.113.7/tcp/80/ws",
        "/ip4/203.0.113.7/tcp/80/x-parity-ws/%2Fadmin",
    ];

    #[test]
    fn a_stranger_has_nothing_dialed_that_is_no_peer_of_the_internet() {
        let punch = Punch::new(PeerId::random());
        for address in HOSTILE {
            assert!(refuses(&punch, address), "{address}");
        }
        let peer = PeerId::random();
        for good in ["/ip4/203.0.113.7/tcp/4001", "/ip4/203.0.113.7/udp/4001/quic-v1", "/ip6/2a00::1/tcp/4001"] {
            assert!(!refuses(&punch, good), "{good}");
            assert!(!refuses(&punch, &format!("{good}/p2p/{peer}")), "{good}");
        }
    }

    #[test]
    fn what_is_refused_is_not_dialed_at_either_end_and_other_dials_are_nobodys_business_here() {
        let (mut punch, peer) = (Punch::new(PeerId::random()), Some(PeerId::random()));
        let bad: Vec<Multiaddr> = vec![HOSTILE[0].parse().unwrap()];
        let [own, hole] = [1, 2].map(ConnectionId::new_unchecked);
        punch.dials.insert(hole);
        let mut is_denied =
            |connection, role| punch.handle_pending_outbound_connection(connection, peer, &bad, role).is_err();
        assert!(is_denied(own, Endpoint::Listener), "only holes are dialed so");
        assert!(is_denied(hole, Endpoint::Dialer));
        assert!(!is_denied(own, Endpoint::Dialer));
    }

    #[test]
    fn in_a_private_network_its_peers_are_dialed_and_this_machine_is_not() {
        let punch = Punch { nearest: Reach::Network, ..Punch::new(PeerId::random()) };
        assert!(!refuses(&punch, "/ip4/192.168.1.7/tcp/4001"));
        assert!(refuses(&punch, "/ip4/127.0.0.1/tcp/4001"));
    }

    #[test]
    fn nobody_names_more_addresses_than_a_peer_has_and_holes_are_counted() {
        let mut punch = Punch::new(PeerId::random());
        let address: Multiaddr = "/ip4/203.0.113.7/tcp/4001".parse().unwrap();
        assert!(punch.check(&vec![address.clone(); MAX_ADDRESSES]).is_ok());
        assert!(punch.check(&vec![address.clone(); MAX_ADDRESSES + 1]).is_err());
        punch.dials = (0..=MAX_PUNCHES).map(ConnectionId::new_unchecked).collect();
        assert!(punch.check(&[address]).is_err());
    }
}
