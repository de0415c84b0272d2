//! What every peer runs, and the settings on which all of them must agree.
#![allow(
    missing_docs,
    reason = "the derived event enum has no place for docs: its variants are the fields of the struct"
)]

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use ggen_shared::limits::MAX_ADDRESSES_PER_RELAY;
use ggen_shared::protocol::names;
use libp2p::identity::Keypair;
use libp2p::kad::store::RecordStore;
use libp2p::swarm::{ConnectionId, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify, kad, ping};

use crate::address::Transport;
use crate::gossip::{Gossip, evidence_topic, gossip, packages_topic};
use crate::kademlia::Kademlia;
use crate::{P2PConfig, address, streams};

/// A message of Kademlia: twenty peers with all the addresses that [`MAX_ADDRESSES_BYTES`] lets them have, and a head.
const MAX_KAD_PACKET_BYTES: usize = 64 * 1024;
/// How often a relay looks for others in every part of its routing table: between kubo's ten minutes and the hour of the Kademlia paper. Each time
/// connects it to a hundred, and whoever joins makes itself known. Clients keep libp2p's five minutes: they dial nobody for it.
const BOOTSTRAP_INTERVAL_OF_RELAYS: Duration = Duration::from_secs(1800);
/// How many peers a lookup waits for at once, and by how many paths it goes. Of relays: between the paper's three and kubo's ten. A peer that is dead without
/// having said so takes one of these places for as long as Kademlia waits for it, ten seconds, and of those that live most have to be dialed first. Clients
/// wait for fewer: they are connected to relays that answer, and each dial costs a page a hundredth of a second.
const PARALLELISM_OF_RELAYS: usize = 6;
const PARALLELISM_OF_CLIENTS: usize = 3;
/// Addresses of one peer that are kept and passed on: what names it in more than this wants to fill others' messages.
const MAX_ADDRESSES_BYTES: usize = 1536;

/// The protocols that relays and light peers share. `S` is the peer's store of DHT records: a view of the catalogue on a
/// relay, empty elsewhere.
#[derive(NetworkBehaviour)]
pub struct P2PBehaviour<S>
where
    S: RecordStore + Send + 'static,
{
    /// Finds relays, providers and package heads.
    pub kad: Kademlia<S>,
    /// Spreads announcements.
    pub gossipsub: Gossip,
    /// Tells peers who we are and where.
    pub identify: identify::Behaviour,
    /// Notices dead connections.
    pub ping: ping::Behaviour,
    /// Queries and publish sessions.
    pub streams: streams::Behaviour,
}

/// Whether a peer serves the network or only uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A DHT server that answers queries and takes publications.
    Relay,
    /// A DHT client that no routing table ever holds.
    Light,
}

impl<S> P2PBehaviour<S>
where
    S: RecordStore + Send + 'static,
{
    /// The protocols with the settings of the network.
    ///
    /// # Panics
    /// Never: the settings of gossipsub are constants that are known to fit each other.
    pub fn new(keypair: &Keypair, store: S, config: &P2PConfig, role: Role) -> Self {
        let served = match role {
            Role::Relay => [names::QUERY, names::PUBLISH, names::BITSWAP].map(StreamProtocol::new).into(),
            // Blocks come on streams that their sender opens.
            Role::Light => vec![StreamProtocol::new(names::BITSWAP)],
        };
        let named = config.relays.iter().filter_map(|relay| Some(address::split_peer(relay)?.0)).collect();
        let mut kad = Kademlia::new(keypair.public().to_peer_id(), store, kad_config(role), named);
        kad.set_mode(Some(match role {
            Role::Relay => kad::Mode::Server,
            Role::Light => kad::Mode::Client,
        }));
        let identify = identify::Config::new(names::IDENTIFY.into(), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(role == Role::Relay)
            // Who is no relay tells where it is only if that is confirmed: its own network is nobody's business.
            .with_hide_listen_addrs(role == Role::Light);
        Self {
            kad,
            gossipsub: gossip(role),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(config.ping_interval)),
            streams: streams::Behaviour::new(served),
        }
    }

    /// Puts a relay that identified itself into the routing table; a peer that is no DHT server of our network stays out, and so does one of a
    /// place that many of the table are at.
    ///
    /// `now`: since whenever, by any clock.
    ///
    /// A peer may tell other addresses again and again. Those that it tells no more make room for those that it tells now, so
    /// that its entry, which goes into answers of the DHT, stays as small as one telling.
    pub fn on_identified(&mut self, peer: &PeerId, info: &identify::Info, now: Duration) {
        if !info.protocols.iter().any(|protocol| protocol.as_ref() == names::KADEMLIA) {
            return;
        }
        // The routing table's addresses end in the peer's id.
        let dialable: Vec<Multiaddr> =
            dialable(&info.listen_addrs).filter_map(|address| address.with_p2p(*peer).ok()).collect();
        // Whoever learns them from us dials them in this order. Browsers skip what they can't dial, and WebSocket costs both
        // sides less than WebRTC.
        let order = [Transport::Other, Transport::WebSocket, Transport::WebRtcDirect];
        let of = |transport| dialable.iter().filter(move |address| Transport::of(address) == transport).cloned();
        let mut told: Vec<Multiaddr> = order.into_iter().flat_map(of).collect();
        let mut room = MAX_ADDRESSES_BYTES;
        told.retain(|address| match room.checked_sub(address.len()) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        });
        // Who can't be dialed takes nobody's place.
        if told.is_empty() {
            return;
        }
        if !self.kad.may_enter(peer, now) {
            tracing::debug!(%peer, "the routing table has no room for it, or enough peers of its place");
            return;
        }
        for address in &told {
            self.kad.add_address(peer, address.clone());
        }
        let known = self.known_addresses(peer);
        if known.len() > MAX_ADDRESSES_PER_RELAY {
            for address in known.iter().filter(|address| !told.contains(address)) {
                self.kad.remove_address(peer, address);
            }
        }
    }

    /// Connections that are no use any more, and whose owner closes them: asked every few seconds. A relay's lookups connect it to all others in
    /// time; see [`Kademlia`]. Those that announcements take stay.
    pub fn surplus(&mut self) -> Vec<ConnectionId> {
        let topics = [packages_topic().hash(), evidence_topic().hash()];
        let mesh: HashSet<PeerId> = topics.iter().flat_map(|topic| self.gossipsub.mesh_peers(topic)).copied().collect();
        self.kad.surplus(|peer| mesh.contains(peer))
    }

    fn known_addresses(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(bucket) = self.kad.kbucket(*peer) else { return Vec::new() };
        let entry = bucket.iter().find(|entry| entry.node.key.preimage() == peer);
        entry.map(|entry| entry.node.value.iter().cloned().collect()).unwrap_or_default()
    }
}

