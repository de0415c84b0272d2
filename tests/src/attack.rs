//! Peers that send what no honest peer sends: raw streams, messages built by hand, and their mutations.
//!
//! Randomness comes from a seed, so that an attack can be repeated.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::StreamExt;
use ggen_net::streams::{self, Inbound, OpenError};
use ggen_shared::codec;
use ggen_shared::content::Unhashed;
use ggen_shared::content::bitswap::{Ask, Message, Presence, Want};
use ggen_shared::protocol::{head, names, query};
use ggen_shared::rules::Rules;
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use serde_bytes::ByteBuf;
use tokio::sync::{mpsc, oneshot};

use crate::listening::listening_at;
use crate::{Package, Publisher, within};

/// Random numbers from a seed: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// When `end` is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Heads or tails.
    pub const fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// One of some things.
    ///
    /// # Panics
    /// When there are none.
    pub const fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    /// So many random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// How a protocol marks where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The length in four bytes, big endian: our own protocols.
    Length32,
    /// The length as a varint: those of libp2p.
    Varint,
    /// Not at all.
    None,
}

/// What an honest peer says on a stream: some messages in a row.
#[derive(Debug, Clone)]
pub struct Speech {
    framing: Framing,
    messages: Vec<Vec<u8>>,
}

impl Speech {
    fn new(framing: Framing, messages: Vec<Vec<u8>>) -> Self {
        Self { framing, messages }
    }

    /// How its protocol marks where a message ends.
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// The bytes on the stream.
    pub fn bytes(&self) -> Vec<u8> {
        self.messages.iter().flat_map(|message| framed(self.framing, message)).collect()
    }

    /// The bytes with some changes: in a message, whose length is then right, or anywhere.
    pub fn mutated(&self, random: &mut Random) -> Vec<u8> {
        if random.coin() {
            let mut changed = self.clone();
            let at = random.below(changed.messages.len());
            mutate(&mut changed.messages[at], random);
            changed.bytes()
        } else {
            let mut bytes = self.bytes();
            mutate(&mut bytes, random);
            bytes
        }
    }
}

fn framed(framing: Framing, message: &[u8]) -> Vec<u8> {
    let length = match framing {
        Framing::Length32 => u32::try_from(message.len()).expect("a short message").to_be_bytes().to_vec(),
        Framing::Varint => varint(message.len() as u64),
        Framing::None => Vec::new(),
    };
    [length.as_slice(), message].concat()
}

/// Bytes without any sense, half of the time behind a length that is right.
pub fn noise(framing: Framing, random: &mut Random) -> Vec<u8> {
    // Mostly short, as messages are; sometimes more than any message may have.
    let magnitude = 1 + random.below(16);
    let length = random.below(1 << magnitude);
    let bytes = random.bytes(length);
    if random.coin() { framed(framing, &bytes) } else { bytes }
}

/// One to four changes of the kinds that trip parsers.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            bytes.push(random.bytes(1)[0]);
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.bytes(1)[0],
            2 => bytes[at] = *random.one_of(&[0, 0x7f, 0x80, 0xff]),
            3 => bytes.truncate(at),
            4 => _ = bytes.remove(at),
            5 => bytes.splice(at..at, vec![0xff; 1 + random.below(12)]).for_each(drop),
            6 => {
                let length = random.below(bytes.len() - at) + 1;
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part).for_each(drop);
            }
            _ => bytes.extend_from_within(..at),
        }
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A protobuf message, written field by field.
#[derive(Debug, Clone, Default)]
pub struct Proto(Vec<u8>);

impl Proto {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.0.extend([varint(field << 3), varint(value)].concat());
        self
    }

    /// Adds a number of eight bytes.
    #[must_use]
    pub fn fixed64(mut self, field: u64, value: u64) -> Self {
        self.0.extend([&varint(field << 3 | 1)[..], &value.to_le_bytes()].concat());
        self
    }

    /// Adds bytes, a text or a message.
    #[must_use]
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.extend([&varint(field << 3 | 2)[..], &varint(value.len() as u64), value].concat());
        self
    }
}

