//! What attackers do to a network, each with a measured outcome. `cargo xtask drills` runs them in the size that the claims are about.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use ggen_net::light::Event;
use ggen_shared::codec;
use ggen_shared::protocol::query::{Ask, KeyLogOf, Request, Search};
use ggen_shared::protocol::{head, names};
use ggen_shared::record::ContentId;
use ggen_shared::rules::Rules;
use ggen_tests::attack::{self, Proto, Random, RawPeer, announcement, sent};
use ggen_tests::drill::{
    ATTACKERS, DhtPeer, Idlers, NEWCOMERS, SLOW_READERS, Sybils, at, quantile, relays, searches, sized,
};
use ggen_tests::process::RelayProcess;
use ggen_tests::{Publisher, TestPeer, TestRelay, until, within};
use libp2p::Multiaddr;
use libp2p::kad::RecordKey;
use tokio::sync::Mutex;

const MIB: u64 = 1024 * 1024;
const GOSSIP: &str = "/meshsub/1.2.0";
const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// Drills are measured: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

fn content_key(number: usize) -> RecordKey {
    RecordKey::new(&ContentId::of_raw(&number.to_be_bytes()).multihash_bytes())
}

/// The attackers are all nearer to the key than any relay, connected to the relays, and name one another. Neither who says that it has the content nor
/// who looks for it may end among them only.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_eclipsed_by_two_hundred_identities_of_one_place() {
    let _turn = TURN.lock().await;
    let (identities, lookups, each) = (200, sized(100, 20), sized(12, 4));
    let relays = relays(12).await;
    let addresses: Vec<Multiaddr> = relays.iter().map(|relay| relay.address("/tcp/", false)).collect();
    for relay in &relays[1..] {
        until("the relays' meeting", || async { (!relay.relay().routing_table().await.is_empty()).then_some(()) })
            .await;
    }
    let key = content_key(0);
    let _sybils = Sybils::start(identities, &key, &addresses, each).await;
    let mut home = DhtPeer::start(at(9, 1), &addresses[10..]).await;
    home.provide(key.clone()).await;
    let home = (home.id(), home.stay());

    let (mut found, mut times) = (0, Vec::new());
    for number in 0..lookups {
        let known = [&addresses[6 + number % 6], &addresses[number % 6]].map(Clone::clone);
        let mut peer = DhtPeer::start(at(10, number + 1), &known).await;
        let start = Instant::now();
        found += usize::from(peer.providers(key.clone()).await.contains(&home.0));
        times.push(start.elapsed());
    }
    home.1.abort();
    println!(
        "eclipse: {identities} identities nearest to a key, {each} connections each: {found} of {lookups} lookups find it, p50 {:?}, p95 {:?}",
        quantile(&times, 0.5),
        quantile(&times, 0.95)
    );
    assert!(found * 100 >= lookups * 95, "{found} of {lookups}");
}

