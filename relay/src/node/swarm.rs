//! The task that owns the relay's swarm. It decides nothing that takes long: that is handed to [`Work`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use ggen_net::address::{IpGroup, Transport};
use ggen_net::light::Platform;
use ggen_net::{P2PBehaviourEvent, address, dialable, evidence_topic, packages_topic, streams};
use ggen_shared::client::Evidence;
use ggen_shared::protocol::names;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, gossipsub, identify, kad, ping};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::behaviour::{RelayBehaviour, RelayBehaviourEvent};
use super::neighbours::{Known, Neighbours};
use super::on_heap::OnHeap;
use super::work::Work;
use super::{Command, LISTEN_TIMEOUT, StartError, Status};
use crate::heads::HeadStore;
use crate::market::peer::Tokio;
use crate::{Config, causes, policy};

/// How often relays that were configured but are not connected are dialed again.
const REDIAL_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);
/// How long addresses that nobody chose are waited for: on a machine whose IPv6 is switched off, those never come up.
const DEFAULT_LISTEN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) struct Node {
    swarm: Swarm<OnHeap<RelayBehaviour>>,
    work: Arc<Work>,
    status: watch::Sender<Status>,
    /// Relays that were just met, to sync with.
    meet: mpsc::Sender<PeerId>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    /// What those relays say about where they are.
    anchors: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Relays to join that can't be reached, of whom the log was told.
    unreachable: HashSet<PeerId>,
    /// Whether the addresses that it listens on are those that it is reached at: nobody said other ones.
    names_itself: bool,
    /// Until when a relay to join is waited for that neither answers nor fails to.
    join_until: Instant,
    /// Someone new is in the routing table, who was not told yet.
    provide_again: bool,
    /// Connected peers that are servers of the DHT, as they say.
    servers: BTreeSet<PeerId>,
    /// Which of those that the routing table has no room for are the next to have their turn.
    next_other: usize,
    /// Whom it knows when it starts again.
    neighbours: Neighbours,
    /// Whether no relay was connected when it was looked last, and when those of the routing table are dialed again if that is still so.
    is_alone: bool,
    look_around_at: Instant,
    /// Until when listeners' problems are not told.
    warn_of_listeners_at: Instant,
}

impl Node {
    pub(super) fn new(
        swarm: Swarm<OnHeap<RelayBehaviour>>,
        work: Arc<Work>,
        status: watch::Sender<Status>,
        meet: mpsc::Sender<PeerId>,
        config: &Config,
    ) -> Self {
        let local = *swarm.local_peer_id();
        let bootstrap = config
            .bootstrap
            .iter()
            .filter_map(|address| Some((address::split_peer(address)?.0, address.clone())))
            .filter(|(peer, _)| *peer != local)
            .collect();
        let neighbours = Neighbours::read(&config.data_dir);
        Self {
            swarm,
            work,
            status,
            meet,
            bootstrap,
            unreachable: HashSet::new(),
            names_itself: config.external.is_empty(),
            anchors: BTreeMap::new(),
            join_until: Instant::now() + policy::JOIN_TIMEOUT,
            provide_again: false,
            servers: BTreeSet::new(),
            next_other: 0,
            neighbours,
            is_alone: false,
            look_around_at: Instant::now(),
            warn_of_listeners_at: Instant::now(),
        }
    }