impl AsRef<[u8]> for Proto {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Proto> for Vec<u8> {
    fn from(proto: Proto) -> Self {
        proto.0
    }
}

/// An address that leads nowhere, so that no mutation of it makes a relay dial a stranger: of the block that discards.
fn nowhere() -> Multiaddr {
    "/ip6/100::1/tcp/4001".parse().expect("a constant multiaddr")
}

/// What valid messages are made of. None of them makes a relay keep anything, whatever a mutation leaves of it.
pub struct Ammunition {
    publisher: Publisher,
    /// A package that the relay holds already.
    package: Package,
    /// The offer of one that it does not, without a block that it needs.
    incomplete: Package,
}

impl Ammunition {
    /// From a package that the relay holds, and who signed it.
    ///
    /// # Panics
    /// Never: the content has several blocks.
    pub fn new(mut publisher: Publisher, package: Package) -> Self {
        let content: Vec<u8> = (0..150_000_u32).flat_map(u32::to_be_bytes).collect();
        let mut incomplete = publisher.release("incomplete", "1.0.0", "never whole", &content);
        incomplete.offer.blocks.remove(0);
        Self { publisher, package, incomplete }
    }

    /// Everything that an honest peer says first on a stream of a protocol. None: the protocol is not known here.
    ///
    /// Ping and identify are there too, though identify's initiator only listens: what it says is garbage anyway.
    pub fn speeches(&self, protocol: &str, sender: &Keypair) -> Option<Vec<Speech>> {
        let list = |framing, messages: Vec<Vec<u8>>| {
            Some(messages.into_iter().map(|message| Speech::new(framing, vec![message])).collect())
        };
        match protocol {
            names::QUERY => list(Framing::Length32, self.questions()),
            names::PUBLISH => Some(self.sessions()),
            names::BITSWAP => list(Framing::Varint, self.bitswap()),
            names::KADEMLIA => list(Framing::Varint, self.kademlia(sender.public().to_peer_id())),
            "/ipfs/id/1.0.0" | "/ipfs/id/push/1.0.0" => list(Framing::Varint, vec![identify(sender)]),
            "/ipfs/ping/1.0.0" => list(Framing::None, vec![vec![7; 32], vec![8; 96]]),
            "/libp2p/circuit/relay/0.2.0/hop" => list(Framing::Varint, hop(sender.public().to_peer_id())),
            "/libp2p/autonat/2/dial-request" => list(Framing::Varint, dial_request()),
            // Every version of gossipsub, and what it calls itself for floodsub.
            gossip if gossip.starts_with("/meshsub/") => list(Framing::Varint, self.gossip()),
            _ => None,
        }
    }

    fn questions(&self) -> Vec<Vec<u8>> {
        let release = &self.package.release;
        let (handle, fingerprint) = (None, release.publisher.fingerprint());
        let name = ggen_shared::id::FullName { handle, fingerprint, name: release.name.clone() };
        let search = |text: &str, cursor: Option<&[u8]>| {
            let cursor = cursor.map(|cursor| ByteBuf::from(cursor.to_vec()));
            query::Request::Search(query::Search { text: text.into(), limit: 50, cursor, ..query::Search::default() })
        };
        [
            search("", None),
            search("target packages", None),
            search("é ﬁ Ω 東京 ́", None),
            search("tar", Some(&[0; 40])),
            query::Request::Package(query::Package { name, version: Some(release.version.clone()) }),
            query::Request::Records(query::Records { ids: vec![release.id(); 64] }),
            query::Request::KeyLogOf(query::KeyLogOf { publisher: release.publisher }),
        ]
        .into_iter()
        .flat_map(|request| {
            let rules = Rules::FIRST.number;
            [0, 1024, u32::MAX].map(|window| codec::encode(&query::Ask { window, rules, request: request.clone() }))
        })
        .collect()
    }

