//! What attack drills need: honest peers at many places, attackers at one, and what is measured.
//!
//! Loopback is one place. So everybody has an address of their own in 127.0.0.0/8, of which the first two bytes are the place, and the limits of
//! relays are those of any relay.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use ggen_net::light::Platform;
use ggen_net::{P2PBehaviour, P2PBehaviourEvent, P2PConfig, Role, exchange};
use ggen_relay::Config;
use ggen_relay::market::peer::Tokio;
use ggen_shared::limits::DEFAULT_WINDOW_BYTES;
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::Search;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, KBucketKey, RecordKey};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, identify, ping};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::attack::RawPeer;
use crate::listening::listening_at;
use crate::{TestRelay, within};

/// Whether the drills have the size that an attacker's machine allows, rather than one that every test run has time for.
pub fn is_full() -> bool {
    std::env::var_os("GGEN_DRILLS").is_some_and(|size| size == "full")
}

/// One number for a run in full, another one for every day.
pub fn sized(full: usize, everyday: usize) -> usize {
    if is_full() { full } else { everyday }
}

/// An address of a place: the place is the second byte.
pub fn at(place: u8, number: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, place, high, low)
}

/// Where the attackers are.
pub const ATTACKERS: u8 = 66;
/// Where those are who read nothing of what they asked for.
pub const SLOW_READERS: u8 = 68;
/// Where those are who come meanwhile.
pub const NEWCOMERS: u8 = 70;

/// Honest relays, each at a place of its own, in one network.
///
/// # Panics
/// When they do not start.
pub async fn relays(count: u8) -> Vec<TestRelay> {
    relays_with(count, |_| {}).await
}

/// As [`relays`], the configuration of each changed.
///
/// # Panics
/// When they do not start.
pub async fn relays_with(count: u8, configure: impl Fn(&mut Config)) -> Vec<TestRelay> {
    let mut relays: Vec<TestRelay> = Vec::new();
    for place in 0..count {
        // Relays dial from 127.0.0.1, which is one place, so that the later ones know where the earlier ones are, rather than the other way round.
        let bootstrap = relays.iter().map(|earlier| earlier.address("/tcp/", false)).collect();
        let relay = TestRelay::configured(|config| {
            let ends = ["tcp/0", "tcp/0/ws"].map(|end| format!("/ip4/{}/{end}", at(100 + place, 1)));
            config.listen = ends.iter().map(|address| address.parse().expect("an address")).collect();
            config.bootstrap = bootstrap;
            configure(config);
        });
        relays.push(relay.await);
    }
    relays
}

/// A client of the DHT as every light peer is one, at an address of its choice.
pub struct DhtPeer(Swarm<P2PBehaviour<MemoryStore>>);

impl DhtPeer {
    /// Starts one that knows these relays, and waits until they have said who they are.
    ///
    /// # Panics
    /// When they do not in time.
    pub async fn start(ip: Ipv4Addr, relays: &[Multiaddr]) -> Self {
        let keypair = Keypair::generate_ed25519();
        let store = MemoryStore::new(keypair.public().to_peer_id());
        let behaviour = P2PBehaviour::new(&keypair, store, &P2PConfig::default(), Role::Light);
        let (mut swarm, address) = listening_at(ip, keypair, behaviour).await;
        // What it says to have is to be had there.
        swarm.add_external_address(address);
        let mut peer = Self(swarm);
        for relay in relays {
            peer.0.dial(relay.clone()).expect("it can be dialed");
        }
        let mut met = HashSet::new();
        within("identify", async {
            while met.len() < relays.len() {
                if let P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) = peer.next().await
                {
                    peer.0.behaviour_mut().on_identified(&peer_id, &info, Tokio::default().now());
                    met.insert(peer_id);
                }
            }
        })
        .await;
        peer
    }

    /// Who it is.
    pub fn id(&self) -> PeerId {
        *self.0.local_peer_id()
    }

    async fn next(&mut self) -> P2PBehaviourEvent<MemoryStore> {
        loop {
            if let SwarmEvent::Behaviour(event) = self.0.select_next_some().await {
                return event;
            }
        }
    }

    /// The results of the query that was begun, to the last.
    async fn results(&mut self, query: kad::QueryId) -> Vec<kad::QueryResult> {
        let mut results = Vec::new();
        loop {
            match self.next().await {
                P2PBehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. }) if id == query => {
                    results.push(result);
                    if step.last {
                        return results;
                    }
                }
                P2PBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                    self.0.behaviour_mut().on_identified(&peer_id, &info, Tokio::default().now());
                }
                _ => {}
            }
        }
    }

    /// Tells the DHT that it has something.
    ///
    /// # Panics
    /// When the DHT is not told in time.
    pub async fn provide(&mut self, key: RecordKey) {
        let query = self.0.behaviour_mut().kad.start_providing(key).expect("room for a key");
        let results = within("the DHT's news", self.results(query)).await;
        assert!(matches!(results.last(), Some(kad::QueryResult::StartProviding(Ok(_)))), "{results:?}");
    }

    /// Asks the DHT who has something: all that are named, and how long it took to the first.
    pub async fn providers(&mut self, key: RecordKey) -> HashSet<PeerId> {
        let query = self.0.behaviour_mut().kad.get_providers(key);
        let results = within("providers", self.results(query)).await;
        let found = results.into_iter().filter_map(|result| match result {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                Some(providers)
            }
            _ => None,
        });
        found.flatten().collect()
    }

    /// Stays connected until the task is dropped.
    pub fn stay(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                self.next().await;
            }
        })
    }
}