/// One peer says that it has a hundred thousand contents, and puts as many values, while others' entries are there before and come after.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_records_and_provider_entries_takes_its_own_room() {
    let _turn = TURN.lock().await;
    let entries = sized(100_000, 12_000);
    let directory = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(directory.path()).await;
    let address = relay.tcp();
    let honest = |number: usize| content_key(10_000_000 + number);
    let mut homes = Vec::new();
    for number in 0..10 {
        let mut home = DhtPeer::start(at(u8::try_from(20 + number).unwrap(), 1), std::slice::from_ref(&address)).await;
        home.provide(honest(number)).await;
        homes.push((home.id(), home.stay()));
    }
    let mut publisher = Publisher::new(1);
    let package = publisher.release("drilled", "1.0.0", "was there before the flood", b"content");
    let peer = TestPeer::at(std::slice::from_ref(&address)).await;
    within("the receipt", package.publish(&peer, relay.peer_id())).await.unwrap();

    let (raw, _inbound) = RawPeer::connect_from(at(ATTACKERS, 1), &address, &[]).await;
    let (newcomer, _streams) = RawPeer::connect_from(at(NEWCOMERS, 1), &address, &[]).await;
    let (sender, before) = (raw.keypair.public().to_peer_id(), relay.resident_bytes());
    let value = head::encode(&publisher.key_log, &package.release).unwrap();
    let junk = Random::new(7).bytes(value.len());
    let start = Instant::now();
    let flood = async {
        let mut provided = raw.open(names::KADEMLIA).await.unwrap();
        for number in 0..entries {
            let entry = attack::add_provider(content_key(number).as_ref(), sender);
            within("room for an entry", provided.write_all(&sent(entry))).await.unwrap();
        }
        provided.flush().await.unwrap();
        let (mut read, mut write) = raw.open(names::KADEMLIA).await.unwrap().split();
        let key = head::key(&package.release.package());
        // Each is answered, whatever becomes of it.
        let answers = tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while read.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
        });
        for number in 0..entries {
            let value = if number % 2 == 0 { &value } else { &junk };
            within("room for a value", write.write_all(&sent(attack::put_value(&key, value)))).await.unwrap();
        }
        write.flush().await.unwrap();
        answers.abort();
    };
    let meanwhile = async {
        let mut times = Vec::new();
        for _ in 0..5 {
            times.extend(searches(&newcomer, 4).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        times
    };
    let ((), times) = tokio::join!(flood, meanwhile);
    let took = start.elapsed();

    let grown = relay.resident_bytes().saturating_sub(before);
    let mut found = 0;
    let mut asker = DhtPeer::start(at(40, 1), std::slice::from_ref(&address)).await;
    for (number, (home, _)) in homes.iter().enumerate() {
        found += usize::from(asker.providers(honest(number)).await.contains(home));
    }
    let (.., head) = within("the head", peer.peer.get_head(&package.release.package())).await.unwrap();
    homes.iter().for_each(|(_, home)| home.abort());
    println!(
        "flood: {entries} provider entries and {entries} values of one peer in {took:?}: {found} of 10 honest entries named, head {}, {} KiB more, \
         searches meanwhile p95 {:?}",
        head.version,
        grown / 1024,
        quantile(&times, 0.95)
    );
    assert_eq!(found, 10);
    assert!(grown <= 48 * MIB, "{grown} bytes");
    assert!(quantile(&times, 0.95) < Duration::from_secs(2), "{times:?}");
}

/// One peer sends junk as fast as ten thousand a second to the relay that carries announcements between two others.
#[tokio::test(flavor = "multi_thread")]
async fn junk_by_gossip_slows_no_announcement_and_its_sender_is_not_heard_any_more() {
    let _turn = TURN.lock().await;
    const PER_TICK: usize = 100;
    let (rate, announced) = (10_000, sized(30, 8));
    let directory = tempfile::tempdir().unwrap();
    let near = RelayProcess::start(directory.path()).await;
    let far = TestRelay::configured(|config| config.bootstrap = vec![near.tcp()]).await;
    let known = || async { far.relay().routing_table().await.contains(&near.peer_id()).then_some(()) };
    until("the relays' meeting", known).await;
    let mut listener = TestPeer::at(&[near.tcp()]).await;
    let sender = TestPeer::start(&[&far]).await;
    let mut publisher = Publisher::new(2);
    let warm = publisher.release("drilled", "0.0.1", "before the junk", b"content");
    within("the receipt", warm.publish(&sender, far.peer_id())).await.unwrap();
    listener.announced().await;

    let (raw, _inbound) = RawPeer::connect_from(at(ATTACKERS, 1), &near.tcp(), &[GOSSIP]).await;
    let mut stream = raw.open(GOSSIP).await.unwrap();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let junk = tokio::spawn({
        let (stop, count) = (stop.clone(), count.clone());
        async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) * u32::try_from(PER_TICK).unwrap() / rate);
            let mut number = 0_u64;
            while !stop.load(Relaxed) {
                tick.tick().await;
                let messages = (0..PER_TICK).flat_map(|_| {
                    number += 1;
                    announcement(&[&number.to_be_bytes()[..], &[7; 192]].concat())
                });
                stream.write_all(&messages.collect::<Vec<u8>>()).await.unwrap();
                count.fetch_add(PER_TICK, Relaxed);
            }
            stream.flush().await.unwrap();
            stream
        }
    });
    let (start, mut times) = (Instant::now(), Vec::new());
    for number in 0..announced {
        let package = publisher.release("drilled", &format!("1.0.{number}"), "announced amid junk", b"content");
        let published = Instant::now();
        within("the receipt", package.publish(&sender, far.peer_id())).await.unwrap();
        while listener.announced().await.id() != package.release.id() {}
        times.push(published.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Relaxed);
    let mut stream = within("the end of the junk", junk).await.unwrap();
    let sent_per_second = count.load(Relaxed) as f64 / start.elapsed().as_secs_f64();

    // Something valid, and by its publisher's own key: nobody is told of it by who sent the junk.
    let inception = Publisher::new(3).key_log.events().next().unwrap().to_vec();
    stream.write_all(&announcement(&inception)).await.unwrap();
    stream.flush().await.unwrap();
    let package = publisher.release("drilled", "2.0.0", "after the junk", b"content");
    within("the receipt", package.publish(&sender, far.peer_id())).await.unwrap();
    while listener.announced().await.id() != package.release.id() {}
    let known = async || {
        let question = KeyLogOf { publisher: Publisher::new(3).key_log.publisher() };
        !within("an answer", listener.peer.ask(near.peer_id(), question)).await.unwrap().events.is_empty()
    };
    let graylisted = !known().await;
    // The same from somebody else is taken.
    let (fresh, _inbound) = RawPeer::connect_from(at(NEWCOMERS, 1), &near.tcp(), &[GOSSIP]).await;
    let mut stream = fresh.open(GOSSIP).await.unwrap();
    stream.write_all(&announcement(&inception)).await.unwrap();
    stream.flush().await.unwrap();
    until("what a stranger announces", async || known().await.then_some(())).await;
    println!(
        "junk: {sent_per_second:.0} messages a second: announcements p50 {:?}, at most {:?}; sender graylisted: {graylisted}",
        quantile(&times, 0.5),
        quantile(&times, 1.0)
    );
    assert!(quantile(&times, 1.0) < Duration::from_secs(2), "{times:?}");
    assert!(graylisted, "what the sender of the junk sends is still taken");
}