    /// Messages of Bitswap: wants of what the relay holds and of what it does not, and what it was never asked for.
    fn bitswap(&self) -> Vec<Vec<u8>> {
        let here = self.package.artifact.blocks.iter();
        let elsewhere = self.incomplete.artifact.blocks.iter();
        let cids: Vec<_> = here.chain(elsewhere).map(|block| block.cid).collect();
        let wants = |ask| cids.iter().map(|cid| Want::new(*cid, ask)).collect();
        let blocks = vec![Unhashed { is_raw: true, data: self.incomplete.artifact.blocks[0].data[..1000].to_vec() }];
        let presences = cids.iter().map(|cid| Presence { cid: *cid.cid(), has: true }).collect();
        [
            Message::of_wants(wants(Ask::Block)),
            Message::of_wants(wants(Ask::Have)),
            Message { full: true, ..Message::of_wants(wants(Ask::Cancel)) },
            Message { blocks, presences, ..Message::default() },
        ]
        .map(|message| {
            let encoded = message.encode();
            let length = encoded.iter().take_while(|byte| **byte >= 0x80).count() + 1;
            encoded[length..].to_vec()
        })
        .into()
    }

    /// Publish sessions: an offer of which nothing is wanted, and one with the blocks that are.
    fn sessions(&self) -> Vec<Speech> {
        let blocks =
            self.incomplete.artifact.blocks.iter().filter(|block| self.incomplete.offer.blocks.contains(&block.cid));
        let offer = std::iter::once(codec::encode(&self.incomplete.offer));
        let messages = offer.chain(blocks.map(|block| block.data.clone())).collect();
        let known = vec![codec::encode(&self.package.offer)];
        vec![Speech::new(Framing::Length32, known), Speech::new(Framing::Length32, messages)]
    }

    fn kademlia(&self, sender: PeerId) -> Vec<Vec<u8>> {
        let key = head::key(&self.package.release.package());
        let value = head::encode(&self.publisher.key_log, &self.package.release).expect("a short head");
        let record =
            Proto::new().bytes(1, &key).bytes(2, value).bytes(5, "").bytes(666, sender.to_bytes()).number(777, 60);
        let message = |kind, key: &[u8]| Proto::new().number(1, kind).bytes(2, key).number(10, 0);
        let provider = Proto::new().bytes(1, sender.to_bytes()).bytes(2, nowhere().to_vec()).number(3, 1);
        let messages = [
            message(0, &key).bytes(3, record),
            message(1, &key),
            add_provider(b"what is provided", sender),
            add_provider(names::RELAYS_KEY, sender),
            message(3, names::RELAYS_KEY),
            message(4, &sender.to_bytes()).bytes(8, &provider),
            message(5, b""),
        ];
        messages.into_iter().map(Vec::from).collect()
    }

