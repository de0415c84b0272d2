//! The task that owns a light peer's swarm: commands in, events out.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::num::NonZeroU8;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{AbortHandle, Abortable, Aborted, Either, pending};
use futures::stream::FuturesUnordered;
use futures::{AsyncRead, AsyncWrite, FutureExt, StreamExt, select};
use ggen_shared::client::{Origin, RelayState, Relays};
use ggen_shared::id::{Network, PublisherId, RecordId};
use ggen_shared::limits::{DEFAULT_WINDOW_BYTES, WEBRTC_WINDOW_BYTES};
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::record::{self, Followed, KeyLog, Record, Release, Status, Unverified, UnverifiedRecord, Verified};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OptionalTransport, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, QueryId, QueryResult};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify, noise, ping, relay, yamux};

use super::peer::{Command, Connection, HeadFound, LightPeer, Phase};
use super::platform::Platform;
use crate::address::{self, Transport};
use crate::behaviour::{P2PBehaviour, P2PBehaviourEvent, Role, dialable, packages_topic};
use crate::bitswap::Exchange;
use crate::{P2PConfig, exchange, streams};

/// How long one address may take until its peer is known, handshakes included: the addresses behind it get their turn.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// Commands that may wait for the driver; callers wait when there are more.
const COMMANDS: usize = 64;
/// Events that may wait for the owner; announcements past that are dropped, the next snapshot of connections is not.
const EVENTS: usize = 256;
/// Announcements whose publisher's key log is being fetched; more are left to other peers.
const MAX_VERIFYING: usize = 32;
/// Key logs kept for announcements to come.
const MAX_KEY_LOGS: usize = 1024;
/// Announcements of one peer whose key logs are being fetched: it must not take the place of others.
const MAX_VERIFYING_PER_PEER: usize = 8;
/// Announced records that are remembered, so that replaying them is not news.
const MAX_SEEN: usize = 4096;
/// Relays that are looked for at once: one answer of a stranger names hundreds.
const MAX_LOOKUPS: usize = 16;
/// How often the DHT is asked for further relays while there are fewer than wanted.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is asked when there are enough, to know who else there is.
const SATISFIED_DISCOVERY_INTERVAL: Duration = Duration::from_secs(300);

