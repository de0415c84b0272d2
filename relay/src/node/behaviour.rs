//! What a relay runs: what every peer runs, and what only a relay can give.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ggen_net::{P2PBehaviour, P2PConfig, Role};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{autonat, memory_connection_limits, relay, upnp};

use crate::admission::Shelf;
use crate::config::Circuits;
use crate::heads::HeadStore;
use crate::policy::{self, Pace};

#[derive(NetworkBehaviour)]
pub(super) struct RelayBehaviour {
    pub(super) p2p: P2PBehaviour<HeadStore>,
    /// Lets peers behind NAT be reached.
    circuits: relay::Behaviour,
    /// Tells peers whether they can be reached.
    reachability: autonat::v2::server::Behaviour,
    /// Asks the router to let others in.
    router: Toggle<upnp::tokio::Behaviour>,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
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
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::MAX_PENDING_CONNECTIONS))
            .with_max_established_incoming(Some(policy::MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(policy::MAX_CONNECTIONS_PER_PEER));
        Self {
            p2p: P2PBehaviour::new(keypair, heads, config, Role::Relay),
            circuits: hop,
            reachability: autonat::v2::server::Behaviour::default(),
            router: upnp.then(upnp::tokio::Behaviour::default).into(),
            limits: connection_limits::Behaviour::new(limits),
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MAX_MEMORY_SHARE),
        }
    }
}

/// How peers that can't be dialed are led to. Reservations have the pace that is libp2p's default: some an hour are enough.
fn hop_config(circuits: Circuits) -> relay::Config {
    let config = relay::Config {
        max_reservations: policy::MAX_RESERVATIONS,
        max_circuits: circuits.count,
        max_circuits_per_peer: policy::MAX_CIRCUITS_PER_PEER,
        max_circuit_bytes: circuits.bytes,
        max_circuit_duration: circuits.duration,
        circuit_src_rate_limiters: Vec::new(),
        ..relay::Config::default()
    };
    let [(peer_burst, peer_every), (ip_burst, ip_every)] =
        [policy::CIRCUITS_FROM_PEER, policy::CIRCUITS_FROM_IP].map(each);
    config.circuit_src_per_peer(peer_burst, peer_every).circuit_src_per_ip(ip_burst, ip_every)
}

/// A pace as libp2p has it: how many at once, and how long until there may be one more.
fn each(pace: Pace) -> (NonZeroU32, Duration) {
    let burst = NonZeroU32::new(pace.burst).unwrap_or(NonZeroU32::MIN);
    (burst, Duration::from_secs(1) / pace.per_second.max(1))
}
