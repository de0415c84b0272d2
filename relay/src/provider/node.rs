//! The task that owns the serving peer's swarm.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use ggen_net::light::Platform;
use ggen_net::{P2PBehaviour, P2PBehaviourEvent, P2PConfig, Role, address, dialable, streams};
use ggen_shared::record::Content;
use libp2p::connection_limits::ConnectionLimits;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, QueryId};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, autonat, dcutr, identify, noise, ping, relay, tcp, upnp, yamux};
use tokio::sync::mpsc;

use super::{BITSWAP, Config, Host, Open, StartError, Status};
use crate::holes::address::{Reach, reach};
use crate::holes::{Holes, HolesEvent, Ways, When};
use crate::market::peer::Tokio;
use crate::router::Router;
use crate::{causes, policy};

/// How often relays are dialed again that were lost, and asked again for a reservation.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Relays that are asked for reservations: one may go away, and another one with it.
const MAX_RESERVATIONS: usize = 3;
/// Addresses of one relay that are named as ways through it: one for those with sockets, one for browsers, and one to spare.
const MAX_WAYS: usize = 3;
/// Contents that the DHT is being told of at once.
const MAX_ANNOUNCING: usize = 8;

#[derive(NetworkBehaviour)]
struct ProviderBehaviour {
    // The first, because it refuses connections: the others would keep what they heard of one that is refused.
    holes: Holes,
    p2p: P2PBehaviour<MemoryStore>,
    circuits: relay::client::Behaviour,
    reachability: autonat::v2::client::Behaviour,
    router: Toggle<Router>,
}

impl ProviderBehaviour {
    fn new(keypair: &Keypair, circuits: relay::client::Behaviour, config: &P2PConfig, way: WayIn) -> Self {
        let local = keypair.public().to_peer_id();
        let store = MemoryStore::with_config(
            local,
            MemoryStoreConfig { max_provided_keys: policy::MAX_KEYS_PER_PROVIDER, ..MemoryStoreConfig::default() },
        );
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(policy::MAX_PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(policy::MAX_PENDING_CONNECTIONS))
            .with_max_established_incoming(Some(policy::MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(policy::MAX_CONNECTIONS_PER_PEER));
        Self {
            holes: Holes::new(local, way.when, limits, way.ways),
            p2p: P2PBehaviour::new(keypair, store, config, Role::Light),
            circuits,
            reachability: autonat::v2::client::Behaviour::default(),
            router: way.upnp.then(Router::default).into(),
        }
    }
}

/// How others get to this peer other than through relays.
struct WayIn {
    when: When,
    ways: Ways,
    upnp: bool,
}

/// A relay that a reservation is held at, or asked for.
struct Reservation {
    listener: ListenerId,
    /// The relay's own addresses, as it tells them, best first.
    ways: Vec<Multiaddr>,
    is_granted: bool,
}

pub(super) struct Node {
    swarm: Swarm<ProviderBehaviour>,
    host: Arc<Host>,
    relays: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Connected relays that take reservations, with the address that was configured and those that they tell.
    willing: BTreeMap<PeerId, (Multiaddr, Vec<Multiaddr>)>,
    reservations: BTreeMap<PeerId, Reservation>,
    /// Relays that granted none.
    refused: BTreeSet<PeerId>,
    /// What the DHT is still to be told of.
    to_announce: VecDeque<Content>,
    announcing: HashSet<QueryId>,
    announced: usize,
    /// Whether the DHT has to be told again at the next tick: the addresses are others, or somebody new is there to tell.
    announce_again: bool,
}

impl Node {
    pub(super) async fn start(config: Config, host: Arc<Host>) -> Result<Self, StartError> {
        let (network, relays) = (config.network, config.relays.clone());
        let net = P2PConfig { network, relays, agent: agent(), ..P2PConfig::default() };
        // Who listens nowhere tells nobody where it is, not even through a relay.
        let when = if config.listen.is_empty() { When::Never } else { When::Always };
        // A router leads to no loopback address.
        let upnp = config.upnp
            && config.listen.iter().any(|address| reach(address) != Reach::Machine || address::is_unspecified(address));
        let way = WayIn { when, ways: host.ways.clone(), upnp };
        let mut swarm = swarm(config.keypair, &net, way).await.map_err(StartError::Transport)?;
        for address in config.listen {
            let listening = swarm.listen_on(address.clone());
            _ = listening.map_err(|error| StartError::Listen { address, reason: causes::of(&error) })?;
        }
        let mut relays: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for relay in config.relays {
            if let Some((peer, _)) = address::split_peer(&relay) {
                relays.entry(peer).or_default().push(relay);
            }
        }
        Ok(Self {
            swarm,
            host,
            relays,
            willing: BTreeMap::new(),
            reservations: BTreeMap::new(),
            refused: BTreeSet::new(),
            to_announce: VecDeque::new(),
            announcing: HashSet::new(),
            announced: 0,
            announce_again: false,
        })
    }

