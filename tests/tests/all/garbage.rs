//! Garbage on every protocol of a live relay: it goes on serving others, stores nothing, and its memory stays bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use ggen_net::P2PRegistry;
use ggen_net::light::{Event, HeadError};
use ggen_net::streams::{Inbound, OpenError};
use ggen_shared::id::{Network, RecordId};
use ggen_shared::limits::{MAX_ADDRESSES_PER_RELAY, MAX_HEAD_BYTES, MAX_RECORD_BYTES};
use ggen_shared::protocol::{head, names};
use ggen_shared::record::{Dependency, Envelope, sign};
use ggen_shared::registry::{Registry, SearchOptions};
use ggen_tests::attack::{self, Ammunition, Random, RawPeer, protocols_of, sent};
use ggen_tests::process::RelayProcess;
use ggen_tests::{Publisher, TestPeer, TestRelay, network, until, within};
use libp2p::{Multiaddr, Stream};
use tokio::time::timeout;

/// How long the attack on every protocol lasts; `GGEN_GARBAGE_SECONDS` changes it.
const ATTACK: Duration = Duration::from_secs(60);
/// Peers that attack at once, each with a seed of its own.
const ATTACKERS: u64 = 4;
/// Streams until an attacker comes back as another peer: gossipsub listens to five streams of a connection only.
const STREAMS_PER_CONNECTION: usize = 60;
/// Streams that an attacker keeps open and says nothing more on.
const HELD_STREAMS: usize = 20;
/// An honest query is answered in less.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(1);
/// Memory that an attack may cost while it lasts, over what the relay had before: buffers of connections, and what the
/// allocator keeps. Floods send several times as much.
const MAX_GROWTH_BYTES: u64 = 32 * 1024 * 1024;
/// Protocols that a relay opens streams of to whoever says that it speaks them.
const ACCEPTED: [&str; 5] =
    ["/meshsub/1.2.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", names::KADEMLIA];
/// Of these, what a peer that is listened to must speak. It answers no ping, so it does not say that it does.
const GOSSIP: [&str; 1] = ["/meshsub/1.2.0"];

/// A package in the relay, which honest peers ask for and attackers mutate the messages of.
async fn target(peer: &TestPeer, relay: libp2p::PeerId) -> Ammunition {
    let mut publisher = Publisher::new(1);
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let package = publisher.release("target", "1.0.0", "stays findable", &content);
    package.publish(peer, relay).await.unwrap();
    Ammunition::new(publisher, package)
}

/// Says something on a stream and reads what comes back, as much as comes in a moment.
async fn say(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let mut reply = vec![0; 64 * 1024];
    let length = stream.read(&mut reply).await?;
    reply.truncate(length);
    Ok(reply)
}