/// The addresses that can be dialed at all, and lead where they seem to, at most as many as one relay may have.
pub fn dialable(addresses: &[Multiaddr]) -> impl Iterator<Item = Multiaddr> + '_ {
    let is_dialable = |address: &&Multiaddr| !address::is_unspecified(address) && address::names_one_host(address);
    addresses.iter().filter(is_dialable).take(MAX_ADDRESSES_PER_RELAY).cloned()
}

fn kad_config(role: Role) -> kad::Config {
    let mut config = kad::Config::new(StreamProtocol::new(names::KADEMLIA));
    let parallelism = if role == Role::Relay { PARALLELISM_OF_RELAYS } else { PARALLELISM_OF_CLIENTS };
    config
        // An answer carries up to twenty peers with their addresses, and a head: far more than the default of 16 KiB.
        .set_max_packet_size(MAX_KAD_PACKET_BYTES)
        // Nothing enters a store before it was validated.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .disjoint_query_paths(true)
        // Longer than the 10 s that Kademlia waits for one peer: one that is silent must not end the lookup of all others.
        .set_query_timeout(Duration::from_secs(15))
        // Relays hold every record and serve heads from their catalogue: there is nothing to replicate.
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_caching(kad::Caching::Disabled)
        .set_parallelism(NonZeroUsize::new(parallelism).expect("neither is 0"));
    if role == Role::Relay {
        config.set_periodic_bootstrap_interval(Some(BOOTSTRAP_INTERVAL_OF_RELAYS));
    }
    config
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use futures::task::noop_waker;
    use libp2p::PeerId;
    use libp2p::kad::RecordKey;
    use libp2p::kad::store::MemoryStore;
    use libp2p::swarm::{NetworkBehaviour, ToSwarm};

    use super::*;

    /// How many peers a lookup turns to while none of them answers.
    fn waited_for(role: Role) -> usize {
        let local = PeerId::random();
        let mut kad = Kademlia::new(local, MemoryStore::new(local), kad_config(role), HashSet::new());
        for number in 0..30 {
            let address = format!("/ip4/10.{number}.0.1/tcp/1").parse().unwrap();
            kad.add_address(&PeerId::random(), address);
        }
        kad.get_record(RecordKey::new(b"something"));
        let waker = noop_waker();
        let mut dialed = HashSet::new();
        while let Poll::Ready(event) = kad.poll(&mut Context::from_waker(&waker)) {
            if let ToSwarm::Dial { opts } = event {
                dialed.extend(opts.get_peer_id());
            }
        }
        dialed.len()
    }

    #[test]
    fn a_lookup_of_a_relay_waits_for_six_peers_at_once_and_one_of_a_client_for_three_by_all_paths_together() {
        assert_eq!((waited_for(Role::Relay), waited_for(Role::Light)), (6, 3));
    }
}