    pub(super) async fn run(mut self, mut to_open: mpsc::Receiver<Open>) {
        let mut tick = tokio::time::interval(RETRY_INTERVAL);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(Open { peer, opened }) = to_open.recv() => {
                    self.swarm.behaviour_mut().p2p.streams.open(peer, BITSWAP, opened);
                }
                _ = tick.tick() => self.on_tick(),
            }
        }
    }

    fn on_tick(&mut self) {
        for (relay, addresses) in self.relays.clone() {
            let options = DialOpts::peer_id(relay)
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            // It is connected or being dialed when this fails.
            _ = self.swarm.dial(options);
        }
        self.reserve();
        // Whoever is new is told in a round of its own: else the last of many contents might never have their turn.
        if self.announce_again && self.to_announce.is_empty() {
            self.announce_again = false;
            self.announced = 0;
            self.announcing.clear();
            self.to_announce = self.host.files.contents().iter().copied().collect();
            self.announce();
        }
        self.tell();
    }

    /// Asks relays for reservations that take some, until there are enough.
    fn reserve(&mut self) {
        // Those that refused have their turn again when all others have.
        if self.willing.keys().all(|relay| self.refused.contains(relay) || self.reservations.contains_key(relay)) {
            self.refused.clear();
        }
        for (relay, (address, told)) in self.willing.clone() {
            if self.refused.contains(&relay) {
                continue;
            }
            if self.reservations.len() >= MAX_RESERVATIONS || self.reservations.contains_key(&relay) {
                continue;
            }
            match self.swarm.listen_on(address.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)) {
                Ok(listener) => {
                    _ = self
                        .reservations
                        .insert(relay, Reservation { listener, ways: ways(&address, &told), is_granted: false });
                }
                Err(error) => tracing::debug!(%relay, %error, "no reservation can be asked for"),
            }
        }
    }

    /// What the DHT was told does not hold any more: at the next tick it is told again.
    fn announce_anew(&mut self) {
        self.announce_again = true;
        self.announced = 0;
        self.announcing.clear();
        self.to_announce.clear();
        self.tell();
    }

    /// Tells the DHT of what is served, some at a time. Without an address there is nothing that it could be told.
    fn announce(&mut self) {
        while self.announcing.len() < MAX_ANNOUNCING && self.swarm.external_addresses().next().is_some() {
            let Some(content) = self.to_announce.pop_front() else { return };
            let key = kad::RecordKey::new(&content.cid.multihash_bytes());
            match self.swarm.behaviour_mut().p2p.kad.start_providing(key) {
                Ok(query) => _ = self.announcing.insert(query),
                Err(error) => tracing::warn!(%error, cid = %content.cid, "the DHT is not told of it"),
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<ProviderBehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(ProviderBehaviourEvent::P2p(event)) => self.on_p2p_event(event),
            SwarmEvent::Behaviour(ProviderBehaviourEvent::Circuits(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal: false,
                ..
            })) => self.on_granted(relay_peer_id),
            SwarmEvent::Behaviour(ProviderBehaviourEvent::Holes(HolesEvent::Punch(dcutr::Event {
                remote_peer_id: peer,
                result: Err(error),
            }))) => tracing::debug!(%peer, %error, "no hole is punched"),
            SwarmEvent::Behaviour(ProviderBehaviourEvent::Router(event)) => on_router_event(&event),
            SwarmEvent::ConnectionEstablished { .. } => self.tell(),
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.host.exchange.disconnected(peer_id);
                self.willing.remove(&peer_id);
                self.tell();
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => self.on_listener_closed(listener_id, reason),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                tracing::info!(%address, "reachable");
                self.announce_anew();
            }
            SwarmEvent::ExternalAddrExpired { address } => {
                tracing::info!(%address, "not reachable any more");
                self.announce_anew();
            }
            // Who moved to another network is not where it was, whoever confirmed that.
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
                self.announce_anew();
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "dialing failed");
            }
            _ => {}
        }
    }

    /// Names all ways through a relay that granted a reservation: who comes from a browser needs another one than this peer has.
    fn on_granted(&mut self, relay: PeerId) {
        let Some(reservation) = self.reservations.get_mut(&relay) else { return };
        reservation.is_granted = true;
        let local = *self.swarm.local_peer_id();
        for way in &reservation.ways {
            self.swarm.add_external_address(circuit(way, relay, local));
        }
        self.announce_anew();
    }

    fn on_listener_closed(&mut self, closed: ListenerId, reason: Result<(), std::io::Error>) {
        let Some(relay) = self.reservations.iter().find(|(_, it)| it.listener == closed).map(|(relay, _)| *relay)
        else {
            if let Err(error) = reason {
                tracing::warn!(%error, "an address is not listened on any more");
            }
            return;
        };
        tracing::debug!(%relay, ?reason, "a reservation ended");
        let Some(reservation) = self.reservations.remove(&relay) else { return };
        let local = *self.swarm.local_peer_id();
        for way in &reservation.ways {
            self.swarm.remove_external_address(&circuit(way, relay, local));
        }
        if !reservation.is_granted {
            self.refused.insert(relay);
        }
        self.announce_anew();
    }

    fn on_p2p_event(&mut self, event: P2PBehaviourEvent<MemoryStore>) {
        match event {
            P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, connection_id: _ }) => {
                self.swarm.behaviour_mut().p2p.on_identified(&peer_id, &info, Tokio::default().now());
                let takes = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
                if let Some(own) = self.relays.get(&peer_id).filter(|_| takes).and_then(|own| own.first()) {
                    let told = dialable(&info.listen_addrs).collect();
                    self.willing.insert(peer_id, (without_peer(own), told));
                    self.reserve();
                }
            }
            // Whoever is new has not been told yet.
            P2PBehaviourEvent::Kad(kad::Event::RoutingUpdated { is_new_peer: true, .. }) => self.announce_again = true,
            P2PBehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. })
                if step.last && self.announcing.remove(&id) =>
            {
                self.announced += usize::from(matches!(result, kad::QueryResult::StartProviding(Ok(_))));
                self.announce();
                self.tell();
            }
            // A peer that does not speak ping may be well all the same.
            P2PBehaviourEvent::Ping(ping::Event { result: Err(ping::Failure::Unsupported), .. }) => {}
            P2PBehaviourEvent::Ping(event) if event.result.is_err() => {
                self.swarm.close_connection(event.connection);
            }
            P2PBehaviourEvent::Streams(streams::Inbound { peer, stream, .. }) => self.host.accept(peer, stream),
            _ => {}
        }
    }

    fn tell(&self) {
        let connected: Vec<PeerId> =
            self.relays.keys().filter(|relay| self.swarm.is_connected(relay)).copied().collect();
        let addresses: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        let announced = self.announced;
        self.host.status.send_if_modified(|status| {
            let now = Status { connected, addresses, announced, sent: status.sent };
            let is_new = *status != now;
            *status = now;
            is_new
        });
    }
}