#[tokio::test]
async fn the_messages_that_are_mutated_are_valid_themselves() {
    let relay = TestRelay::start(&[]).await;
    let peer = TestPeer::start(&[&relay]).await;
    let ammunition = target(&peer, relay.peer_id()).await;
    let address = relay.address("/tcp/", false);
    let mut answered = BTreeMap::new();
    for protocol in protocols_of(&address).await {
        let known = |peer: &RawPeer| ammunition.speeches(&protocol, &peer.keypair);
        let (raw, _inbound) = RawPeer::connect(&address, &ACCEPTED).await;
        let speeches = known(&raw).unwrap_or_else(|| panic!("no messages for {protocol}: the attack leaves it out"));
        for number in 0..speeches.len() {
            let (raw, _inbound) = RawPeer::connect(&address, &ACCEPTED).await;
            let speech = known(&raw).unwrap().swap_remove(number);
            let mut stream = within("a stream", raw.open(&protocol)).await.unwrap();
            // A relay has nothing to say to some of them, and then ends the stream or waits.
            let reply = timeout(Duration::from_millis(500), say(&mut stream, &speech.bytes())).await;
            let reply = reply.ok().and_then(Result::ok).unwrap_or_default();
            let malformed = reply.windows(b"malformed".len()).any(|part| part == b"malformed");
            assert!(!malformed, "{protocol}: {:?}", String::from_utf8_lossy(&reply));
            *answered.entry(protocol.clone()).or_insert(0) += usize::from(!reply.is_empty());
        }
    }
    let gossip = |version: &str| (format!("/meshsub/{version}"), 0);
    let expected = [
        (names::QUERY, 21),
        (names::PUBLISH, 2),
        // Answers come on a stream that the relay opens.
        (names::BITSWAP, 0),
        // To a put, a get, two lookups of providers and peers; adding a provider is not answered, and ping is out of use.
        (names::KADEMLIA, 4),
        ("/ipfs/id/1.0.0", 1),
        ("/ipfs/id/push/1.0.0", 0),
        ("/ipfs/ping/1.0.0", 2),
        ("/libp2p/circuit/relay/0.2.0/hop", 2),
        ("/libp2p/autonat/2/dial-request", 1),
    ];
    let expected = expected.map(|(protocol, count)| (protocol.to_owned(), count)).into_iter();
    // Gossip is answered on another stream; that its messages are understood is what the test of announcements shows.
    let expected: BTreeMap<_, _> = expected.chain(["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map(gossip)).collect();
    assert_eq!(answered, expected);
}

/// What an attacker sent.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    mutated: usize,
    random: usize,
    bytes: usize,
}

type Tally = BTreeMap<String, Sent>;

/// Connects again and again, as another peer each time, and sends garbage on streams of all protocols until the end.
async fn attack(
    relay: Multiaddr,
    ammunition: Arc<Ammunition>,
    protocols: Arc<[String]>,
    seed: u64,
    end: Instant,
) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally::new();
    while Instant::now() < end {
        let (peer, mut inbound) = RawPeer::connect(&relay, &ACCEPTED).await;
        let mut held = Vec::new();
        for _ in 0..STREAMS_PER_CONNECTION {
            if Instant::now() >= end {
                break;
            }
            while let Ok(Inbound { protocol, mut stream, .. }) = inbound.try_recv() {
                let bytes = garbage(&ammunition, protocol.as_ref(), &peer, &mut random, &mut tally);
                // The relay may have ended the stream or the connection by now.
                _ = timeout(Duration::from_millis(100), say(&mut stream, &bytes)).await;
            }
            let protocol = random.one_of(&protocols);
            let mut stream = match timeout(MAX_ANSWER_TIME, peer.open(protocol)).await {
                Ok(Ok(stream)) => stream,
                // Gossipsub listens no more on this connection.
                Ok(Err(OpenError::Unsupported)) => continue,
                // The relay closed the connection, or has enough of its streams.
                _ => break,
            };
            let bytes = garbage(&ammunition, protocol, &peer, &mut random, &mut tally);
            let ending = random.below(4);
            let patience = Duration::from_millis(50);
            _ = timeout(patience, stream.write_all(&bytes)).await;
            _ = timeout(patience, stream.flush()).await;
            match ending {
                // Reset.
                0 => {}
                1 => _ = timeout(patience, stream.close()).await,
                2 => {
                    let mut reply = Vec::new();
                    _ = timeout(patience, stream.close()).await;
                    _ = timeout(patience, stream.take(1024 * 1024).read_to_end(&mut reply)).await;
                }
                _ if held.len() < HELD_STREAMS => held.push(stream),
                _ => {}
            }
        }
    }
    tally
}

/// Half of the time a mutated message of the protocol, half of the time bytes without sense.
fn garbage(ammunition: &Ammunition, protocol: &str, peer: &RawPeer, random: &mut Random, tally: &mut Tally) -> Vec<u8> {
    let speeches = ammunition.speeches(protocol, &peer.keypair).unwrap();
    let speech = random.one_of(&speeches);
    let sent = tally.entry(protocol.into()).or_default();
    let bytes = if random.coin() {
        sent.mutated += 1;
        speech.mutated(random)
    } else {
        sent.random += 1;
        attack::noise(speech.framing(), random)
    };
    sent.bytes += bytes.len();
    bytes
}

/// Asks a correct query again and again: how many were answered, the slowest, and the most memory that the relay had.
async fn honest(peer: &TestPeer, relay: &RelayProcess, end: Instant) -> (usize, Duration, u64) {
    let registry = P2PRegistry::new(peer.peer.clone());
    let (mut answered, mut slowest, mut peak) = (0, Duration::ZERO, 0);
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while Instant::now() < end {
        pace.tick().await;
        let asked = Instant::now();
        let found = registry.search("target findable", SearchOptions::default()).await;
        let took = asked.elapsed();
        let found = found.unwrap_or_else(|error| panic!("query {answered}: {error}\n{}", relay.log()));
        assert_eq!(found.hits[0].as_ref().unwrap().release.name.as_str(), "target");
        assert!(took < MAX_ANSWER_TIME, "query {answered} took {took:?}");
        (answered, slowest, peak) = (answered + 1, slowest.max(took), peak.max(relay.resident_bytes()));
    }
    (answered, slowest, peak)
}

