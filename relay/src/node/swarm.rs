//! The task that owns the relay's swarm. It decides nothing that takes long: that is handed to [`Work`].

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use ggen_net::{P2PBehaviourEvent, address, dialable, packages_topic, streams};
use ggen_shared::protocol::names;
use libp2p::core::transport::ListenerId;
use libp2p::kad::store::RecordStore as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, gossipsub, identify, kad, ping};
use tokio::sync::{mpsc, watch};

use super::behaviour::{RelayBehaviour, RelayBehaviourEvent};
use super::work::Work;
use super::{Command, LISTEN_TIMEOUT, StartError, Status};
use crate::Config;
use crate::heads::HeadStore;

/// How often relays that were configured but are not connected are dialed again.
const REDIAL_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) struct Node {
    swarm: Swarm<RelayBehaviour>,
    work: Arc<Work>,
    status: watch::Sender<Status>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    /// Someone new is in the routing table, who was not told yet.
    provide_again: bool,
}

impl Node {
    pub(super) fn new(
        swarm: Swarm<RelayBehaviour>,
        work: Arc<Work>,
        status: watch::Sender<Status>,
        config: &Config,
    ) -> Self {
        let local = *swarm.local_peer_id();
        let bootstrap = config
            .bootstrap
            .iter()
            .filter_map(|address| Some((address::split_peer(address)?.0, address.clone())))
            .filter(|(peer, _)| *peer != local)
            .collect();
        Self { swarm, work, status, bootstrap, provide_again: false }
    }

