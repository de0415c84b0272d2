//! What is asked of the DHT: further relays, package heads, providers of content.

use std::num::NonZeroU8;
use std::time::Duration;

use futures::channel::oneshot;
use ggen_shared::client::Origin;
use ggen_shared::protocol::names;
use libp2p::core::Endpoint;
use libp2p::kad::{self, QueryId, QueryResult};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId};

use super::Driver;
use crate::address;
use crate::behaviour::dialable;
use crate::light::peer::HeadFound;
use crate::light::platform::Platform;

/// Relays that are looked for at once: one answer of a stranger names hundreds.
const MAX_LOOKUPS: usize = 16;
/// Addresses of one provider that are tried at once: whoever named it may have put others before the one that leads to it.
const ADDRESSES_AT_ONCE: NonZeroU8 = NonZeroU8::new(8).expect("a number that is not 0");
/// How often the DHT is asked for further relays while there are fewer than wanted.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is asked when there are enough, to know who else there is.
const SATISFIED_DISCOVERY_INTERVAL: Duration = Duration::from_secs(300);

impl<P: Platform> Driver<P> {
    pub(super) fn put_head(&mut self, key: Vec<u8>, value: Vec<u8>, done: oneshot::Sender<Result<(), String>>) {
        let record = kad::Record::new(key, value);
        match self.swarm.behaviour_mut().p2p.kad.put_record(record, kad::Quorum::One) {
            Ok(query) => _ = self.puts.insert(query, done),
            Err(error) => _ = done.send(Err(error.to_string())),
        }
    }

    /// Asks the DHT for further relays, when it is time to.
    pub(super) fn discover(&mut self) {
        let now = self.platform.now();
        if self.dht_ready && self.next_discovery.is_some_and(|at| at <= now) {
            let satisfied = self.relays.connected() >= self.wanted;
            self.next_discovery = Some(now + if satisfied { SATISFIED_DISCOVERY_INTERVAL } else { DISCOVERY_INTERVAL });
            self.swarm.behaviour_mut().p2p.kad.get_providers(kad::RecordKey::new(&names::RELAYS_KEY));
        }
    }

    pub(super) fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
        match result {
            QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                let Some(sender) = self.heads.get_mut(&id) else { return };
                let head = HeadFound { from: found.peer, value: found.record.value };
                // The one who asks reads a few and stops listening once one verifies.
                let wanted = sender.try_send(head).is_ok();
                if !wanted && let Some(mut query) = self.swarm.behaviour_mut().p2p.kad.query_mut(&id) {
                    query.finish();
                }
            }
            QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. }))
                if self.finding.contains_key(&id) =>
            {
                self.on_providers(id, providers);
            }
            QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                tracing::debug!(?providers, "relays found in the DHT");
                for provider in providers {
                    if self.providers.len() >= MAX_LOOKUPS {
                        break;
                    }
                    if !self.relays.knows(&provider) && provider != *self.swarm.local_peer_id() {
                        let query = self.swarm.behaviour_mut().p2p.kad.get_closest_peers(provider);
                        self.providers.insert(query, provider);
                    }
                }
            }
            QueryResult::GetClosestPeers(closest) => {
                let Some(provider) = self.providers.get(&id).copied() else { return };
                // One peer that can't be reached makes the lookup too long: what it found by then is no worse for that.
                let peers = match closest {
                    Ok(kad::GetClosestPeersOk { peers, .. })
                    | Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                tracing::debug!(%provider, found = ?peers, "where a relay is");
                for info in peers.into_iter().filter(|info| info.peer_id == provider) {
                    self.relays.add(provider, dialable(&info.addrs), Origin::Discovered);
                }
                self.step();
            }
            QueryResult::PutRecord(result) => {
                if let Some(done) = self.puts.remove(&id) {
                    _ = done.send(result.map(drop).map_err(|error| error.to_string()));
                }
            }
            _ => {}
        }
        if last {
            self.heads.remove(&id);
            self.providers.remove(&id);
            self.finding.remove(&id);
        }
    }

    /// Looks for providers of content, once there is somebody to ask.
    pub(super) fn find(&mut self) {
        // Whoever has waited too long is gone.
        self.to_find.retain(|(_, found)| !found.is_closed());
        if self.dht_ready {
            for (key, found) in std::mem::take(&mut self.to_find) {
                let query = self.swarm.behaviour_mut().p2p.kad.get_providers(kad::RecordKey::new(&key));
                self.finding.insert(query, found);
            }
        }
    }

    /// Takes the providers of content that one answer names: who looks for them is told of those that are connected, the others are dialed.
    fn on_providers(&mut self, query: QueryId, providers: impl IntoIterator<Item = PeerId>) {
        let Some(mut found) = self.finding.get(&query).cloned() else { return };
        let local = *self.swarm.local_peer_id();
        let (connected, others): (Vec<_>, Vec<_>) = providers
            .into_iter()
            .filter(|provider| *provider != local)
            .partition(|provider| self.established.contains_key(provider));
        // Whoever looks for them has enough when this fails.
        connected.into_iter().for_each(|provider| _ = found.try_send(provider));
        let named: Vec<_> = others.into_iter().map(|provider| (provider, self.named_addresses(provider))).collect();
        self.dials.offer(query, &found, named);
        self.dial_providers();
    }

    /// Where a provider is, as the answer says that was just heard: Kademlia tells it only to who is about to dial. Whichever way through a
    /// relay is dialed, the connection to it is used that is there: each further one would be a further circuit.
    fn named_addresses(&mut self, provider: PeerId) -> Vec<Multiaddr> {
        let kad = &mut self.swarm.behaviour_mut().p2p.kad;
        let nobody = ConnectionId::new_unchecked(0);
        let named = kad.handle_pending_outbound_connection(nobody, Some(provider), &[], Endpoint::Dialer);
        let (mut named, mut relays) = (named.unwrap_or_default(), Vec::new());
        named.retain(|address| match address::relay_of(address).filter(|relay| self.established.contains_key(relay)) {
            Some(relay) if relays.contains(&relay) => false,
            relay => {
                relays.extend(relay);
                true
            }
        });
        named
    }

    /// Dials providers of content that have their turn, and gives up those whose time is over.
    pub(super) fn dial_providers(&mut self) {
        let now = self.platform.now();
        for peer in self.dials.expire(now) {
            tracing::debug!(%peer, "a provider can't be reached");
            if !self.established.contains_key(&peer) {
                // It is not connected, so this ends only what is on its way.
                _ = self.swarm.disconnect_peer_id(peer);
            }
        }
        while let Some((peer, addresses)) = self.dials.next(now) {
            let options = DialOpts::peer_id(peer)
                .addresses(addresses)
                .override_dial_concurrency_factor(ADDRESSES_AT_ONCE)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            let connection = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => self.dials.dials(&peer, connection),
                // One that is being dialed already will be connected all the same.
                Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(_) => self.dials.failed(&peer, None),
            }
        }
    }
}
