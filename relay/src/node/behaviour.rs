//! What a relay runs: what every peer runs, and what only a relay can give.

use std::sync::Arc;

use ggen_net::address::is_this_machine;
use ggen_net::{P2PBehaviour, P2PConfig, Role};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, autonat, memory_connection_limits, relay};

use super::dial_backs::DialBacks;
use super::slots::{Limits, Slots};
use crate::admission::Shelf;
use crate::config::Circuits;
use crate::heads::HeadStore;
use crate::policy::{self, Refill};
use crate::router::Router;

#[derive(NetworkBehaviour)]
pub(super) struct RelayBehaviour {
    // Those that refuse connections come first: of one that is refused nobody says to the others that it has ended, and they would keep it.
    memory: memory_connection_limits::Behaviour,
    slots: Slots,
    pub(super) p2p: P2PBehaviour<HeadStore>,
    /// Lets peers behind NAT be reached.
    circuits: relay::Behaviour,
    /// Tells peers whether they can be reached.
    reachability: DialBacks,
    /// Asks the router to let others in.
    router: Toggle<Router>,
    /// Asks other relays whether this one can be reached where its router says.
    reached: Toggle<autonat::v2::client::Behaviour>,
}

impl RelayBehaviour {
    pub(super) fn new(
        keypair: &Keypair,
        shelf: &Arc<Shelf>,
        config: &P2PConfig,
        circuits: Circuits,
        upnp: bool,
    ) -> Self {
        let local = keypair.public().to_peer_id();
        let heads = HeadStore::new(local, shelf.clone());
        let mut hop = relay::Behaviour::new(local, hop_config(circuits));
        // An operator runs a relay to relay: it does not wait for others to confirm its addresses.
        hop.set_status(Some(if circuits.count > 0 { relay::Status::Enable } else { relay::Status::Disable }));
        Self {
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MAX_MEMORY_SHARE),
            slots: Slots::new(Limits::default()),
            p2p: P2PBehaviour::new(keypair, heads, config, Role::Relay),
            circuits: hop,
            reachability: DialBacks::default(),
            router: upnp.then(Router::default).into(),
            reached: upnp.then(autonat::v2::client::Behaviour::default).into(),
        }
    }
}

/// How peers that can't be dialed are led to.
fn hop_config(circuits: Circuits) -> relay::Config {
    relay::Config {
        max_reservations: policy::MAX_RESERVATIONS,
        max_circuits: circuits.count,
        max_circuits_per_peer: policy::MAX_CIRCUITS_PER_PEER,
        max_circuit_bytes: circuits.bytes,
        max_circuit_duration: circuits.duration,
        reservation_rate_limiters: limiters(policy::RESERVATIONS_FROM_PEER, policy::RESERVATIONS_FROM_IP),
        circuit_src_rate_limiters: limiters(policy::CIRCUITS_FROM_PEER, policy::CIRCUITS_FROM_IP),
        ..relay::Config::default()
    }
}

/// How often a peer, and an IP address, may have something of a relay. A proxy on this machine has no address of its own: it speaks for everybody.
fn limiters(of_peer: Refill, of_address: Refill) -> Vec<Box<dyn relay::RateLimiter>> {
    let none = || relay::Config { reservation_rate_limiters: Vec::new(), ..relay::Config::default() };
    let of_peer = none().reservation_rate_per_peer(of_peer.burst, of_peer.interval);
    let of_address = none().reservation_rate_per_ip(of_address.burst, of_address.interval);
    let sparing = of_address.reservation_rate_limiters.into_iter().map(|mut limiter| -> Box<dyn relay::RateLimiter> {
        Box::new(move |peer, address: &Multiaddr, now| {
            is_this_machine(address) || limiter.try_next(peer, &network_of(address), now)
        })
    });
    of_peer.reservation_rate_limiters.into_iter().chain(sparing).collect()
}

/// An address as it is counted: whoever has an IPv6 address has all of its /64 network.
fn network_of(address: &Multiaddr) -> Multiaddr {
    let network = |part| match part {
        Protocol::Ip6(ip) => Protocol::Ip6((ip.to_bits() >> 64 << 64).into()),
        other => other,
    };
    address.iter().map(network).collect()
}