/// Some hundred publications at once are more than a queue for a subscriber takes. Who passes them on is no attacker for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_publications_makes_nobody_unheard() {
    let _turn = TURN.lock().await;
    let burst = sized(2_000, 400);
    let near = TestRelay::start(&[]).await;
    let far = TestRelay::start(&[&near]).await;
    let known = || async { far.relay().routing_table().await.contains(&near.peer_id()).then_some(()) };
    until("the relays' meeting", known).await;
    let (mut beside, mut behind) = (TestPeer::start(&[&near]).await, TestPeer::start(&[&far]).await);
    let sender = TestPeer::start(&[&near]).await;
    let mut publisher = Publisher::new(5);
    let packages: Vec<_> =
        (0..burst).map(|number| publisher.release("drilled", &format!("1.0.{number}"), "one of many", b"x")).collect();
    let receipts = futures::stream::iter(&packages).map(|package| package.publish(&sender, near.peer_id()));
    let receipts: Vec<_> = receipts.buffer_unordered(16).collect().await;
    assert!(receipts.iter().all(Result::is_ok));
    // What a peer says it has must come within three seconds, or may count against it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Events that nobody reads are dropped: these are the ones of the burst.
    let heard = [&mut beside, &mut behind].map(|listener| {
        std::iter::from_fn(|| listener.events.next().now_or_never().flatten())
            .filter(|event| matches!(event, Event::Announced { .. }))
            .count()
    });
    let last = publisher.release("drilled", "2.0.0", "after all of them", b"x");
    let published = Instant::now();
    within("the receipt", last.publish(&sender, near.peer_id())).await.unwrap();
    let mut times = Vec::new();
    for listener in [&mut beside, &mut behind] {
        while listener.announced().await.id() != last.release.id() {}
        times.push(published.elapsed());
    }
    println!(
        "burst: {burst} publications at once, of which {heard:?} were still to be read; the next one is heard beside a relay and behind another within {times:?}"
    );
    assert!(times.iter().all(|time| *time < Duration::from_secs(2)), "{times:?}");
}