async fn records_in(relay: &RelayProcess) -> String {
    let ready = ggen_tests::http::get(relay.http(), "/readyz").await;
    ready.text().split(',').next().unwrap().into()
}

fn attack_time() -> Duration {
    std::env::var("GGEN_GARBAGE_SECONDS").map_or(ATTACK, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_garbage_on_every_protocol_delays_no_honest_query_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(directory.path()).await;
    let peer = TestPeer::at(&[relay.tcp()]).await;
    let ammunition = Arc::new(target(&peer, relay.peer_id()).await);
    let protocols: Arc<[String]> = protocols_of(&relay.tcp()).await.into();
    honest(&peer, &relay, Instant::now() + Duration::from_millis(500)).await;
    let (records, before) = (records_in(&relay).await, relay.resident_bytes());

    let end = Instant::now() + attack_time();
    let attackers = (1..=ATTACKERS)
        .map(|seed| tokio::spawn(attack(relay.tcp(), Arc::clone(&ammunition), Arc::clone(&protocols), seed, end)));
    let (tallies, (answered, slowest, peak)) = tokio::join!(join_all(attackers), honest(&peer, &relay, end));

    let mut total = Tally::new();
    for (protocol, sent) in tallies.into_iter().flat_map(Result::unwrap) {
        let sum = total.entry(protocol).or_default();
        *sum = Sent {
            mutated: sum.mutated + sent.mutated,
            random: sum.random + sent.random,
            bytes: sum.bytes + sent.bytes,
        };
    }
    let after = relay.resident_bytes();
    let mib = |bytes: u64| bytes / 1024 / 1024;
    println!("sent: {total:#?}");
    println!("{answered} honest queries, the slowest in {slowest:?}");
    println!("memory: {} MiB before, {} at most, {} after", mib(before), mib(peak), mib(after));
    for protocol in protocols.iter() {
        let sent = total.get(protocol).copied().unwrap_or_default();
        assert!(sent.mutated >= 20 && sent.random >= 20, "{protocol} was hardly attacked: {sent:?}");
    }
    assert!(peak <= before + MAX_GROWTH_BYTES && after <= before + MAX_GROWTH_BYTES);
    assert_eq!(records_in(&relay).await, records, "nothing was stored");
    assert_eq!((relay.ended(), relay.panics()), (None, Vec::new()));

    let package = Publisher::new(2).release("afterwards", "1.0.0", "published when all is over", b"content");
    within("the receipt", package.publish(&peer, relay.peer_id())).await.unwrap();
    let found = P2PRegistry::new(peer.peer.clone()).search("afterwards", SearchOptions::default()).await.unwrap();
    assert_eq!(found.hits[0].as_ref().unwrap().release.id(), package.release.id());
}

/// Announcements that no honest peer makes, by what is wrong with them.
fn bad_announcements(publisher: &mut Publisher) -> Vec<Vec<u8>> {
    let package = publisher.release("forged", "1.0.0", "never to be heard", b"content");
    let good = package.release.bytes().to_vec();
    let mut bad_signature = good.clone();
    *bad_signature.last_mut().unwrap() ^= 1;
    let other_network =
        sign((*package.release).clone(), &publisher.signing, &Network::named("other").unwrap()).unwrap();
    let unknown_kind = Envelope { kind: 77, payload: vec![0xa0], signature: [0; 64] };
    let mut random = Random::new(5);
    let mut bad = vec![
        bad_signature,
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        other_network.bytes().to_vec(),
        unknown_kind.encode().unwrap().to_vec(),
        vec![0; MAX_RECORD_BYTES + 1],
        Vec::new(),
    ];
    bad.extend((0..50).map(|_| random.bytes(300)));
    bad
}

/// The next announcement that a peer hears, of which none may be refused.
async fn next_heard(listener: &mut TestPeer) -> RecordId {
    loop {
        match listener.events.next().await.expect("the listener runs") {
            Event::Connections(_) | Event::Missed => {}
            event @ (Event::Rotated { .. } | Event::Stated { .. } | Event::Accused { .. }) => {
                panic!("nobody said so: {event:?}")
            }
            Event::Announced { release, .. } => return release.id(),
            Event::Refused { error, .. } => panic!("the relay passed on what it refused: {error}"),
        }
    }
}

#[tokio::test]
async fn bad_announcements_are_neither_stored_nor_passed_on_and_good_ones_behind_them_are() {
    let relay = TestRelay::start(&[]).await;
    let neighbour = TestRelay::start(&[&relay]).await;
    until("the relays' meeting", || async {
        neighbour.relay().routing_table().await.contains(&relay.peer_id()).then_some(())
    })
    .await;
    let mut listener = TestPeer::start(&[&relay]).await;
    let mut publisher = Publisher::new(3);
    let inception = publisher.key_log.events().next().unwrap().to_vec();
    let shelves = [relay.relay().shelf(), neighbour.relay().shelf()];

    let address = relay.address("/tcp/", false);
    let (attacker, inbound) = RawPeer::connect(&address, &GOSSIP).await;
    let mut stream = attacker.open("/meshsub/1.2.0").await.unwrap();
    stream.write_all(&sent(attack::subscribe(names::PACKAGES_TOPIC))).await.unwrap();
    // The publisher's key log is good and known, so that each release is refused for itself.
    stream.write_all(&attack::announcement(&inception)).await.unwrap();
    stream.flush().await.unwrap();
    until("the inception", || async { (shelves[0].catalogue().record_count() == 1).then_some(()) }).await;
    // Few enough of each sender that it is still heard after them.
    let mut attackers = vec![(attacker, inbound, stream)];
    for some in bad_announcements(&mut publisher).chunks(5) {
        let (attacker, inbound) = RawPeer::connect(&address, &GOSSIP).await;
        let mut stream = attacker.open("/meshsub/1.2.0").await.unwrap();
        for bad in some {
            stream.write_all(&attack::announcement(bad)).await.unwrap();
        }
        stream.flush().await.unwrap();
        attackers.push((attacker, inbound, stream));
    }
    let stream = &mut attackers.last_mut().unwrap().2;
    let behind = publisher.release("behind", "1.0.0", "comes behind the bad ones", b"content");
    stream.write_all(&attack::announcement(behind.release.bytes())).await.unwrap();
    stream.flush().await.unwrap();
    // More than a message of gossip may have ends the stream, not the relay.
    let (talkative, _inbound) = RawPeer::connect(&address, &GOSSIP).await;
    let mut too_long = talkative.open("/meshsub/1.2.0").await.unwrap();
    _ = timeout(Duration::from_secs(1), too_long.write_all(&attack::announcement(&[0; 512 * 1024]))).await;

    let later = publisher.release("later", "1.0.0", "published by an honest peer", b"content");
    assert_eq!(within("the one behind", next_heard(&mut listener)).await, behind.release.id());
    let honest = TestPeer::start(&[&relay]).await;
    later.publish(&honest, relay.peer_id()).await.unwrap();
    assert_eq!(within("the later one", next_heard(&mut listener)).await, later.release.id());
    until("both at the neighbour", || async { (shelves[1].catalogue().record_count() == 3).then_some(()) }).await;
    assert!(shelves.iter().all(|shelf| shelf.catalogue().record_count() == 3), "an inception and two releases");
}

#[tokio::test]
async fn a_burst_of_the_largest_announcements_is_heard_in_full() {
    const BURST: usize = 20;
    let relay = TestRelay::start(&[]).await;
    let (attacker, _inbound) = RawPeer::connect(&relay.address("/tcp/", false), &GOSSIP).await;
    let mut publisher = Publisher::new(6);
    let inception = publisher.key_log.events().next().unwrap().to_vec();
    let mut stream = attacker.open("/meshsub/1.2.0").await.unwrap();
    stream.write_all(&sent(attack::subscribe(names::PACKAGES_TOPIC))).await.unwrap();
    stream.write_all(&attack::announcement(&inception)).await.unwrap();
    stream.flush().await.unwrap();
    let shelf = relay.relay().shelf();
    until("the inception", || async { (shelf.catalogue().record_count() == 1).then_some(()) }).await;
    let burst: Vec<u8> = (0..BURST)
        .flat_map(|number| {
            let mut release = (*publisher.release(&format!("large-{number}"), "1.0.0", "", b"").release).clone();
            release.dependencies = dependencies_that_fill_a_record();
            let release = sign(release, &publisher.signing, &network()).unwrap();
            assert!(
                (MAX_RECORD_BYTES - 2048..=MAX_RECORD_BYTES).contains(&release.bytes().len()),
                "{}",
                release.bytes().len()
            );
            attack::announcement(release.bytes())
        })
        .collect();
    stream.write_all(&burst).await.unwrap();
    stream.flush().await.unwrap();
    until("all of the burst", || async { (shelf.catalogue().record_count() == 1 + BURST).then_some(()) }).await;
}

fn dependencies_that_fill_a_record() -> Vec<Dependency> {
    let dependency = |number: usize| Dependency {
        publisher: Some(Publisher::new(7).key_log.publisher()),
        name: format!("dependency-{number:0>40}").parse().unwrap(),
        requirement: ">=1.0.0".into(),
        optional: false,
    };
    (0..115).map(dependency).collect()
}

/// Says something to the relay's DHT node: its reply.
async fn dht(peer: &RawPeer, message: attack::Proto) -> Vec<u8> {
    let mut stream = peer.open(names::KADEMLIA).await.unwrap();
    within("the DHT's reply", say(&mut stream, &sent(message))).await.unwrap_or_default()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_value_that_is_no_valid_head_of_its_key_is_not_kept_by_the_dht() {
    let relay = TestRelay::start(&[]).await;
    let mut publisher = Publisher::new(4);
    let [good, other] = ["good", "other"].map(|name| publisher.release(name, "1.0.0", "has a head", name.as_bytes()));
    let key = head::key(&good.release.package());
    let value = head::encode(&publisher.key_log, &good.release).unwrap();
    let mut bad_signature = value.clone();
    *bad_signature.last_mut().unwrap() ^= 1;
    let elsewhere = sign((*good.release).clone(), &publisher.signing, &Network::named("other").unwrap()).unwrap();
    let strange_key = [names::PACKAGE_HEAD_PREFIX.as_bytes(), b"../../etc/passwd"].concat();
    let other_publisher = head::encode(&Publisher::new(5).key_log, &good.release).unwrap();
    let cases = [
        ("random bytes", key.clone(), Random::new(6).bytes(500)),
        ("nothing", key.clone(), Vec::new()),
        ("a wrong signature", key.clone(), bad_signature),
        ("another package's head", key.clone(), head::encode(&publisher.key_log, &other.release).unwrap()),
        ("another publisher's key log", key.clone(), other_publisher),
        ("another network's head", key.clone(), head::encode(&publisher.key_log, &elsewhere).unwrap()),
        ("a head and a trailing byte", key.clone(), [&value[..], &[0]].concat()),
        ("more than a head may have", key.clone(), vec![7; MAX_HEAD_BYTES + 1]),
        ("a key that is no head's", b"anything".to_vec(), value.clone()),
        ("a key that is a path", strange_key, value.clone()),
        ("no key", Vec::new(), value),
    ];
    let (raw, _inbound) = RawPeer::connect(&relay.address("/tcp/", false), &GOSSIP).await;
    for (_, key, value) in &cases {
        dht(&raw, attack::put_value(key, value)).await;
    }
    // A good head that is put after them is kept, so they were looked at.
    let writer = TestPeer::start(&[&relay]).await;
    until("the put", || async { writer.peer.put_head(&publisher.key_log, &other.release).await.ok() }).await;
    let shelf = relay.relay().shelf();
    until("the good head", || async { shelf.catalogue().record(&other.release.id()).map(drop) }).await;
    assert_eq!(shelf.catalogue().record_count(), 2, "one inception and one release");
    for (case, key, value) in &cases {
        let reply = dht(&raw, attack::ask(1, key)).await;
        assert!(!value.is_empty() || reply.len() < 100, "{case}");
        assert!(value.is_empty() || !contains(&reply, value), "{case}");
    }
    let head = writer.peer.get_head(&good.release.package()).await;
    assert!(matches!(head, Err(HeadError::NotFound)), "{head:?}");
}

/// Sends messages on one stream. A stream takes a message only as the relay takes those before, so that all but the last few
/// were looked at once this ends.
async fn flood(peer: &RawPeer, protocol: &str, messages: impl Iterator<Item = Vec<u8>>) {
    let mut stream = peer.open(protocol).await.unwrap();
    for message in messages {
        within("room for a message", stream.write_all(&sent(message))).await.unwrap();
    }
    stream.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_topics_providers_and_addresses_cost_no_memory_and_hide_no_relay() {
    const MESSAGES: usize = 12_000;
    const LENGTH: usize = 12 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(directory.path()).await;
    let address = relay.tcp();
    let peer = TestPeer::at(std::slice::from_ref(&address)).await;
    target(&peer, relay.peer_id()).await;
    honest(&peer, &relay, Instant::now() + Duration::from_millis(500)).await;
    let before = relay.resident_bytes();
    let grown = |flood: &str| {
        let grown = relay.resident_bytes().saturating_sub(before);
        println!("{flood}: {} KiB more than before", grown / 1024);
        assert!(grown <= MAX_GROWTH_BYTES, "{flood}: {grown} bytes");
    };
    let long = |number: usize| format!("{number:0>LENGTH$}");

    let (raw, mut inbound) = RawPeer::connect(&address, &["/meshsub/1.2.0", "/ipfs/id/1.0.0"]).await;
    let topics = (0..MESSAGES).map(|number| attack::subscribe(&long(number)).into());
    flood(&raw, "/meshsub/1.2.0", topics).await;
    grown("topics that are subscribed to");

    let sender = raw.keypair.public().to_peer_id();
    let long_keys = (0..MESSAGES).map(|number| attack::add_provider(long(number).as_bytes(), sender).into());
    flood(&raw, names::KADEMLIA, long_keys).await;
    grown("keys that are long");
    let short_keys = (0..80_000_u32).map(|number| attack::add_provider(&number.to_be_bytes(), sender).into());
    flood(&raw, names::KADEMLIA, short_keys).await;
    grown("keys that are many");

    // Only who has identified itself is listened to when it tells of a change.
    let mut identify = within("the relay's question who it is", async {
        loop {
            let opened = inbound.recv().await.unwrap();
            if opened.protocol.as_ref() == "/ipfs/id/1.0.0" {
                return opened.stream;
            }
        }
    })
    .await;
    identify.write_all(&sent(attack::told(&raw.keypair, &[]))).await.unwrap();
    identify.close().await.unwrap();
    for push in 0..1000_u16 {
        let port = |at: u16| push.wrapping_mul(32).wrapping_add(at);
        let addresses: Vec<Multiaddr> =
            (0..32).map(|at| format!("/ip6/100::1/tcp/{}", port(at)).parse().unwrap()).collect();
        let mut stream = raw.open("/ipfs/id/push/1.0.0").await.unwrap();
        stream.write_all(&sent(attack::told(&raw.keypair, &addresses))).await.unwrap();
        stream.close().await.unwrap();
    }
    grown("addresses that are told");
    let (asker, _inbound) = RawPeer::connect(&address, &GOSSIP).await;
    let nearest = until("the attacker in the routing table", || async {
        Some(dht(&asker, attack::ask(4, &sender.to_bytes())).await).filter(|reply| contains(reply, &sender.to_bytes()))
    })
    .await;
    let told = nearest.windows(16).filter(|part| **part == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).count();
    assert!(told <= MAX_ADDRESSES_PER_RELAY, "{told} addresses of one peer");

    let (_, slowest, _) = honest(&peer, &relay, Instant::now() + Duration::from_secs(1)).await;
    println!("the slowest honest query took {slowest:?}");
    // A relay that joins now can still say that it is one, and is found.
    let newcomer = TestRelay::configured(|config| config.bootstrap = vec![address.clone()]).await;
    let config = ggen_net::P2PConfig { network: network(), relays: vec![address], ..ggen_net::P2PConfig::default() };
    let (finder, _events) = ggen_relay::market::peer::start(config).unwrap();
    until("the newcomer", || async { finder.connected().contains(&newcomer.peer_id()).then_some(()) }).await;
    assert_eq!((relay.ended(), relay.panics()), (None, Vec::new()));
}

#[test]
fn an_attack_can_be_repeated_by_its_seed() {
    let numbers = |seed| {
        (0..1000).fold((Random::new(seed), 0_u64), |(mut random, sum), _| {
            let next = random.next();
            (random, sum.rotate_left(1) ^ next)
        })
    };
    assert_eq!(numbers(7).1, numbers(7).1);
    assert_ne!(numbers(7).1, numbers(8).1);
}
