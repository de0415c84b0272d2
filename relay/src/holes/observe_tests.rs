#![allow(clippy::unwrap_used, reason = "tests")]

use futures::FutureExt;
use futures::future::poll_fn;
use libp2p::core::Endpoint;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::swarm::behaviour::{ExpiredListenAddr, NewListenAddr};
use libp2p::swarm::{NewExternalAddrCandidate, NewExternalAddrOfPeer};

use super::*;

const TCP: &str = "/ip4/203.0.113.7/tcp/4801";
const QUIC: &str = "/ip4/203.0.113.7/udp/4801/quic-v1";

fn parse(address: &str) -> Multiaddr {
    address.parse().unwrap()
}

/// A peer that hears what a swarm would tell it.
struct Heard(Observe);

impl Heard {
    fn connected(&mut self, peer: PeerId, connection: usize, address: &str) {
        let endpoint = ConnectedPoint::Dialer {
            address: parse(address),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        self.0.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(connection),
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
    }

    fn told(&mut self, peer: PeerId, addresses: &[&str]) {
        for address in addresses {
            let addr = &parse(address);
            self.0.on_swarm_event(FromSwarm::NewExternalAddrOfPeer(NewExternalAddrOfPeer { peer_id: peer, addr }));
        }
    }

    fn listens(&mut self, address: &str) {
        let (listener_id, addr) = (ListenerId::next(), &parse(address));
        self.0.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
    }

    fn seen(&mut self, address: &str) {
        let addr = &parse(address);
        self.0.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr }));
    }

    /// Lets it believe that so much time has passed.
    fn passes(&mut self, time: Duration) {
        self.0.on_time(Instant::now() + time);
    }

    /// What it wants of the swarm now: `listen`, `close`, or whom it dials, each with its place.
    fn wants(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(next) = poll_fn(|context| self.0.poll(context)).now_or_never() {
            all.push(match next {
                ToSwarm::ListenOn { opts } => format!("listen {}", opts.address()),
                ToSwarm::Dial { opts } => format!("dial {}", opts.get_peer_id().unwrap()),
                ToSwarm::CloseConnection { peer_id, .. } => format!("close {peer_id}"),
                other => format!("{other:?}"),
            });
        }
        all
    }
}

#[tokio::test]
async fn who_fetches_listens_once_a_relay_leads_to_a_provider_and_is_connected_again_when_it_was_seen() {
    let (relay, provider) = (PeerId::random(), PeerId::random());
    let circuit = format!("{TCP}/p2p/{relay}/p2p-circuit/p2p/{provider}");
    let mut peer = Heard(Observe::new(When::Relayed(vec![parse("/ip4/0.0.0.0/tcp/0")])));
    peer.connected(relay, 1, TCP);
    peer.told(relay, &[TCP, QUIC]);
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [""; 0], "there is no reason to listen");
    peer.connected(provider, 2, &circuit);
    assert_eq!(peer.wants(), ["listen /ip4/0.0.0.0/tcp/0"]);
    peer.listens("/ip4/192.168.1.5/tcp/4001");
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [format!("dial {relay}")], "from where it listens");
    peer.seen("/ip4/198.51.100.9/tcp/50123");
    assert_eq!(peer.wants(), [""; 0], "a port that nobody listens on");
    peer.seen("/ip4/198.51.100.9/tcp/4001");
    assert_eq!(peer.wants(), [format!("dial {provider}")]);
    let second = peer.0.seconds[0].connection;
    peer.0.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id: provider,
        connection_id: second,
        endpoint: &ConnectedPoint::Dialer {
            address: parse(&circuit),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        },
        failed_addresses: &[],
        other_established: 1,
    }));
    assert_eq!(peer.wants(), [""; 0], "it is the one that was wanted");
    peer.connected(provider, 4, "/ip4/198.51.100.77/tcp/4001");
    assert_eq!(peer.wants(), [format!("close {provider}")], "the hole is there");
}

#[tokio::test]
async fn a_transport_that_is_blocked_is_waited_for_a_second_and_a_hole_that_never_comes_for_its_time() {
    let (relay, provider) = (PeerId::random(), PeerId::random());
    let circuit = format!("{TCP}/p2p/{relay}/p2p-circuit/p2p/{provider}");
    let mut peer = Heard(Observe::new(When::Relayed(Vec::new())));
    peer.listens("/ip4/192.168.1.5/tcp/4001");
    peer.listens("/ip4/192.168.1.5/udp/4001/quic-v1");
    peer.connected(provider, 1, &circuit);
    peer.seen("/ip4/198.51.100.9/tcp/4001");
    assert_eq!(peer.wants(), [""; 0], "QUIC may be seen too");
    peer.passes(OBSERVE_TIMEOUT);
    assert_eq!(peer.wants(), [format!("dial {provider}")]);
    peer.passes(PUNCH_TIMEOUT);
    assert_eq!(peer.wants(), [format!("close {provider}")]);
    assert_eq!(peer.0.next_step(), None);
}

#[tokio::test]
async fn who_serves_asks_over_each_transport_that_it_listens_on_once() {
    let relay = PeerId::random();
    let mut peer = Heard(Observe::new(When::Always));
    peer.listens("/ip4/192.168.1.5/tcp/4001");
    peer.listens("/ip4/192.168.1.5/udp/4001/quic-v1");
    peer.connected(relay, 1, TCP);
    peer.told(relay, &[TCP, "/ip4/203.0.113.7/tcp/4802/ws", QUIC]);
    peer.seen("/ip4/198.51.100.9/tcp/4001");
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [format!("dial {relay}")], "over QUIC");
    peer.told(relay, &["/ip4/203.0.113.7/udp/4901/quic-v1"]);
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [""; 0], "it was asked");
}

#[tokio::test]
async fn what_is_seen_late_is_used_as_soon_as_it_is_seen_and_not_for_ever() {
    let (relay, provider) = (PeerId::random(), PeerId::random());
    let circuit = format!("{TCP}/p2p/{relay}/p2p-circuit/p2p/{provider}");
    for (wait, wanted) in [(OBSERVE_TIMEOUT, 1), (GIVE_UP_TIMEOUT, 0)] {
        let mut peer = Heard(Observe::new(When::Relayed(Vec::new())));
        peer.listens("/ip4/192.168.1.5/tcp/4001");
        peer.listens("/ip4/192.168.1.5/udp/4001/quic-v1");
        peer.connected(provider, 1, &circuit);
        peer.passes(wait);
        assert_eq!(peer.wants(), [""; 0], "nothing was seen");
        peer.seen("/ip4/198.51.100.9/tcp/4001");
        assert_eq!(peer.wants().len(), wanted, "after {wait:?}");
    }
}

#[tokio::test]
async fn who_moves_to_another_network_asks_again() {
    let relay = PeerId::random();
    let mut peer = Heard(Observe::new(When::Always));
    peer.connected(relay, 1, TCP);
    peer.told(relay, &[TCP]);
    peer.listens("/ip4/192.168.1.5/tcp/4001");
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [format!("dial {relay}")]);
    let (listener_id, addr) = (ListenerId::next(), &parse("/ip4/192.168.1.5/tcp/4001"));
    peer.0.on_swarm_event(FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr }));
    peer.listens("/ip4/10.0.0.9/tcp/4001");
    peer.passes(COLLECT);
    assert_eq!(peer.wants(), [format!("dial {relay}")]);
}