/// Connections that ask for nothing, and peers that ask for much and take nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_and_slow_readers_keep_nobody_from_being_served() {
    let _turn = TURN.lock().await;
    let (count, readers) = (sized(5_000, 400), sized(64, 8));
    let directory = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(directory.path()).await;
    let address = relay.tcp();
    let peer = TestPeer::at(std::slice::from_ref(&address)).await;
    let package = Publisher::new(4).release("drilled", "1.0.0", "served all the same", b"content");
    within("the receipt", package.publish(&peer, relay.peer_id())).await.unwrap();
    let before = relay.resident_bytes();
    let idlers = Idlers::open(count, &address).await;
    let idle = relay.resident_bytes().saturating_sub(before) / idlers.open_now().max(1) as u64;

    let search = Request::Search(Search { text: "drilled".into(), limit: 50, ..Search::default() });
    let ask = codec::encode(&Ask { window: u32::MAX, rules: Rules::FIRST.number, request: search });
    let framed = [&u32::try_from(ask.len()).unwrap().to_be_bytes()[..], &ask].concat();
    let mut unread = Vec::new();
    for number in 0..readers {
        // Elsewhere than those who are idle: of one place the last ones to come make way.
        let (raw, inbound) = RawPeer::connect_from(at(SLOW_READERS, number), &address, &[]).await;
        let mut streams = Vec::new();
        for _ in 0..64 {
            let Ok(mut stream) = raw.open(names::QUERY).await else { break };
            if stream.write_all(&framed).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            streams.push(stream);
        }
        unread.push((raw, inbound, streams));
    }
    let slow = relay.resident_bytes().saturating_sub(before);
    let asked: usize = unread.iter().map(|(.., streams)| streams.len()).sum();
    assert!(asked >= readers, "only {asked} questions were taken of {readers} slow readers");
    let connecting = Instant::now();
    let (newcomer, _streams) = RawPeer::connect_from(at(NEWCOMERS, 1), &address, &[]).await;
    let connected = connecting.elapsed();
    let times = searches(&newcomer, 20).await;
    println!(
        "idle: {} of {count} connections open, {} KiB each; with {asked} streams whose answers nobody reads {} MiB more than before; a newcomer is connected in \
         {connected:?}, its searches take p95 {:?}",
        idlers.open_now(),
        idle / 1024,
        slow / MIB,
        quantile(&times, 0.95)
    );
    assert!(idle <= 100 * 1024, "{idle} bytes for a connection");
    assert!(slow <= 512 * MIB, "{slow} bytes");
    assert!(connected < Duration::from_secs(2), "{connected:?}");
    assert!(quantile(&times, 0.95) < Duration::from_secs(1), "{times:?}");
}

/// Whether the relay says yes to a message on its protocol for circuits.
async fn is_granted(raw: &RawPeer, message: Proto) -> bool {
    // Past the bounds a stream or its answer does not come.
    let Ok(mut stream) = raw.open(HOP).await else { return false };
    let answer = async {
        stream.write_all(&sent(message)).await?;
        stream.flush().await?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await?;
        Ok::<_, std::io::Error>(answer[..length].to_vec())
    };
    // Field 5, the status, is 100 when it is granted.
    within("an answer", answer).await.is_ok_and(|answer| answer.windows(2).any(|field| field == [5 << 3, 100]))
}

/// One peer and one address ask for reservations and circuits without end, and a port that anybody may send packets to gets many.
#[tokio::test(flavor = "multi_thread")]
async fn reservations_and_circuits_of_one_place_are_bounded_and_packets_slow_nobody() {
    let _turn = TURN.lock().await;
    let (identities, each) = (sized(400, 280), sized(200, 60));
    let directory = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(directory.path()).await;
    let address = relay.tcp();
    let reserve = || Proto::new().number(1, 0);
    let (victim, _streams) = RawPeer::connect_from(at(50, 1), &address, &["/libp2p/circuit/relay/0.2.0/stop"]).await;
    assert!(is_granted(&victim, reserve()).await, "an honest peer's reservation");

    let (one, _inbound) = RawPeer::connect_from(at(ATTACKERS, 1), &address, &[]).await;
    let mut of_one = 0;
    for _ in 0..each {
        of_one += usize::from(is_granted(&one, reserve()).await);
    }
    let (mut of_address, asking) = (0, Instant::now());
    for _ in 0..identities {
        let (raw, _inbound) = RawPeer::connect_from(at(ATTACKERS, 2), &address, &[]).await;
        of_address += usize::from(is_granted(&raw, reserve()).await);
    }
    // One more comes back after each interval.
    let paced = 256 + asking.elapsed().as_secs() as usize / 15 + 1;
    let (other, _inbound) = RawPeer::connect_from(at(51, 1), &address, &[]).await;
    assert!(is_granted(&other, reserve()).await, "a reservation elsewhere, after the flood");

    // STUN binding requests of many senders, each for a session that nobody knows.
    let port = relay.webrtc_port();
    let stop = Arc::new(AtomicBool::new(false));
    let packets = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let sockets: Vec<UdpSocket> =
                (0..100).map(|number| UdpSocket::bind((at(ATTACKERS, number + 100), 0)).unwrap()).collect();
            let (mut random, mut count) = (Random::new(8), 0_u64);
            while !stop.load(Relaxed) {
                for socket in &sockets {
                    _ = socket.send_to(&binding_request(&mut random), ("127.0.0.1", port));
                    count += 1;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            count
        }
    });
    let (before, start) = (relay.resident_bytes(), Instant::now());
    let connecting = Instant::now();
    let (newcomer, _streams) = RawPeer::connect_from(at(NEWCOMERS, 1), &address, &[]).await;
    let connected = connecting.elapsed();
    let mut times = Vec::new();
    while start.elapsed() < Duration::from_secs(sized(10, 3) as u64) {
        times.extend(searches(&newcomer, 4).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Relaxed);
    let count = packets.join().unwrap();
    let grown = relay.resident_bytes().saturating_sub(before);
    println!(
        "circuits: {of_one} of {each} reservations of one peer granted, {of_address} of {identities} identities at one address; STUN: {:.0} packets a second, \
         {} KiB more, searches meanwhile p95 {:?}, a newcomer is connected in {connected:?}",
        count as f64 / start.elapsed().as_secs_f64(),
        grown / 1024,
        quantile(&times, 0.95)
    );
    assert!(of_one <= 32, "{of_one} reservations of one peer");
    assert!(of_address <= paced, "{of_address} reservations of one address");
    assert!(grown <= 64 * MIB, "{grown} bytes");
    assert!(
        connected < Duration::from_secs(2) && quantile(&times, 0.95) < Duration::from_secs(1),
        "{connected:?} {times:?}"
    );
}

