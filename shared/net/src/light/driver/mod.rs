//! The task that owns a light peer's swarm: commands in, events out.

mod announcements;
mod connections;
mod evidence;
mod lookups;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU8;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, pending};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select};
use ggen_shared::client::{Dossier, Origin, Relays};
use ggen_shared::id::{Network, RecordId};
use ggen_shared::reputation::Reputations;
use ggen_shared::rules::Schedule;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, QueryId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, gossipsub, identify, ping};

use self::announcements::{Fetch, Verifying};
use self::connections::describe;
use super::event::Event;
use super::key_logs::KeyLogs;
use super::peer::{Command, Connection, HeadFound, LightPeer, Shared};
use super::platform::Platform;
use super::providers::Providers;
use super::swarm::{LightBehaviour, LightBehaviourEvent, Transports, swarm};
use crate::address::IpGroup;
use crate::behaviour::P2PBehaviourEvent;
use crate::bitswap::Exchange;
use crate::gossip::{evidence_topic, packages_topic};
use crate::{P2PConfig, address, streams};

/// Commands that may wait for the driver; callers wait when there are more.
const COMMANDS: usize = 64;
/// Events that may wait for the owner; announcements past that are dropped, the next snapshot of connections is not.
const EVENTS: usize = 256;

/// Starts a light peer on the platform's executor.
///
/// The receiver gives events in order; dropping it is fine. The peer runs until the last handle is dropped or closed.
pub fn start<P: Platform>(
    keypair: &Keypair,
    transports: Transports,
    platform: &P,
    config: P2PConfig,
) -> (LightPeer<P>, mpsc::Receiver<Event>) {
    let local = keypair.public().to_peer_id();
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (events, outbox) = mpsc::channel(EVENTS);
    let connections = Arc::new(Mutex::new(Vec::new()));
    let swarm = swarm(keypair, transports, platform, &config);
    let phase = local.to_bytes().iter().rev().take(4).fold(0_u32, |phase, byte| phase << 8 | u32::from(*byte));
    let is_near = |one: &Multiaddr, other: &Multiaddr| IpGroup::of(one) == IpGroup::of(other);
    let mut relays = Relays::new(config.connections, phase, is_near);
    for (addresses, origin) in [(&config.relays, Origin::Configured), (&config.remembered, Origin::Remembered)] {
        for address in addresses.iter().filter(|address| !address::is_unspecified(address)) {
            if let Some((peer, _)) = address::split_peer(address) {
                relays.add(peer, [address.clone()], origin);
            }
        }
    }
    let exchange = Exchange::new(platform.clone());
    let reputations = Arc::new(Mutex::new(Reputations::default()));
    let dossier = Shared::default();
    let shared = (connections.clone(), reputations.clone(), dossier.clone());
    let handle = LightPeer::new(commands, platform.clone(), config.clone(), shared, exchange.clone());
    let driver = Driver {
        swarm,
        relays,
        events,
        connections,
        reputations,
        dossier,
        judged: (0, 0),
        platform: platform.clone(),
        network: config.network.clone(),
        rules: config.rules,
        wanted: config.connections,
        dht_ready: false,
        next_discovery: config.discover.then_some(Duration::ZERO),
        rtts: HashMap::new(),
        established: HashMap::new(),
        key_logs: KeyLogs::new(),
        verifying: FuturesUnordered::new(),
        fetching: VecDeque::new(),
        seen: VecDeque::new(),
        has_missed: false,
        request_timeout: config.request_timeout,
        heads: HashMap::new(),
        providers: HashMap::new(),
        puts: HashMap::new(),
        exchange,
        to_find: Vec::new(),
        finding: HashMap::new(),
        dials: Providers::new(),
    };
    platform.spawn(driver.run(inbox));
    (handle, outbox)
}

struct Driver<P: Platform> {
    swarm: Swarm<LightBehaviour<P::Holes>>,
    relays: Relays<PeerId, Multiaddr>,
    events: mpsc::Sender<Event>,
    connections: Shared<Vec<Connection>>,
    reputations: Shared<Reputations<PeerId>>,
    dossier: Shared<Dossier>,
    /// In which second evidence was looked at last, and how many pieces of it.
    judged: (u64, u32),
    platform: P,
    network: Network,
    rules: Schedule,
    wanted: usize,
    request_timeout: Duration,
    /// Whether a DHT server was ever met: without one there is nobody to ask.
    dht_ready: bool,
    /// None: further relays are not looked for.
    next_discovery: Option<Duration>,
    rtts: HashMap<PeerId, Duration>,
    /// Every peer that is connected, relay or not, with the address of its first connection.
    established: HashMap<PeerId, Multiaddr>,
    key_logs: KeyLogs,
    verifying: FuturesUnordered<Verifying>,
    /// The same fetches, the oldest first, with what is needed to give them up.
    fetching: VecDeque<Fetch>,
    /// Ids of announced records, the oldest first.
    seen: VecDeque<RecordId>,
    /// Whether an announcement was passed over, and the owner is to be told.
    has_missed: bool,
    heads: HashMap<QueryId, mpsc::Sender<HeadFound>>,
    providers: HashMap<QueryId, PeerId>,
    puts: HashMap<QueryId, oneshot::Sender<Result<(), String>>>,
    exchange: Exchange<P>,
    /// By which hash providers are to be looked for, and for whom: each of them waits a few seconds.
    to_find: Vec<(Vec<u8>, mpsc::Sender<PeerId>)>,
    /// Who looks for providers of some content.
    finding: HashMap<QueryId, mpsc::Sender<PeerId>>,
    /// Providers of content that are to be dialed.
    dials: Providers<QueryId>,
}

