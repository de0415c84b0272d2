//! What is asked of the DHT: further relays, package heads, providers of content.

use std::time::Duration;

use futures::channel::oneshot;
use ggen_shared::client::Origin;
use ggen_shared::protocol::names;
use libp2p::PeerId;
use libp2p::kad::{self, QueryId, QueryResult};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};

use super::Driver;
use crate::behaviour::dialable;
use crate::light::peer::HeadFound;
use crate::light::platform::Platform;

/// Relays that are looked for at once: one answer of a stranger names hundreds.
const MAX_LOOKUPS: usize = 16;
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
                providers.into_iter().for_each(|provider| self.on_provider(id, provider));
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

    /// Names a provider of content to whoever looks for one, once it is connected.
    fn on_provider(&mut self, query: QueryId, provider: PeerId) {
        let Some(found) = self.finding.get_mut(&query) else { return };
        if self.established.contains_key(&provider) {
            // Whoever looks for it has enough when this fails.
            _ = found.try_send(provider);
        } else if provider != *self.swarm.local_peer_id() && self.dialing.len() < MAX_LOOKUPS {
            self.dialing.entry(provider).or_default().push(found.clone());
            // The lookup knows where it is.
            let options = DialOpts::peer_id(provider).condition(PeerCondition::DisconnectedAndNotDialing).build();
            match self.swarm.dial(options) {
                // One that is being dialed already will be connected all the same.
                Ok(()) | Err(libp2p::swarm::DialError::DialPeerConditionFalse(_)) => {}
                Err(_) => _ = self.dialing.remove(&provider),
            }
        }
    }
}