    fn gossip(&self) -> Vec<Vec<u8>> {
        let topic = names::PACKAGES_TOPIC;
        let with_sender = publish(self.package.release.bytes()).bytes(1, [0; 38]).bytes(3, [1; 8]).bytes(5, [2; 64]);
        let ids: Proto = (0..40_u8).fold(Proto::new(), |ids, number| ids.bytes(1, [number; 32]));
        let control = Proto::new()
            .bytes(1, Proto::new().bytes(1, topic).bytes(2, [3; 32]))
            .bytes(2, &ids)
            .bytes(3, Proto::new().bytes(1, topic))
            .bytes(4, Proto::new().bytes(1, topic).bytes(2, Proto::new().bytes(1, [4; 38])).number(3, u64::MAX))
            .bytes(5, ids)
            .bytes(6, Proto::new().number(10, 1));
        let partial = Proto::new().bytes(1, topic).bytes(2, [5; 8]).bytes(3, [6; 100]).bytes(4, [7; 8]);
        let messages = [
            subscribe(topic),
            subscribe("another topic").bytes(1, Proto::new().number(1, 0).bytes(2, topic)),
            Proto::new().bytes(2, publish(self.package.release.bytes())),
            Proto::new().bytes(2, publish(&self.package.offer.records[0])),
            Proto::new().bytes(2, with_sender),
            subscribe(topic).bytes(3, control),
            Proto::new().bytes(10, partial),
        ];
        messages.into_iter().map(Vec::from).collect()
    }
}

/// A message of gossipsub that subscribes to a topic.
pub fn subscribe(topic: &str) -> Proto {
    Proto::new().bytes(1, Proto::new().number(1, 1).bytes(2, topic))
}

fn publish(data: &[u8]) -> Proto {
    publish_on(names::PACKAGES_TOPIC, data)
}

fn publish_on(topic: &str, data: &[u8]) -> Proto {
    Proto::new().bytes(2, data).bytes(4, topic)
}

/// A message of gossipsub that announces something, with its length, as it is sent.
pub fn announcement(data: &[u8]) -> Vec<u8> {
    sent(Proto::new().bytes(2, publish(data)))
}

/// A message of gossipsub that shows evidence, with its length, as it is sent.
pub fn accusation(evidence: &[u8]) -> Vec<u8> {
    sent(Proto::new().bytes(2, publish_on(names::EVIDENCE_TOPIC, evidence)))
}

/// A message of Kademlia that says that its sender provides something.
pub fn add_provider(key: &[u8], sender: PeerId) -> Proto {
    let provider = Proto::new().bytes(1, sender.to_bytes()).bytes(2, nowhere().to_vec()).number(3, 1);
    Proto::new().number(1, 2).bytes(2, key).bytes(9, provider).number(10, 0)
}

/// A message of Kademlia that puts a value under a key.
pub fn put_value(key: &[u8], value: &[u8]) -> Proto {
    let record = Proto::new().bytes(1, key).bytes(2, value);
    Proto::new().number(1, 0).bytes(2, key).bytes(3, record).number(10, 0)
}

/// A message of Kademlia that asks for the value under a key (1), or for the peers nearest to it (4).
pub fn ask(kind: u64, key: &[u8]) -> Proto {
    Proto::new().number(1, kind).bytes(2, key).number(10, 0)
}

/// A message of libp2p's own protocols with its length, as it is sent.
pub fn sent(message: impl Into<Vec<u8>>) -> Vec<u8> {
    framed(Framing::Varint, &message.into())
}

fn identify(sender: &Keypair) -> Vec<u8> {
    told(sender, &[nowhere()]).into()
}

/// What identify tells of a DHT server at some addresses.
pub fn told(sender: &Keypair, addresses: &[Multiaddr]) -> Proto {
    let told = Proto::new()
        .bytes(1, sender.public().encode_protobuf())
        .bytes(4, nowhere().to_vec())
        .bytes(5, names::IDENTIFY)
        .bytes(6, "attacker");
    let told = addresses.iter().fold(told, |told, address| told.bytes(2, address.to_vec()));
    [names::KADEMLIA, names::QUERY, "/meshsub/1.2.0"].iter().fold(told, |told, protocol| told.bytes(3, protocol))
}

fn hop(sender: PeerId) -> Vec<Vec<u8>> {
    let peer = Proto::new().bytes(1, sender.to_bytes()).bytes(2, nowhere().to_vec());
    let reserve = Proto::new().number(1, 0);
    let connect = Proto::new().number(1, 1).bytes(2, peer);
    let status = Proto::new().number(1, 2).number(5, 100);
    [reserve, connect, status].map(Vec::from).into()
}

fn dial_request() -> Vec<Vec<u8>> {
    let request = Proto::new().bytes(1, nowhere().to_vec()).bytes(1, nowhere().to_vec()).fixed64(2, 42);
    let data = Proto::new().bytes(1, [9; 1000]);
    [Proto::new().bytes(1, request), Proto::new().bytes(4, data)].map(Vec::from).into()
}

/// A peer without protocols of its own: it opens the streams that it is told to, and hands out those that are opened to it.
pub struct RawPeer {
    /// Its key.
    pub keypair: Keypair,
    relay: PeerId,
    open: mpsc::Sender<(StreamProtocol, futures::channel::oneshot::Sender<Result<Stream, OpenError>>)>,
}

impl RawPeer {
    /// Connects to a relay. The receiver gets the streams that the relay opens, of the protocols that are accepted.
    ///
    /// # Panics
    /// When there is no connection in time.
    pub async fn connect(relay: &Multiaddr, accepted: &[&'static str]) -> (Self, mpsc::Receiver<Inbound>) {
        Self::connect_from(Ipv4Addr::LOCALHOST, relay, accepted).await
    }

    /// As [`Self::connect`], from one of the addresses of 127.0.0.0/8.
    ///
    /// # Panics
    /// When there is no connection in time.
    pub async fn connect_from(
        ip: Ipv4Addr,
        relay: &Multiaddr,
        accepted: &[&'static str],
    ) -> (Self, mpsc::Receiver<Inbound>) {
        let keypair = Keypair::generate_ed25519();
        let accepted = accepted.iter().map(|protocol| StreamProtocol::new(protocol)).collect();
        let (mut swarm, _) = listening_at(ip, keypair.clone(), streams::Behaviour::new(accepted)).await;
        swarm.dial(relay.clone()).expect("the relay can be dialed");
        let relay = within("the connection", connected(&mut swarm)).await;
        let (open, inbox) = mpsc::channel(64);
        let (opened, inbound) = mpsc::channel(64);
        tokio::spawn(run(swarm, relay, inbox, opened));
        (Self { keypair, relay, open }, inbound)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`OpenError`], as for any peer.
    pub async fn open(&self, protocol: &str) -> Result<Stream, OpenError> {
        let protocol = StreamProtocol::try_from_owned(protocol.into()).expect("protocols begin with a slash");
        let (opened, stream) = futures::channel::oneshot::channel();
        // The swarm has ended with its connection when the send or the answer fails.
        self.open.send((protocol, opened)).await.map_err(|_| OpenError::NotConnected)?;
        stream.await.map_err(|_| OpenError::NotConnected)?
    }

    /// The relay that it is connected to.
    pub const fn relay(&self) -> PeerId {
        self.relay
    }
}

async fn connected(swarm: &mut Swarm<streams::Behaviour>) -> PeerId {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => return peer_id,
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("no connection: {error}"),
            _ => {}
        }
    }
}

type Open = (StreamProtocol, futures::channel::oneshot::Sender<Result<Stream, OpenError>>);

async fn run(
    mut swarm: Swarm<streams::Behaviour>,
    relay: PeerId,
    mut inbox: mpsc::Receiver<Open>,
    opened: mpsc::Sender<Inbound>,
) {
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(inbound) => _ = opened.try_send(inbound),
                SwarmEvent::ConnectionClosed { num_established: 0, .. } => return,
                _ => {}
            },
            open = inbox.recv() => match open {
                Some((protocol, opened)) => swarm.behaviour_mut().open(relay, protocol, opened),
                None => return,
            },
        }
    }
}

/// The protocols that a relay says it speaks, by identify.
///
/// # Panics
/// When it does not say in time.
pub async fn protocols_of(relay: &Multiaddr) -> Vec<String> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|keypair| {
            libp2p::identify::Behaviour::new(libp2p::identify::Config::new("/test".into(), keypair.public()))
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    swarm.dial(relay.clone()).expect("the relay can be dialed");
    let (told, protocols) = oneshot::channel();
    let listen = async move {
        loop {
            if let SwarmEvent::Behaviour(libp2p::identify::Event::Received { info, .. }) =
                swarm.select_next_some().await
            {
                break told.send(info.protocols);
            }
        }
    };
    let (_, protocols) = within("identify", async { tokio::join!(listen, protocols) }).await;
    protocols.expect("it was told").iter().map(ToString::to_string).collect()
}
