//! What a relay runs: what every peer runs, and what only a relay can give.

use std::sync::Arc;
use std::time::Duration;

use ggen_net::{P2PBehaviour, P2PConfig, Role};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{autonat, memory_connection_limits, relay};

use crate::admission::Shelf;
use crate::heads::HeadStore;
use crate::policy;

/// A circuit may carry an artifact, not a film: limits for content of tens of megabytes.
const CIRCUIT_BYTES: u64 = 128 * 1024 * 1024;
const CIRCUIT_DURATION: Duration = Duration::from_secs(600);

#[derive(NetworkBehaviour)]
pub(super) struct RelayBehaviour {
    pub(super) p2p: P2PBehaviour<HeadStore>,
    /// Lets peers behind NAT be reached.
    circuits: relay::Behaviour,
    /// Tells peers whether they can be reached.
    reachability: autonat::v2::server::Behaviour,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
}

impl RelayBehaviour {
    pub(super) fn new(keypair: &Keypair, shelf: &Arc<Shelf>, config: &P2PConfig) -> Self {
        let local = keypair.public().to_peer_id();
        let heads = HeadStore::new(local, shelf.clone());
        let mut circuits = relay::Behaviour::new(
            local,
            relay::Config {
                max_reservations: policy::MAX_RESERVATIONS,
                max_circuits: policy::MAX_CIRCUITS,
                max_circuits_per_peer: policy::MAX_CIRCUITS_PER_PEER,
                max_circuit_bytes: CIRCUIT_BYTES,
                max_circuit_duration: CIRCUIT_DURATION,
                ..relay::Config::default()
            },
        );
        // An operator runs a relay to relay: it does not wait for others to confirm its addresses.
        circuits.set_status(Some(relay::Status::Enable));
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::MAX_PENDING_CONNECTIONS))
            .with_max_established_incoming(Some(policy::MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(policy::MAX_CONNECTIONS_PER_PEER));
        Self {
            p2p: P2PBehaviour::new(keypair, heads, config, Role::Relay),
            circuits,
            reachability: autonat::v2::server::Behaviour::default(),
            limits: connection_limits::Behaviour::new(limits),
            memory: memory_connection_limits::Behaviour::with_max_percentage(policy::MAX_MEMORY_SHARE),
        }
    }
}