/// A peer says itself where a relay is to dial it back, and each dial is a socket until it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_a_relay_dial_two_addresses_at_once_and_no_more() {
    const ASKED: usize = 8;
    const AT_ONCE: usize = 2;
    let _turn = TURN.lock().await;
    let relay = TestRelay::start(&[]).await;
    let (raw, _inbound) = RawPeer::connect_from(at(ATTACKERS, 1), &relay.address("/tcp/", false), &[]).await;
    // Whoever dials it is connected, and hears nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let ask = async |nonce| {
        let mut stream = raw.open("/libp2p/autonat/2/dial-request").await.unwrap();
        let request = Proto::new().bytes(1, &address).fixed64(2, nonce);
        stream.write_all(&sent(Proto::new().bytes(1, request))).await.unwrap();
        stream.flush().await.unwrap();
        // Because the address is not the one that it is seen at, it has to send up to 100 kB first.
        assert!(message(&mut stream).await.is_some(), "how much is to be sent");
        let data = sent(Proto::new().bytes(4, Proto::new().bytes(1, [0; 4000])));
        for _ in 0..26 {
            // Once it is enough nobody reads on.
            _ = stream.write_all(&data).await;
        }
        _ = stream.flush().await;
        message(&mut stream).await
    };
    let mut asking: futures::stream::FuturesUnordered<_> = (0..ASKED as u64).map(ask).collect();
    let mut answers = async || while asking.next().await.is_some() {};
    let dialing = async {
        let mut dialed = std::collections::VecDeque::new();
        for number in 0..ASKED {
            dialed.push_back(within("a dial", silent.accept()).await.unwrap());
            if dialed.len() == AT_ONCE {
                if number + 1 == AT_ONCE {
                    let more = tokio::time::timeout(Duration::from_secs(1), silent.accept()).await;
                    assert!(more.is_err(), "the others wait");
                }
                // That dial fails, and the next one's turn has come.
                dialed.pop_front();
            }
        }
    };
    within("all dials and answers", futures::future::join(answers(), dialing)).await;
    // Nobody else is kept from it.
    let (other, _inbound) = RawPeer::connect_from(at(NEWCOMERS, 1), &relay.address("/tcp/", false), &[]).await;
    assert_eq!(searches(&other, 1).await.len(), 1);
}

/// The next message with its length as a varint before it.
async fn message(stream: &mut libp2p::Stream) -> Option<Vec<u8>> {
    let (mut length, mut shift, mut byte) = (0, 0, [0]);
    loop {
        stream.read_exact(&mut byte).await.ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// A STUN binding request as a browser sends it first, of RFC 5389 and RFC 8445: random names in the place of a session's.
fn binding_request(random: &mut Random) -> Vec<u8> {
    let ufrag: String = random.bytes(16).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let username = format!("libp2p+webrtc+v1/{ufrag}:libp2p+webrtc+v1/{ufrag}");
    let mut attribute = vec![0x00, 0x06];
    attribute.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
    attribute.extend(username.as_bytes());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    let mut packet = vec![0x00, 0x01];
    packet.extend(u16::try_from(attribute.len()).unwrap().to_be_bytes());
    packet.extend([0x21, 0x12, 0xa4, 0x42]);
    packet.extend(random.bytes(12));
    packet.extend(attribute);
    packet
}