/// What happens without being asked for.
#[derive(Debug, Clone)]
pub enum Event {
    /// A relay was connected, lost, or answered a ping: all relays as they are now.
    Connections(Vec<Connection>),
    /// A release was announced, and verified.
    Announced {
        /// The release.
        release: Box<Verified<Release>>,
        /// Its publisher's key log.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A publisher that is known here rotated its key, and it was verified.
    Rotated {
        /// Its key log since then.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A publisher that is known here said what a version is good for, and it was verified.
    Stated {
        /// What it said. Other statuses of the version may weigh more.
        status: Box<Verified<Status>>,
        /// Its key log.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// An announcement was refused.
    Refused {
        /// Who passed it on.
        from: PeerId,
        /// Why.
        error: record::Error,
    },
}

/// What a light peer runs.
#[derive(NetworkBehaviour)]
struct LightBehaviour {
    p2p: P2PBehaviour<MemoryStore>,
    circuits: relay::client::Behaviour,
}

/// A byte stream to a peer, before it is encrypted and shared.
pub type RawStream = Box<dyn AsyncReadWrite>;

/// Reads, writes, and moves between threads.
pub trait AsyncReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> AsyncReadWrite for T {}

/// How a light peer reaches others. Circuits are added to the raw ones, and one upgrade serves both: each further kind of stream
/// would be another copy of Noise and Yamux in a browser's download.
pub struct Transports {
    /// Streams that Noise and Yamux are still to be put on.
    pub raw: Option<Boxed<RawStream>>,
    /// Connections that bring encryption and streams of their own.
    pub secure: Option<Boxed<(PeerId, StreamMuxerBox)>>,
}

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
    let mut relays = Relays::new(config.connections, phase);
    for address in config.relays.iter().filter(|address| !address::is_unspecified(address)) {
        if let Some((peer, _)) = address::split_peer(address) {
            relays.add(peer, [address.clone()], Origin::Configured);
        }
    }
    let exchange = Exchange::new(platform.clone());
    let handle = LightPeer::new(commands, platform.clone(), config.clone(), connections.clone(), exchange.clone());
    let driver = Driver {
        swarm,
        relays,
        events,
        connections,
        platform: platform.clone(),
        network: config.network.clone(),
        wanted: config.connections,
        dht_ready: false,
        next_discovery: config.discover.then_some(Duration::ZERO),
        rtts: HashMap::new(),
        established: HashMap::new(),
        key_logs: HashMap::new(),
        verifying: FuturesUnordered::new(),
        fetching: VecDeque::new(),
        seen: VecDeque::new(),
        request_timeout: config.request_timeout,
        heads: HashMap::new(),
        providers: HashMap::new(),
        puts: HashMap::new(),
        exchange,
        to_find: Vec::new(),
        finding: HashMap::new(),
        dialing: HashMap::new(),
    };
    platform.spawn(driver.run(inbox));
    (handle, outbox)
}

fn swarm<P: Platform>(
    keypair: &Keypair,
    transports: Transports,
    platform: &P,
    config: &P2PConfig,
) -> Swarm<LightBehaviour> {
    let local = keypair.public().to_peer_id();
    let (circuit_transport, circuits) = relay::client::new(local);
    let noise = noise::Config::new(keypair).expect("an Ed25519 identity can sign the noise handshake");
    let raw = circuit_transport
        .map(|stream, _| -> RawStream { Box::new(stream) })
        .or_transport(transports.raw.map_or_else(OptionalTransport::none, OptionalTransport::some))
        .map(|either, _| either.into_inner())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let secure = transports.secure.map_or_else(OptionalTransport::none, OptionalTransport::some);
    let transport = raw.or_transport(secure).map(|either, _| either.into_inner());
    let transport = TransportTimeout::with_outgoing_timeout(transport, DIAL_TIMEOUT).boxed();
    let store = MemoryStore::with_config(local, MemoryStoreConfig { max_records: 64, ..MemoryStoreConfig::default() });
    let mut p2p = P2PBehaviour::new(keypair, store, config, Role::Light);
    p2p.gossipsub.subscribe(&packages_topic()).expect("a topic without a filter can be subscribed to");
    let swarm_config = platform
        .swarm_config()
        .with_idle_connection_timeout(Duration::from_secs(600))
        // One address after the other, best first: the order is the user's preference.
        .with_dial_concurrency_factor(NonZeroU8::MIN)
        // A stream's protocol and the question on it go together: one round trip for an answer, not two.
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Swarm::new(transport, LightBehaviour { p2p, circuits }, local, swarm_config)
}

type Verifying = Pin<Box<dyn Future<Output = Result<Checked, Aborted>> + Send>>;

/// A key log that is being fetched for an announcement.
struct Fetch {
    deadline: Duration,
    message: MessageId,
    from: PeerId,
    abort: AbortHandle,
}

/// An announcement whose publisher's key log was fetched.
struct Checked {
    message: MessageId,
    from: PeerId,
    outcome: Outcome,
}

/// A verified release; otherwise why it is refused, or nothing when nobody is to blame.
type Outcome = Result<(Box<Verified<Release>>, Box<KeyLog>), Option<record::Error>>;

struct Driver<P> {
    swarm: Swarm<LightBehaviour>,
    relays: Relays<PeerId, Multiaddr>,
    events: mpsc::Sender<Event>,
    connections: Arc<Mutex<Vec<Connection>>>,
    platform: P,
    network: Network,
    wanted: usize,
    request_timeout: Duration,
    /// Whether a DHT server was ever met: without one there is nobody to ask.
    dht_ready: bool,
    /// None: further relays are not looked for.
    next_discovery: Option<Duration>,
    rtts: HashMap<PeerId, Duration>,
    /// Every peer that is connected, relay or not, with the address of its first connection.
    established: HashMap<PeerId, Multiaddr>,
    key_logs: HashMap<PublisherId, KeyLog>,
    verifying: FuturesUnordered<Verifying>,
    /// The same fetches, the oldest first, with what is needed to give them up.
    fetching: VecDeque<Fetch>,
    /// Ids of announced records, the oldest first.
    seen: VecDeque<RecordId>,
    heads: HashMap<QueryId, mpsc::Sender<HeadFound>>,
    providers: HashMap<QueryId, PeerId>,
    puts: HashMap<QueryId, oneshot::Sender<Result<(), String>>>,
    exchange: Exchange<P>,
    /// By which hash providers are to be looked for, and for whom: each of them waits a few seconds.
    to_find: Vec<(Vec<u8>, mpsc::Sender<PeerId>)>,
    /// Who looks for providers of some content.
    finding: HashMap<QueryId, mpsc::Sender<PeerId>>,
    /// Providers of content that are being dialed, at most [`MAX_LOOKUPS`], with who looks for them.
    dialing: HashMap<PeerId, Vec<mpsc::Sender<PeerId>>>,
}

impl<P: Platform> Driver<P> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut step_at = None;
        let mut timer = Either::Right(pending());
        self.step();
        loop {
            let discovery = self.next_discovery.filter(|_| self.dht_ready);
            let expiry = self.fetching.front().map(|fetch| fetch.deadline);
            let next = [self.relays.next_step(), discovery, expiry].into_iter().flatten().min();
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
                }
            }
        }
    }

    /// Dials what is due.
    fn step(&mut self) {
        let dials = self.relays.step(self.platform.now());
        let changed = !dials.is_empty();
        for dial in dials {
            // A DHT lookup may have connected to it before it was known as a relay.
            if let Some(address) = self.established.get(&dial.peer) {
                self.relays.on_connected(&dial.peer, address.clone());
                continue;
            }
            let options = DialOpts::peer_id(dial.peer)
                .addresses(dial.addresses)
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
            Command::Close => {}
        }
    }

    fn put_head(&mut self, key: Vec<u8>, value: Vec<u8>, done: oneshot::Sender<Result<(), String>>) {
        let record = kad::Record::new(key, value);
        match self.swarm.behaviour_mut().p2p.kad.put_record(record, kad::Quorum::One) {
            Ok(query) => _ = self.puts.insert(query, done),
            Err(error) => _ = done.send(Err(error.to_string())),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<LightBehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(LightBehaviourEvent::P2p(event)) => self.on_p2p_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. }
                if num_established.get() == 1 =>
            {
                self.established.insert(peer_id, endpoint.get_remote_address().clone());
                for mut found in self.dialing.remove(&peer_id).into_iter().flatten() {
                    // Whoever looked for it has enough when this fails.
                    _ = found.try_send(peer_id);
                }
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
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "dialing failed");
                self.dialing.remove(&peer);
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
                self.swarm.behaviour_mut().p2p.on_identified(&peer_id, &info);
                self.dht_ready = true;
                self.discover();
                self.find();
            }
            P2PBehaviourEvent::Ping(event) => self.on_ping(event),
            P2PBehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.on_announcement(propagation_source, message_id, &message.data);
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

    /// Asks the DHT for further relays, when it is time to.
    fn discover(&mut self) {
        let now = self.platform.now();
        if self.dht_ready && self.next_discovery.is_some_and(|at| at <= now) {
            let satisfied = self.relays.connected() >= self.wanted;
            self.next_discovery = Some(now + if satisfied { SATISFIED_DISCOVERY_INTERVAL } else { DISCOVERY_INTERVAL });
            self.swarm.behaviour_mut().p2p.kad.get_providers(kad::RecordKey::new(&names::RELAYS_KEY));
        }
    }

    fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
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
    fn find(&mut self) {
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

    fn on_announcement(&mut self, from: PeerId, message: MessageId, data: &[u8]) {
        let record = match UnverifiedRecord::decode_known(data) {
            Ok(record) => record,
            // Later rules may know it: no fault of whoever passed it on.
            Err(record::Error::UnknownKind(_)) => return self.report(&message, from, MessageAcceptance::Ignore),
            Err(error) => return self.settle(Checked { message, from, outcome: Err(Some(error)) }),
        };
        // The same record under another signature, or long after gossip forgot it, is no news to pass on.
        if self.seen.contains(&record.id()) {
            return self.report(&message, from, MessageAcceptance::Ignore);
        }
        match record {
            UnverifiedRecord::Inception(inception) => match inception.verify(&self.network) {
                Ok(inception) => {
                    self.remember(KeyLog::new(inception));
                    self.report(&message, from, MessageAcceptance::Accept);
                }
                Err(error) => self.settle(Checked { message, from, outcome: Err(Some(error)) }),
            },
            UnverifiedRecord::Release(release) => match self.key_logs.get(&release.publisher()) {
                Some(key_log) if key_log.key_at(&release.signed_under()).is_some() => {
                    match release.clone().verify(key_log, &self.network) {
                        Err(record::Error::NoKeepPage(_)) => self.verify_later(from, message, *release),
                        outcome => {
                            let outcome = outcome.map(|verified| (Box::new(verified), Box::new(key_log.clone())));
                            self.settle(Checked { message, from, outcome: outcome.map_err(Some) });
                        }
                    }
                }
                // New to us is the publisher, or the key.
                _ => self.verify_later(from, message, *release),
            },
            // Nothing of it is shown.
            UnverifiedRecord::Unknown(_) => self.report(&message, from, MessageAcceptance::Ignore),
            record => self.take_note(from, &message, record),
        }
    }

    /// What a publisher says after the fact. Of one that is not known here, it is asked for with the key log when it matters.
    fn take_note(&mut self, from: PeerId, message: &MessageId, record: UnverifiedRecord) {
        let id = record.id();
        let Some(key_log) = self.key_logs.get_mut(&record.publisher()) else {
            return self.report(message, from, MessageAcceptance::Ignore);
        };
        let noted = record.verify(Some(key_log), &self.network).and_then(|record| {
            Ok(match record {
                Record::Rotation(rotation) => {
                    let is_new = key_log.follow(*rotation)? == Followed::New;
                    is_new.then(|| Event::Rotated { key_log: Box::new(key_log.clone()), from })
                }
                // One that comes before its rotation is fetched when a record needs it.
                Record::KeepPage(page) => key_log.add_page(*page).map(|_| None)?,
                Record::Status(status) => Some(Event::Stated { status, key_log: Box::new(key_log.clone()), from }),
                _ => None,
            })
        });
        match noted {
            Ok(event) => {
                self.report(message, from, MessageAcceptance::Accept);
                self.note_seen(id);
                event.into_iter().for_each(|event| self.tell(event));
            }
            Err(error) => self.settle(Checked { message: message.clone(), from, outcome: Err(Some(error)) }),
        }
    }

    /// The publisher is new to us: whoever passed the record on must have its key log.
    fn verify_later(&mut self, from: PeerId, message: MessageId, release: Unverified<Release>) {
        let of_peer = self.fetching.iter().filter(|fetch| fetch.from == from).count();
        if self.fetching.len() >= MAX_VERIFYING || of_peer >= MAX_VERIFYING_PER_PEER {
            return self.report(&message, from, MessageAcceptance::Ignore);
        }
        let (opened, stream) = oneshot::channel();
        self.swarm.behaviour_mut().p2p.streams.open(from, StreamProtocol::new(names::QUERY), opened);
        let (network, window) = (self.network.clone(), self.window(&from));
        let (abort, registration) = AbortHandle::new_pair();
        let deadline = self.platform.now() + self.request_timeout;
        self.fetching.push_back(Fetch { deadline, message: message.clone(), from, abort });
        let work = async move {
            let outcome = async {
                let mut stream = stream.await.ok().and_then(Result::ok).ok_or(None)?;
                let question = KeyLogOf { publisher: release.publisher() };
                let answer = exchange::ask(&mut stream, question, window).await.map_err(|_| None)?;
                let key_log = KeyLog::verify(&answer.events, release.publisher(), &network)?;
                let release = release.verify(&key_log, &network)?;
                Ok((Box::new(release), Box::new(key_log)))
            };
            Checked { message, from, outcome: outcome.await }
        };
        self.verifying.push(Box::pin(Abortable::new(work, registration)));
    }

    /// Gives up fetches that took too long: their slots are for others.
    fn expire_fetches(&mut self) {
        let now = self.platform.now();
        while let Some(fetch) = self.fetching.pop_front_if(|fetch| fetch.deadline <= now) {
            fetch.abort.abort();
            self.report(&fetch.message, fetch.from, MessageAcceptance::Ignore);
        }
    }

    fn on_checked(&mut self, checked: Result<Checked, Aborted>) {
        // What was given up is settled already.
        let Ok(mut checked) = checked else { return };
        self.fetching.retain(|fetch| fetch.message != checked.message || fetch.from != checked.from);
        if let Ok((release, key_log)) = &mut checked.outcome {
            // A rotation that we know counts, even if whoever passed the release on says nothing of it.
            **key_log = self.remember((**key_log).clone());
            if let Err(error) = key_log.check(&***release, &release.id()) {
                checked.outcome = Err(Some(error));
            }
        }
        self.settle(checked);
    }

    /// Tells gossip and the owner what became of an announcement.
    fn settle(&mut self, checked: Checked) {
        let Checked { message, from, outcome } = checked;
        let event = match outcome {
            Ok((release, key_log)) => {
                self.report(&message, from, MessageAcceptance::Accept);
                self.note_seen(release.id());
                Event::Announced { release, key_log, from }
            }
            Err(Some(error)) => {
                // Where a key log has more or less than ours, the record may hold: whoever passed it on is not at fault.
                let is_bad = !error.depends_on_key_log();
                let acceptance = if is_bad { MessageAcceptance::Reject } else { MessageAcceptance::Ignore };
                self.report(&message, from, acceptance);
                Event::Refused { from, error }
            }
            // The key log could not be had: the announcement proves nothing, and nobody is to blame.
            Err(None) => return self.report(&message, from, MessageAcceptance::Ignore),
        };
        self.tell(event);
    }

    fn note_seen(&mut self, id: RecordId) {
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
    }

    fn tell(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("an announcement was dropped: nobody reads the events");
        }
    }

    fn report(&mut self, message: &MessageId, from: PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().p2p.gossipsub.report_message_validation_result(message, &from, acceptance);
    }

    /// Keeps what a peer says of a key log beside what is known of it, and gives both: nobody makes us forget a rotation.
    fn remember(&mut self, mut key_log: KeyLog) -> KeyLog {
        if let Some(known) = self.key_logs.get(&key_log.publisher()) {
            // What does not follow any more, since the log forked, is no part of it.
            known.rotations().for_each(|rotation| _ = key_log.follow(rotation.clone()));
            known.pages().for_each(|page| _ = key_log.add_page(page.clone()));
        } else if self.key_logs.len() >= MAX_KEY_LOGS
            && let Some(any) = self.key_logs.keys().next().copied()
        {
            self.key_logs.remove(&any);
        }
        self.key_logs.insert(key_log.publisher(), key_log.clone());
        key_log
    }

    fn window(&self, peer: &PeerId) -> u32 {
        let connections = self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections.iter().find(|connection| connection.peer == *peer).map_or(WEBRTC_WINDOW_BYTES, Connection::window)
    }

    fn tell_connections(&mut self) {
        let view: Vec<Connection> = self
            .relays
            .view()
            .filter(|relay| relay.origin == Origin::Configured || relay.state != RelayState::Idle)
            .map(|relay| {
                let (phase, address) = match relay.state {
                    RelayState::Connected(address) => (Phase::Connected, Some(address)),
                    RelayState::Connecting(_) => (Phase::Connecting, relay.addresses.first().cloned()),
                    RelayState::Idle | RelayState::Waiting(_) => (Phase::Waiting, relay.addresses.first().cloned()),
                };
                let address = address.unwrap_or_else(Multiaddr::empty);
                let transport = Transport::of(&address);
                let rtt = self.rtts.get(&relay.peer).copied();
                let anchor = relay.origin == Origin::Configured;
                Connection { peer: relay.peer, address, transport, anchor, phase, rtt, problem: relay.problem }
            })
            .collect();
        view.clone_into(&mut self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // A full channel drops this snapshot only: the next one tells all of it again.
        _ = self.events.try_send(Event::Connections(view));
    }
}

impl Connection {
    /// Whether the relay can be asked now.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Answer bytes that may be in flight on a stream of this connection.
    pub fn window(&self) -> u32 {
        match self.transport {
            Transport::WebRtcDirect => WEBRTC_WINDOW_BYTES,
            Transport::WebSocket | Transport::Other => DEFAULT_WINDOW_BYTES,
        }
    }
}

/// Why a dial failed, short enough for a person: the first address's reason.
fn describe(error: &libp2p::swarm::DialError) -> String {
    match error {
        libp2p::swarm::DialError::Transport(errors) => errors.last().map_or_else(
            || "no address could be dialed".into(),
            |(address, error)| format!("{address}: {}", innermost(error)),
        ),
        other => other.to_string(),
    }
}

/// The last cause that has something to say: transports wrap what the system said in errors without words.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).filter(|text| !text.is_empty()).last().unwrap_or_else(|| "no connection".into())
}