impl<P: Platform> Driver<P> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut step_at = None;
        let mut timer = Either::Right(pending());
        self.step();
        loop {
            if self.has_missed && self.events.try_send(Event::Missed).is_ok() {
                self.has_missed = false;
            }
            let discovery = self.next_discovery.filter(|_| self.dht_ready);
            let expiry = self.fetching.front().map(|fetch| fetch.deadline);
            let next = [self.relays.next_step(), discovery, expiry, self.dials.next_step()].into_iter().flatten().min();
            if next != step_at {
                step_at = next;
                timer = match next {
                    Some(at) => Either::Left(Box::pin(self.platform.sleep(at.saturating_sub(self.platform.now())))),
                    None => Either::Right(pending()),
                };
            }
            select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = inbox.next() => match command {
                    None | Some(Command::Close) => return,
                    Some(command) => self.on_command(command),
                },
                checked = self.verifying.select_next_some() => self.on_checked(checked),
                () = (&mut timer).fuse() => {
                    step_at = None;
                    timer = Either::Right(pending());
                    self.step();
                    self.discover();
                    self.expire_fetches();
                    self.dial_providers();
                }
            }
        }
    }

    /// Dials what is due.
    fn step(&mut self) {
        let now = self.platform.now();
        let reputations = self.reputations.lock().unwrap_or_else(PoisonError::into_inner);
        let dials = self.relays.step(now, |peer| reputations.of(peer).score(now));
        drop(reputations);
        let changed = !dials.is_empty();
        for dial in dials {
            // A DHT lookup may have connected to it before it was known as a relay.
            if let Some(address) = self.established.get(&dial.peer) {
                self.relays.on_connected(&dial.peer, address.clone());
                continue;
            }
            let options = DialOpts::peer_id(dial.peer)
                .addresses(dial.addresses)
                // One address after the other, best first: the order is the user's preference.
                .override_dial_concurrency_factor(NonZeroU8::MIN)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            if let Err(error) = self.swarm.dial(options) {
                self.relays.on_dial_failed(&dial.peer, describe(&error), self.platform.now());
            }
        }
        if changed {
            self.tell_connections();
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Open { peer, protocol, opened } => {
                self.swarm.behaviour_mut().p2p.streams.open(peer, StreamProtocol::new(protocol), opened);
            }
            Command::AddRelay { address } => {
                if let Some((peer, _)) = address::split_peer(&address) {
                    self.relays.add(peer, [address], Origin::Configured);
                    self.step();
                }
            }
            Command::GetHead { key, found } => {
                let query = self.swarm.behaviour_mut().p2p.kad.get_record(kad::RecordKey::new(&key));
                self.heads.insert(query, found);
            }
            Command::PutHead { key, value, done } => self.put_head(key, value, done),
            Command::FindProviders { key, found } => {
                self.to_find.push((key, found));
                self.find();
            }
            Command::Announce { record, done } => {
                let published = self.swarm.behaviour_mut().p2p.gossipsub.publish(packages_topic(), record);
                // Nobody waits any more when the send fails.
                _ = done.send(published.map(drop).map_err(|error| error.to_string()));
            }
            Command::Accuse { evidence } => self.accuse(evidence),
            Command::Close => {}
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<LightBehaviourEvent<P::Holes>>) {
        match event {
            SwarmEvent::Behaviour(LightBehaviourEvent::P2p(event)) => self.on_p2p_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.established.insert(peer_id, endpoint.get_remote_address().clone());
                self.dials.connected(peer_id);
                self.dial_providers();
                self.relays.on_connected(&peer_id, endpoint.get_remote_address().clone());
                self.tell_connections();
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.rtts.remove(&peer_id);
                self.established.remove(&peer_id);
                self.exchange.disconnected(peer_id);
                self.relays.on_disconnected(&peer_id, cause.map(|cause| cause.to_string()), self.platform.now());
                self.step();
                self.tell_connections();
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, connection_id } => {
                tracing::debug!(%peer, %error, "dialing failed");
                self.dials.failed(&peer, Some(connection_id));
                self.dial_providers();
                self.relays.on_dial_failed(&peer, describe(&error), self.platform.now());
                self.step();
                self.tell_connections();
            }
            _ => {}
        }
    }

    fn on_p2p_event(&mut self, event: P2PBehaviourEvent<MemoryStore>) {
        match event {
            P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let now = self.platform.now();
                self.swarm.behaviour_mut().p2p.on_identified(&peer_id, &info, now);
                self.dht_ready = true;
                self.discover();
                self.find();
            }
            P2PBehaviourEvent::Ping(event) => self.on_ping(event),
            P2PBehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                if message.topic == evidence_topic().hash() {
                    self.on_evidence(propagation_source, &message_id, &message.data);
                } else {
                    self.on_announcement(propagation_source, message_id, &message.data);
                }
            }
            P2PBehaviourEvent::Streams(streams::Inbound { peer, stream, .. }) => self.exchange.accept(peer, stream),
            P2PBehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. }) => {
                self.on_query(id, result, step.last);
            }
            _ => {}
        }
    }

    /// A dead peer may go unnoticed by its transport: the ping notices.
    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(rtt) => _ = self.rtts.insert(event.peer, rtt),
            Err(ping::Failure::Unsupported) => return,
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "ping failed");
                self.swarm.close_connection(event.connection);
            }
        }
        self.tell_connections();
    }
}