    /// Listens on every address, and waits until each listener knows where it is.
    pub(super) async fn listen(&mut self, config: &Config) -> Result<(), StartError> {
        for address in &config.external {
            self.swarm.add_external_address(address.clone());
        }
        let mut waiting: HashSet<ListenerId> = HashSet::new();
        for address in &config.listen {
            let refused = |reason: String| StartError::Listen { address: address.clone(), reason };
            waiting.insert(self.swarm.listen_on(address.clone()).map_err(|error| refused(error.to_string()))?);
        }
        let all = async {
            while !waiting.is_empty() {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, .. } => _ = waiting.remove(&listener_id),
                    SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                        let address = addresses.into_iter().next().unwrap_or_else(Multiaddr::empty);
                        return Err(StartError::Listen { address, reason: error.to_string() });
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        match tokio::time::timeout(LISTEN_TIMEOUT, all).await {
            Ok(done) => done?,
            Err(_) => {
                let address = config.listen.first().cloned().unwrap_or_else(Multiaddr::empty);
                return Err(StartError::Listen { address, reason: "no address came up in time".into() });
            }
        }
        let behaviour = self.swarm.behaviour_mut();
        behaviour.p2p.gossipsub.subscribe(&packages_topic()).expect("a topic without a filter can be subscribed to");
        self.tell_status();
        Ok(())
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut stopped: watch::Receiver<bool>) {
        let mut redial = tokio::time::interval(REDIAL_INTERVAL);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(command) = inbox.recv() => self.on_command(command),
                _ = redial.tick() => {
                    self.dial_bootstrap();
                    self.provide();
                }
                _ = stopped.wait_for(|stop| *stop) => {
                    tracing::info!("the network node stops");
                    return;
                }
            }
        }
    }

    fn dial_bootstrap(&mut self) {
        for (peer, address) in self.bootstrap.clone() {
            let options = DialOpts::peer_id(peer)
                .addresses(vec![address])
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            // It is connected or being dialed when this fails.
            _ = self.swarm.dial(options);
        }
    }

    fn on_command(&mut self, command: Command) {
        let p2p = &mut self.swarm.behaviour_mut().p2p;
        match command {
            Command::Announce { record } => match p2p.gossipsub.publish(packages_topic(), record) {
                // Without another peer there is nobody to tell, which is fine: publishing needs no network.
                Ok(_) | Err(gossipsub::PublishError::NoPeersSubscribedToTopic | gossipsub::PublishError::Duplicate) => {
                }
                Err(error) => tracing::warn!(%error, "an announcement could not be sent"),
            },
            Command::Open { peer, protocol, opened } => p2p.streams.open(peer, StreamProtocol::new(protocol), opened),
            Command::Report { message, from, acceptance } => {
                p2p.gossipsub.report_message_validation_result(&message, &from, acceptance);
            }
            // Nobody waits any more when a send fails.
            Command::Relays { relays } => {
                let mut peers = self.routing_table();
                peers.retain(|peer| self.swarm.is_connected(peer));
                _ = relays.send(peers);
            }
            Command::Routing { table } => _ = table.send(self.routing_table()),
        }
    }

    fn routing_table(&mut self) -> Vec<PeerId> {
        let buckets = self.swarm.behaviour_mut().p2p.kad.kbuckets();
        buckets.flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>()).collect()
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<RelayBehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(RelayBehaviourEvent::P2p(event)) => self.on_p2p_event(event),
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.tell_status();
            }
            SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ConnectionEstablished { .. }
            | SwarmEvent::ConnectionClosed { .. } => self.tell_status(),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "dialing failed");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has a problem"),
            _ => {}
        }
    }

    fn on_p2p_event(&mut self, event: P2PBehaviourEvent<HeadStore>) {
        match event {
            P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.swarm.behaviour_mut().p2p.on_identified(&peer_id, &info);
            }
            P2PBehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.on_announcement(propagation_source, message_id, message.data);
            }
            P2PBehaviourEvent::Kad(kad::Event::InboundRequest { request }) => self.on_dht_request(request),
            // The next tick tells it: one by one would be a lookup for each of many newcomers.
            P2PBehaviourEvent::Kad(kad::Event::RoutingUpdated { is_new_peer: true, .. }) => self.provide_again = true,
            // A peer that does not speak ping may be well all the same.
            P2PBehaviourEvent::Ping(ping::Event { result: Err(ping::Failure::Unsupported), .. }) => {}
            P2PBehaviourEvent::Ping(event) if event.result.is_err() => {
                self.swarm.close_connection(event.connection);
            }
            P2PBehaviourEvent::Streams(streams::Inbound { peer, protocol, stream }) => {
                self.work.clone().accept(peer, &protocol, stream);
            }
            _ => {}
        }
    }

    fn on_announcement(&mut self, from: PeerId, message: gossipsub::MessageId, data: Vec<u8>) {
        if !self.work.clone().announced(from, message.clone(), data) {
            // Gossip keeps what nobody reports.
            let gossip = &mut self.swarm.behaviour_mut().p2p.gossipsub;
            gossip.report_message_validation_result(&message, &from, gossipsub::MessageAcceptance::Ignore);
        }
    }

    /// What others put into our part of the DHT: validated before it is kept.
    fn on_dht_request(&mut self, request: kad::InboundRequest) {
        match request {
            kad::InboundRequest::PutRecord { record: Some(record), source, .. } => {
                self.work.clone().head_put(source, record.key.to_vec(), record.value);
            }
            kad::InboundRequest::AddProvider { record: Some(record) } => {
                // Kademlia has checked that the provider speaks for itself; the store bounds how much it can say.
                let added = self.swarm.behaviour_mut().p2p.kad.store_mut().add_provider(record);
                added.unwrap_or_else(|error| tracing::debug!(%error, "a provider record is not kept"));
            }
            _ => {}
        }
    }

    /// Tells the DHT, whenever there is someone new to tell, that this is a relay.
    fn provide(&mut self) {
        if std::mem::take(&mut self.provide_again) {
            let key = kad::RecordKey::new(&names::RELAYS_KEY);
            if let Err(error) = self.swarm.behaviour_mut().p2p.kad.start_providing(key) {
                tracing::warn!(%error, "the DHT can't be told of this relay");
            }
        }
    }

    fn tell_status(&self) {
        let local = *self.swarm.local_peer_id();
        let all: Vec<Multiaddr> = self.swarm.external_addresses().chain(self.swarm.listeners()).cloned().collect();
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for mut address in dialable(&all) {
            if !address.iter().any(|part| matches!(part, Protocol::P2p(_))) {
                address.push(Protocol::P2p(local));
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        self.status.send_replace(Status { addresses, connected: self.swarm.network_info().num_peers() });
    }
}