    /// Listens on every address, and waits until each listener knows where it is. Of addresses that nobody chose, those
    /// that work are enough.
    pub(super) async fn listen(&mut self, config: &Config) -> Result<(), StartError> {
        for address in &config.external {
            self.swarm.add_external_address(address.clone());
        }
        let mut first_failure = None;
        let mut failed = |address: Multiaddr, reason: String| {
            let error = StartError::Listen { address, reason };
            if config.listen.all {
                return Err(error);
            }
            tracing::warn!("{error}; the relay goes on without it");
            first_failure.get_or_insert(error);
            Ok(())
        };
        let mut waiting: HashMap<ListenerId, Multiaddr> = HashMap::new();
        // Asked before the first listens: later it would be told of our own.
        let taken: Vec<Option<std::io::Error>> = config.listen.addresses.iter().map(tcp_taken).collect();
        for (address, taken) in config.listen.addresses.iter().zip(taken) {
            if let Some(error) = taken {
                failed(address.clone(), causes::of(&error))?;
                continue;
            }
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => _ = waiting.insert(listener, address.clone()),
                Err(error) => failed(address.clone(), causes::of(&error))?,
            }
        }
        let patience = if config.listen.all { LISTEN_TIMEOUT } else { DEFAULT_LISTEN_TIMEOUT };
        let mut timeout = pin!(tokio::time::sleep(patience));
        let mut any = false;
        while !waiting.is_empty() {
            let event = tokio::select! {
                event = self.swarm.select_next_some() => event,
                () = &mut timeout => break,
            };
            match event {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    any |= waiting.remove(&listener_id).is_some();
                    self.reachable_at(address);
                }
                SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                    if let Some(address) = waiting.remove(&listener_id) {
                        failed(
                            address,
                            reason.err().map_or_else(|| "it was closed".into(), |error| causes::of(&error)),
                        )?;
                    }
                }
                // Who connects meanwhile is not forgotten.
                other => self.on_swarm_event(other),
            }
        }
        for address in waiting.into_values() {
            failed(address, "no address came up in time".into())?;
        }
        if let Some(failure) = first_failure.filter(|_| !any) {
            return Err(failure);
        }
        ggen_net::subscribe(&mut self.swarm.behaviour_mut().p2p.gossipsub);
        self.tell_status();
        Ok(())
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut stopped: watch::Receiver<bool>) {
        let mut redial = tokio::time::interval(REDIAL_INTERVAL);
        let mut surplus = tokio::time::interval(policy::SURPLUS_INTERVAL);
        surplus.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(command) = inbox.recv() => self.on_command(command),
                _ = redial.tick() => {
                    self.dial_bootstrap();
                    self.look_around();
                    let known = self.neighbours();
                    self.neighbours.remember(&known);
                    self.tell_status();
                    self.provide();
                }
                _ = surplus.tick() => {
                    for connection in self.swarm.behaviour_mut().p2p.surplus() {
                        self.swarm.close_connection(connection);
                    }
                }
                _ = stopped.wait_for(|stop| *stop) => {
                    tracing::info!("the network node stops");
                    return;
                }
            }
        }
    }

    /// Dials those of the routing table for as long as no relay is connected, and looks for all others once one is again: what is in the table
    /// already is no news that would have Kademlia do so before half an hour is over.
    fn look_around(&mut self) {
        let was_alone = std::mem::replace(&mut self.is_alone, self.servers.is_empty());
        let now = Instant::now();
        if (self.is_alone && now >= self.look_around_at) || (was_alone && !self.is_alone) {
            self.look_around_at = now + policy::LOOK_AROUND_INTERVAL;
            // Nobody was met yet when this fails.
            _ = self.swarm.behaviour_mut().p2p.kad.bootstrap();
        }
    }

    fn dial_bootstrap(&mut self) {
        let mut addresses: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for (peer, address) in self.bootstrap.clone() {
            addresses.entry(peer).or_default().push(address);
        }
        for (peer, addresses) in addresses.into_iter().chain(self.neighbours.due()) {
            let options = DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                // The port that it listens on may be taken elsewhere on this machine, which would fail for as long as that lasts.
                .allocate_new_port()
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
                let peers = self.relays();
                _ = relays.send(peers);
            }
            Command::Routing { table } => _ = table.send(self.routing_table()),
        }
    }

    /// Relays that are connected: those that the operator named and those of the routing table; of all others, for whose place the table may have no
    /// room, some in turn. Nobody is left out for good, and many identities take no turn from those whom this relay knows.
    fn relays(&mut self) -> Vec<PeerId> {
        let mut peers: BTreeSet<PeerId> = self.anchors.keys().copied().collect();
        peers.extend(self.routing_table());
        peers.retain(|peer| self.swarm.is_connected(peer));
        let others: Vec<PeerId> = self.servers.difference(&peers).copied().collect();
        let some = others.iter().cycle().skip(self.next_other).take(others.len().min(policy::MAX_OTHERS_IN_TURN));
        peers.extend(some);
        self.next_other = (self.next_other + policy::MAX_OTHERS_IN_TURN) % others.len().max(1);
        peers.into_iter().collect()
    }

    /// The relays in the routing table that are connected, and where they are.
    fn neighbours(&mut self) -> Known {
        let buckets = self.swarm.behaviour_mut().p2p.kad.kbuckets();
        let known = buckets.flat_map(|bucket| {
            let connected = bucket.iter().filter(|entry| entry.status == kad::NodeStatus::Connected);
            connected
                .map(|entry| (*entry.node.key.preimage(), entry.node.value.iter().cloned().collect()))
                .collect::<Vec<_>>()
        });
        known.collect()
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
                self.reachable_at(address);
                self.tell_status();
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                let own = match &endpoint {
                    ConnectedPoint::Listener { local_addr, .. } => local_addr,
                    ConnectedPoint::Dialer { address, .. } => address,
                };
                if endpoint.is_relayed() || Transport::of(own) == Transport::WebRtcDirect {
                    self.work.note_webrtc(peer_id);
                }
                // A relay and a proxy on this machine speak for everybody.
                let remote = endpoint.get_remote_address();
                if !endpoint.is_relayed() && !address::is_this_machine(remote) {
                    self.work.peers().connected(peer_id, IpGroup::of(remote));
                }
                self.unreachable.remove(&peer_id);
                self.tell_status();
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.servers.remove(&peer_id);
                self.work.disconnected(peer_id);
                self.tell_status();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                // What the operator named stays.
                if self.names_itself {
                    self.swarm.remove_external_address(&address);
                }
                self.tell_status();
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ConnectionClosed { .. } => self.tell_status(),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => self.on_dial_failed(peer_id, &error),
            SwarmEvent::ListenerError { error, .. } => self.on_listener_error(&error),
            _ => {}
        }
    }

    /// An operator runs a relay to be reached: where it listens counts as confirmed, unless the operator said where it is reached instead. Without
    /// such an address it could grant no reservation, which names the ways through it.
    fn reachable_at(&mut self, address: Multiaddr) {
        if self.names_itself && !address::is_unspecified(&address) {
            self.swarm.add_external_address(address);
        }
    }

    /// Warns of a listener's problem now and then: some are made by single forged packets.
    fn on_listener_error(&mut self, error: &std::io::Error) {
        let now = Instant::now();
        if now >= self.warn_of_listeners_at {
            self.warn_of_listeners_at = now + policy::WARNING_INTERVAL;
            tracing::warn!(%error, "a listener has a problem; others of the next minute are not told");
        }
    }

    /// Warns of a relay that was to be joined, once until it is reached: it is dialed again and again.
    fn on_dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        tracing::debug!(?peer, %error, "dialing failed");
        let configured = self.bootstrap.iter().find(|(relay, _)| Some(*relay) == peer);
        if let Some((relay, address)) = configured
            && self.unreachable.insert(*relay)
        {
            self.tell_status();
            tracing::warn!("bootstrap {address} can't be reached, and is tried again: {}", why_not_dialed(error));
        }
    }

    fn on_p2p_event(&mut self, event: P2PBehaviourEvent<HeadStore>) {
        match event {
            P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.swarm.behaviour_mut().p2p.on_identified(&peer_id, &info, Tokio::default().now());
                if info.protocols.iter().any(|protocol| protocol.as_ref() == names::KADEMLIA) {
                    self.servers.insert(peer_id);
                    self.work.progress().met();
                    // One more relay than can wait has its turn later.
                    _ = self.meet.try_send(peer_id);
                }
                if self.bootstrap.iter().any(|(peer, _)| *peer == peer_id) {
                    let addresses = dialable(&info.listen_addrs);
                    let addresses = addresses.filter_map(|address| address.with_p2p(peer_id).ok()).collect();
                    if self.anchors.insert(peer_id, addresses).is_none() {
                        self.tell_status();
                    }
                }
            }
            P2PBehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                if message.topic == evidence_topic().hash() {
                    self.on_evidence(propagation_source, message_id, message.data);
                } else {
                    self.on_announcement(propagation_source, message_id, message.data);
                }
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

    /// Evidence counts against relays that are known here: of others nobody has to be warned, and whoever makes them up could do so without end.
    fn on_evidence(&mut self, from: PeerId, message: gossipsub::MessageId, data: Vec<u8>) {
        let accused = Evidence::accused(&data).and_then(|relay| address::peer_of(&relay));
        let acceptance = match accused {
            None => gossipsub::MessageAcceptance::Reject,
            Some(relay) if self.knows(&relay) && self.work.clone().accused(from, message.clone(), data) => return,
            Some(_) => gossipsub::MessageAcceptance::Ignore,
        };
        let gossip = &mut self.swarm.behaviour_mut().p2p.gossipsub;
        gossip.report_message_validation_result(&message, &from, acceptance);
    }

    /// Whether it is a relay that the operator named, that is connected, or that is in the routing table.
    fn knows(&mut self, relay: &PeerId) -> bool {
        let is_named = self.bootstrap.iter().any(|(named, _)| named == relay);
        is_named || self.servers.contains(relay) || self.routing_table().contains(relay)
    }

    /// What others put into our part of the DHT: validated before it is kept.
    fn on_dht_request(&mut self, request: kad::InboundRequest) {
        match request {
            kad::InboundRequest::PutRecord { record: Some(record), source, .. } => {
                self.work.clone().head_put(source, record.key.to_vec(), record.value);
            }
            kad::InboundRequest::AddProvider { record: Some(record) } => {
                // Kademlia has checked that the provider speaks for itself; the store bounds how much it can say.
                let kad = &mut self.swarm.behaviour_mut().p2p.kad;
                let (provider, group) = (record.provider, kad.place(&record.provider));
                if !kad.store_mut().provide(record, group) {
                    tracing::debug!(%provider, "a provider record is not kept");
                }
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
        let anchors = self.anchors.values().flatten().cloned().collect();
        let is_open = |relay: &PeerId| !self.unreachable.contains(relay) && !self.anchors.contains_key(relay);
        let joining = Instant::now() < self.join_until && self.bootstrap.iter().any(|(relay, _)| is_open(relay));
        let connected = self.swarm.network_info().num_peers();
        self.status.send_replace(Status { addresses, anchors, connected, joining });
    }
}

/// Why another program has the TCP port of an address, if one has. libp2p would listen there beside another relay, and the
/// system would then hand connections now to this one, now to that one.
fn tcp_taken(address: &Multiaddr) -> Option<std::io::Error> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        // `::` itself would be told of IPv4 too.
        Protocol::Ip6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Some(Protocol::Tcp(port)) = parts.next() else { return None };
    TcpListener::bind((ip, port)).err().filter(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// Why a dial failed: the reason of each address that was tried.
fn why_not_dialed(error: &DialError) -> String {
    match error {
        DialError::Transport(tried) => tried.iter().map(|(_, error)| causes::of(error)).collect::<Vec<_>>().join("; "),
        other => causes::of(other),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::Relay;
    use crate::config::{FileConfig, Listen};

    /// Starts a relay on these addresses, and gives where it can be reached.
    async fn start(listen: Listen) -> Result<String, StartError> {
        let directory = tempfile::tempdir().unwrap();
        let file = FileConfig { data_dir: Some(directory.path().into()), ..FileConfig::default() };
        let relay = Relay::start(Config { listen, http: None, ..file.resolve().unwrap() }).await?;
        let addresses = relay.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        relay.stop().await;
        Ok(addresses)
    }

    #[tokio::test]
    async fn a_relay_starts_on_every_default_address_of_ipv4() {
        let mut listen = Listen::default();
        // Other ports, equal where the defaults are equal: those may be in use on this machine.
        let [tcp, websocket] = [(); 2].map(|()| TcpListener::bind("0.0.0.0:0").unwrap());
        let webrtc = UdpSocket::bind("0.0.0.0:0").unwrap();
        let ports = [("4801", tcp.local_addr()), ("4802", websocket.local_addr()), ("4803", webrtc.local_addr())];
        drop((tcp, websocket, webrtc));
        for address in &mut listen.addresses {
            let mut text = address.to_string();
            for (default, free) in &ports {
                text = text.replace(default, &free.as_ref().unwrap().port().to_string());
            }
            *address = text.parse().unwrap();
        }
        let reached = start(listen).await.unwrap();
        for (end, (_, port)) in ["/tcp", "/tcp", "/udp"].iter().zip(&ports) {
            let part = format!("{end}/{}", port.as_ref().unwrap().port());
            assert!(
                reached.lines().any(|line| line.starts_with("/ip4/") && line.contains(&part)),
                "{part}:\n{reached}"
            );
        }
        assert!(reached.contains("/quic-v1/") && reached.contains("/webrtc-direct/"), "{reached}");
    }

    #[tokio::test]
    async fn a_default_address_may_be_taken_and_a_chosen_one_may_not() {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let tcp_taken = format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port());
        let udp_taken = format!("/ip4/127.0.0.1/udp/{}/webrtc-direct", udp.local_addr().unwrap().port());
        let free = "/ip4/127.0.0.1/tcp/0";
        let listen = |all: bool, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            start(Listen { addresses, all })
        };
        let reached = listen(false, &[&tcp_taken, free, &udp_taken]).await.unwrap();
        assert!(reached.contains("/ip4/127.0.0.1/tcp/") && !reached.contains("webrtc"), "{reached}");
        for taken in [&tcp_taken, &udp_taken] {
            for refused in [listen(true, &[free, taken]).await, listen(false, &[taken]).await] {
                let message = refused.unwrap_err().to_string();
                assert!(message.starts_with(&format!("{taken} can't be listened on: ")), "{message}");
                assert!(message.contains("in use"), "{message}");
            }
        }
    }

    #[tokio::test]
    async fn a_port_of_another_relay_is_not_shared_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = FileConfig { data_dir: Some(directory.path().into()), ..FileConfig::default() };
        let listen = ["/ip4/127.0.0.1/tcp/0".parse().unwrap()].into_iter().collect();
        let other = Relay::start(Config { listen, http: None, ..file.resolve().unwrap() }).await.unwrap();
        let (_, taken) = address::split_peer(&other.addresses()[0]).unwrap();
        let refused = start([taken].into_iter().collect()).await.unwrap_err();
        assert!(refused.to_string().contains("in use"), "{refused}");
        other.stop().await;
    }

    #[test]
    fn a_failed_dial_says_why() {
        let refused = libp2p::TransportError::Other(std::io::Error::other("connection refused"));
        let error = DialError::Transport(vec![("/ip4/127.0.0.1/tcp/1".parse().unwrap(), refused)]);
        assert_eq!(why_not_dialed(&error), "connection refused");
    }
}
