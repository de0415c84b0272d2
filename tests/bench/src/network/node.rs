//! A peer of the network: the protocols of a relay with their settings, and nothing behind them.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ggen_net::light::Platform;
use ggen_net::{P2PBehaviour, P2PBehaviourEvent, P2PConfig, Role, packages_topic};
use ggen_relay::market::peer::Tokio;
use ggen_relay::policy;
use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, QueryId, QueryResult, Record, RecordKey};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Swarm, gossipsub, identify, noise, ping, swarm, yamux};
use tokio::sync::{mpsc, oneshot};

use super::link::{Links, Net, address};

/// How long a relay's dials and handshakes may take, as libp2p's builder has it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What a lookup found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    /// Whether a record came, and when.
    pub(super) found: Option<Duration>,
    /// Peers that were asked until then, or until it was given up.
    pub(super) requests: u32,
}

/// What a peer is asked for.
pub(super) enum Command {
    /// Join through these.
    Join { others: Vec<(PeerId, Ipv4Addr)> },
    /// Put a record where it belongs: how many peers took it.
    Put { record: Record, done: oneshot::Sender<bool> },
    /// Look for a record.
    Look { key: RecordKey, done: oneshot::Sender<Looked> },
    /// Announce something.
    Publish { data: Vec<u8> },
    /// Tell the routing table, and whether the record is here.
    Table { key: RecordKey, done: oneshot::Sender<(Vec<PeerId>, bool)> },
    /// Tell how many peers it is connected to.
    Connected { done: oneshot::Sender<usize> },
}

/// A running peer.
pub(super) struct Handle {
    pub(super) id: PeerId,
    pub(super) ip: Ipv4Addr,
    commands: mpsc::Sender<Command>,
    pub(super) task: tokio::task::JoinHandle<()>,
}

impl Handle {
    /// Asks for something. It is lost if the peer is dead.
    pub(super) async fn tell(&self, command: Command) {
        _ = self.commands.send(command).await;
    }

    /// Asks for something, and waits for the answer.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.tell(command(done)).await;
        answer.await.ok()
    }
}

/// A message that came to a peer for the first time.
pub(super) struct Heard {
    pub(super) data: Vec<u8>,
    pub(super) at: Instant,
}

pub(super) struct Node {
    swarm: Swarm<P2PBehaviour<MemoryStore>>,
    heard: mpsc::Sender<Heard>,
    looking: HashMap<QueryId, (Instant, oneshot::Sender<Looked>)>,
    putting: HashMap<QueryId, oneshot::Sender<bool>>,
}

impl Node {
    /// Starts a peer.
    pub(super) fn start(net: &Arc<Net>, ip: Ipv4Addr, heard: mpsc::Sender<Heard>, ping_interval: Duration) -> Handle {
        let keypair = Keypair::generate_ed25519();
        let id = keypair.public().to_peer_id();
        let noise = noise::Config::new(&keypair).expect("an Ed25519 identity can sign the noise handshake");
        let transport = Links::new(net.clone(), ip)
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        let transport = TransportTimeout::new(transport, CONNECTION_TIMEOUT).boxed();
        let config = P2PConfig { ping_interval, ..P2PConfig::default() };
        let behaviour = P2PBehaviour::new(&keypair, MemoryStore::new(id), &config, Role::Relay);
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(policy::IDLE_TIMEOUT);
        let mut swarm = Swarm::new(transport, behaviour, id, config);
        swarm.listen_on(address(ip)).expect("memory can be listened on");
        swarm.add_external_address(address(ip));
        ggen_net::subscribe(&mut swarm.behaviour_mut().gossipsub);
        let (commands, inbox) = mpsc::channel(64);
        let node = Self { swarm, heard, looking: HashMap::new(), putting: HashMap::new() };
        Handle { id, ip, commands, task: tokio::spawn(node.run(inbox)) }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut surplus = tokio::time::interval(policy::SURPLUS_INTERVAL);
        surplus.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = surplus.tick() => {
                    for connection in self.swarm.behaviour_mut().surplus() {
                        self.swarm.close_connection(connection);
                    }
                }
                command = inbox.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        let connected = self.swarm.connected_peers().count();
        let p2p = self.swarm.behaviour_mut();
        match command {
            Command::Connected { done } => _ = done.send(connected),
            Command::Join { others } => {
                for (peer, ip) in others {
                    // One that is met by then needs no dial.
                    _ = self.swarm.dial(address(ip).with_p2p(peer).expect("an address without a peer"));
                }
            }
            Command::Put { record, done } => match p2p.kad.put_record(record, kad::Quorum::One) {
                Ok(query) => _ = self.putting.insert(query, done),
                Err(_) => _ = done.send(false),
            },
            Command::Look { key, done } => {
                let query = p2p.kad.get_record(key);
                self.looking.insert(query, (Instant::now(), done));
            }
            Command::Publish { data } => {
                // Nobody is there to be told when this fails, which shows in how many hear of it.
                _ = p2p.gossipsub.publish(packages_topic(), data);
            }
            Command::Table { key, done } => {
                let has = p2p.kad.store_mut().get(&key).is_some();
                let mut peers = HashSet::new();
                for bucket in p2p.kad.kbuckets() {
                    peers.extend(bucket.iter().map(|entry| *entry.node.key.preimage()));
                }
                _ = done.send((peers.into_iter().collect(), has));
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<P2PBehaviourEvent<MemoryStore>>) {
        let SwarmEvent::Behaviour(event) = event else { return };
        match event {
            P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.swarm.behaviour_mut().on_identified(&peer_id, &info, Tokio::default().now());
            }
            P2PBehaviourEvent::Ping(ping::Event { connection, result: Err(_), .. }) => {
                self.swarm.close_connection(connection);
            }
            P2PBehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let heard = Heard { data: message.data, at: Instant::now() };
                _ = self.heard.try_send(heard);
                let gossip = &mut self.swarm.behaviour_mut().gossipsub;
                let acceptance = gossipsub::MessageAcceptance::Accept;
                gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
            }
            P2PBehaviourEvent::Kad(kad::Event::InboundRequest {
                request: kad::InboundRequest::PutRecord { record: Some(record), .. },
            }) => _ = self.swarm.behaviour_mut().kad.store_mut().put(record),
            P2PBehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, stats, step }) => {
                self.on_query(id, &result, stats.num_requests(), step.last);
            }
            _ => {}
        }
    }

    fn on_query(&mut self, id: QueryId, result: &QueryResult, requests: u32, last: bool) {
        let found = matches!(result, QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(_))));
        if (found || last)
            && let Some((start, done)) = self.looking.remove(&id)
        {
            _ = done.send(Looked { found: found.then(|| start.elapsed()), requests });
            if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                query.finish();
            }
        }
        if last && let Some(done) = self.putting.remove(&id) {
            _ = done.send(matches!(result, QueryResult::PutRecord(Ok(_))));
        }
    }
}