/// What became of asking the router.
fn on_router_event(event: &upnp::Event) {
    match event {
        upnp::Event::NewExternalAddr { external_addr, .. } => {
            tracing::info!(%external_addr, "the router says that it lets others in")
        }
        upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
            tracing::info!(%external_addr, "the router does not let others in any more");
        }
        upnp::Event::GatewayNotFound => tracing::debug!("there is no router that lets others in when it is asked"),
        upnp::Event::NonRoutableGateway => tracing::debug!("the router is behind another one"),
    }
}

async fn swarm(
    keypair: Keypair,
    config: &P2PConfig,
    way: WayIn,
) -> Result<Swarm<ProviderBehaviour>, crate::transport::Error> {
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_dns()?
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await?
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_behaviour(|keypair, circuits| ProviderBehaviour::new(keypair, circuits, config, way))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(policy::IDLE_TIMEOUT))
        .build();
    Ok(swarm)
}

/// The addresses of a relay that are named, best first: one that browsers dial, and others. A relay tells every address that it has, in no order;
/// where it was dialed by a public address or by a name, what leads elsewhere only from its own network is left out.
fn ways(dialed: &Multiaddr, told: &[Multiaddr]) -> Vec<Multiaddr> {
    let is_open = reach(dialed) == Reach::Anywhere;
    let mut told: Vec<&Multiaddr> =
        told.iter().filter(|address| !is_open || reach(address) == Reach::Anywhere).collect();
    let host = dialed.iter().next();
    // Where it was dialed, it is reached: its other ports are as good.
    told.sort_by_key(|address| (address.iter().next() != host, std::cmp::Reverse(reach(address)), address.to_string()));
    let of = |transport| told.iter().filter(move |address| address::Transport::of(address) == transport);
    let [browsers, others] = [address::Transport::WebSocket, address::Transport::Other].map(of);
    browsers.take(1).chain(others).take(MAX_WAYS).map(|way| without_peer(way)).collect()
}