/// Servers of the DHT that are all at one place, nearer to a key than anybody else, know each other and nobody else, and forget what they are
/// told.
pub struct Sybils {
    tasks: Vec<JoinHandle<()>>,
}

#[derive(NetworkBehaviour)]
struct Sybil {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

impl Sybils {
    /// Starts so many, each of which connects to some of the relays, and waits until they are connected.
    ///
    /// # Panics
    /// When they can't listen or connect.
    pub async fn start(count: usize, key: &RecordKey, relays: &[Multiaddr], each: usize) -> Self {
        // Sixty-four keys for each: nearer than most of a million honest relays would be.
        let target = KBucketKey::new(key.to_vec());
        let mut keypairs: Vec<Keypair> = (0..64 * count).map(|_| Keypair::generate_ed25519()).collect();
        let distance = |keypair: &Keypair| KBucketKey::from(keypair.public().to_peer_id()).distance(&target);
        keypairs.sort_by_cached_key(distance);
        keypairs.truncate(count);
        let mut swarms = Vec::new();
        for (number, keypair) in keypairs.into_iter().enumerate() {
            let local = keypair.public().to_peer_id();
            let mut config = kad::Config::new(StreamProtocol::new(names::KADEMLIA));
            config
                .set_kbucket_inserts(kad::BucketInserts::Manual)
                .set_record_filtering(kad::StoreInserts::FilterBoth)
                .set_periodic_bootstrap_interval(None)
                .set_max_packet_size(64 * 1024);
            let mut kad = kad::Behaviour::with_config(local, MemoryStore::new(local), config);
            kad.set_mode(Some(kad::Mode::Server));
            let identify = identify::Behaviour::new(identify::Config::new(names::IDENTIFY.into(), keypair.public()));
            let behaviour = Sybil { kad, identify, ping: ping::Behaviour::default() };
            swarms.push(listening_at(at(ATTACKERS, number + 1), keypair, behaviour).await);
        }
        let addresses: Vec<(PeerId, Multiaddr)> =
            swarms.iter().map(|(swarm, address)| (*swarm.local_peer_id(), address.clone())).collect();
        let mut tasks = Vec::new();
        let mut connected = Vec::new();
        for (number, (mut swarm, _)) in swarms.into_iter().enumerate() {
            let local = *swarm.local_peer_id();
            for (other, address) in addresses.iter().filter(|(other, _)| *other != local) {
                swarm.behaviour_mut().kad.add_address(other, address.clone());
            }
            let dialed: Vec<Multiaddr> = relays.iter().cycle().skip(number).take(each).cloned().collect();
            let (tell, told) = oneshot::channel();
            connected.push(told);
            tasks.push(tokio::spawn(run_sybil(swarm, dialed, tell)));
        }
        within("the attackers' connections", join_all(connected)).await;
        Self { tasks }
    }
}

async fn run_sybil(mut swarm: Swarm<Sybil>, dialed: Vec<Multiaddr>, ready: oneshot::Sender<()>) {
    let mut left = dialed.len();
    for address in dialed {
        swarm.dial(address).expect("it can be dialed");
    }
    let mut ready = Some(ready);
    loop {
        let event = swarm.select_next_some().await;
        // Their own lookups would only tell them of each other.
        swarm.behaviour_mut().kad.iter_queries_mut().for_each(|mut query| query.finish());
        match event {
            // Once it was told who the relay is, the relay was told who it is.
            SwarmEvent::Behaviour(SybilEvent::Identify(identify::Event::Sent { .. }))
            | SwarmEvent::OutgoingConnectionError { .. } => {
                left = left.saturating_sub(1);
                if left == 0 {
                    _ = ready.take().map(|ready| ready.send(()));
                }
            }
            _ => {}
        }
    }
}

impl Drop for Sybils {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Connections on which nothing is ever asked, all from one place. Pings are answered, as by anybody.
pub struct Idlers {
    tasks: Vec<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

/// Connections of one identity: as many as a relay lets it have.
const CONNECTIONS_EACH: usize = 5;

impl Idlers {
    /// Opens so many, of as many identities as that takes.
    ///
    /// # Panics
    /// When they can't be made in time.
    pub async fn open(count: usize, relay: &Multiaddr) -> Self {
        let open = Arc::<AtomicUsize>::default();
        let mut tasks = Vec::new();
        let mut settled = Vec::new();
        for number in 0..count.div_ceil(CONNECTIONS_EACH) {
            let keypair = Keypair::generate_ed25519();
            let (mut swarm, _) = listening_at(at(ATTACKERS, number + 1), keypair, ping::Behaviour::default()).await;
            let (tell, told) = oneshot::channel();
            settled.push(told);
            let (relay, open) = (relay.clone(), open.clone());
            tasks.push(tokio::spawn(async move {
                let mut left = CONNECTIONS_EACH;
                let mut tell = Some(tell);
                for _ in 0..CONNECTIONS_EACH {
                    let dial = DialOpts::unknown_peer_id().address(relay.clone()).allocate_new_port().build();
                    swarm.dial(dial).expect("it can be dialed");
                }
                loop {
                    match swarm.select_next_some().await {
                        SwarmEvent::ConnectionEstablished { .. } => {
                            open.fetch_add(1, Relaxed);
                            left = left.saturating_sub(1);
                        }
                        SwarmEvent::ConnectionClosed { .. } => {
                            open.fetch_sub(1, Relaxed);
                        }
                        SwarmEvent::OutgoingConnectionError { .. } => left = left.saturating_sub(1),
                        _ => {}
                    }
                    if left == 0 {
                        _ = tell.take().map(|tell: oneshot::Sender<()>| tell.send(()));
                    }
                }
            }));
            // Some at a time, or the relay's room for handshakes is all that is measured.
            if settled.len() == 8 {
                within("connections", join_all(settled.drain(..))).await;
            }
        }
        within("connections", join_all(settled)).await;
        Self { tasks, open }
    }

    /// How many of them are open now.
    pub fn open_now(&self) -> usize {
        self.open.load(Relaxed)
    }
}

impl Drop for Idlers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// How long each of some searches took, one after the other.
///
/// # Panics
/// When one is not answered.
pub async fn searches(peer: &RawPeer, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let search = Search { text: "drilled".into(), limit: 10, ..Search::default() };
        let mut stream = within("a stream", peer.open(names::QUERY)).await.expect("the relay takes a question");
        let answer = within("an answer", exchange::ask(&mut stream, search, DEFAULT_WINDOW_BYTES)).await;
        _ = answer.expect("the relay answers");
        times.push(start.elapsed());
    }
    times
}

/// The time that such a part of the times lies below.
pub fn quantile(times: &[Duration], part: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    let at = (times.len().saturating_sub(1) as f64 * part).round() as usize;
    times.get(at).copied().unwrap_or_default()
}