fn circuit(way: &Multiaddr, relay: PeerId, local: PeerId) -> Multiaddr {
    way.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit).with(Protocol::P2p(local))
}

fn without_peer(address: &Multiaddr) -> Multiaddr {
    address::split_peer(address).map_or_else(|| address.clone(), |(_, rest)| rest)
}

/// The software, as identify tells it.
fn agent() -> String {
    concat!("ggen-market/", env!("CARGO_PKG_VERSION")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_through_a_relay_are_those_that_others_can_go() {
        let parse = |all: &[&str]| all.iter().map(|it| it.parse().unwrap()).collect::<Vec<Multiaddr>>();
        let told = parse(&[
            "/ip4/127.0.0.1/tcp/4802/ws",
            "/ip4/172.17.0.1/tcp/4802/ws",
            "/ip4/192.168.1.5/udp/4801/quic-v1",
            "/ip4/203.0.113.7/udp/4803/webrtc-direct",
            "/ip4/203.0.113.7/tcp/4802/ws",
            "/ip4/203.0.113.7/tcp/4801",
            "/ip4/203.0.113.7/udp/4801/quic-v1",
            "/ip4/127.0.0.1/tcp/4801",
        ]);
        let ways =
            |dialed: &str| ways(&dialed.parse().unwrap(), &told).iter().map(ToString::to_string).collect::<Vec<_>>();
        let open = ["/ip4/203.0.113.7/tcp/4802/ws", "/ip4/203.0.113.7/tcp/4801", "/ip4/203.0.113.7/udp/4801/quic-v1"];
        assert_eq!(ways("/ip4/203.0.113.7/tcp/4801"), open);
        assert_eq!(ways("/dns4/relay.example/tcp/4801"), open);
        assert_eq!(ways("/ip4/127.0.0.1/tcp/4801")[..2], ["/ip4/127.0.0.1/tcp/4802/ws", "/ip4/127.0.0.1/tcp/4801"]);
    }
}
